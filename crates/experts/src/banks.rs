//! Every expert of the model: where its bytes lie and whether they are here.

use std::sync::Arc;

use base::{AlignedBuf, Error, ExpertId, ExpertKey, LayerId, Result};
use disk::Layout;

use crate::roster::Standing;

/// A dense table of experts: what a pool knows of each is an index away.
pub(crate) struct Banks {
    /// [layers][experts]
    entries: Vec<Vec<Entry>>,
    /// [layers]
    shelves: Vec<usize>,
}

pub(crate) struct Entry {
    pub layout: Layout,
    pub place: Place,
}

pub(crate) enum Place {
    Absent,
    /// On its way, for the request of that number (an earlier one than the latest: abandoned), to stay or to be used
    /// and given up.
    Reading {
        request: u64,
        stays: bool,
    },
    Resident(Arc<AlignedBuf>),
}

/// An expert on its way, or here, that nobody asked for yet; in a slot beside those of residents.
pub(crate) struct Guess {
    pub key: ExpertKey,
    /// It will be asked for: no router has a say.
    pub certain: bool,
    pub flight: Flight,
}

pub(crate) enum Flight {
    Flying,
    /// Taken back, and its completion is yet to come.
    TakenBack,
    Landed(AlignedBuf),
}

impl Banks {
    pub fn new(layers: Vec<Vec<Layout>>, shelves: Vec<usize>) -> Self {
        let entry = |layout| Entry { layout, place: Place::Absent };
        let entries = layers.into_iter().map(|layer| layer.into_iter().map(entry).collect()).collect();
        Self { entries, shelves }
    }

    /// Refuses a request for an expert that does not exist or is listed twice.
    pub fn check(&self, layer: LayerId, experts: &[(ExpertId, u32)]) -> Result<()> {
        let entries =
            self.entries.get(layer.0 as usize).ok_or_else(|| err_no_layer(layer, self.entries.len()))?;
        let count = entries.len();
        let mut listed = vec![false; count];
        for (expert, _) in experts {
            let key = ExpertKey { layer, expert: *expert };
            match listed.get_mut(expert.0 as usize) {
                Some(listed) if !*listed => *listed = true,
                Some(_) => return Err(err_twice(key)),
                None => return Err(err_no_expert(key, count as u32)),
            }
        }
        Ok(())
    }

    /// Every layer that has experts.
    pub fn layers(&self) -> impl Iterator<Item = LayerId> {
        let full = self.entries.iter().enumerate().filter(|(_, entries)| !entries.is_empty());
        full.map(|(index, _)| LayerId(index as u32))
    }

    /// The shelf that holds the layer's experts.
    pub fn shelf(&self, layer: LayerId) -> usize {
        self.shelves[layer.0 as usize]
    }

    pub fn entry(&self, key: ExpertKey) -> &Entry {
        &self.entries[key.layer.0 as usize][key.expert.0 as usize]
    }

    pub fn entry_mut(&mut self, key: ExpertKey) -> &mut Entry {
        &mut self.entries[key.layer.0 as usize][key.expert.0 as usize]
    }
}

impl Entry {
    /// How a request finds it.
    pub fn standing(&self) -> Standing {
        match self.place {
            Place::Resident(_) => Standing::Hit,
            Place::Reading { .. } => Standing::Late,
            Place::Absent => Standing::Miss,
        }
    }

    /// Resident, and no lease shares the buffer. Leases are made by the pool alone, so the answer stays true.
    pub fn is_evictable(&self) -> bool {
        matches!(&self.place, Place::Resident(buffer) if Arc::strong_count(buffer) == 1)
    }
}

fn err_twice(key: ExpertKey) -> Error {
    Error::input(format!("{key} is requested twice; each is to be listed once"))
}

fn err_no_layer(layer: LayerId, layers: usize) -> Error {
    Error::input(format!("the model has no layer {}; it has {layers} layers", layer.0))
}

fn err_no_expert(key: ExpertKey, experts: u32) -> Error {
    Error::input(format!("the model has no {key}; that layer has {experts} experts"))
}
