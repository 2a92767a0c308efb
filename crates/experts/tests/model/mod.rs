//! A model of nothing but experts, each byte of which tells where it belongs.

#![allow(dead_code)] // each test file uses its part

use std::collections::BTreeSet;
use std::sync::Arc;

use base::{ExpertId, ExpertKey, Extent, FileId, LayerId, Result};
use disk::MemoryDisk;
use experts::{Arrivals, Catalogue, ExpertPool, Lease, Policy, needs};

/// Layers of experts, spread over two files as published checkpoints do: odd layers lie in the second file, and
/// every piece of a layer is one tensor that holds all of its experts.
#[derive(Clone)]
pub struct Model {
    /// [layers]: number of experts, bytes of each piece.
    pub layers: Vec<(u32, Vec<u64>)>,
}

impl Model {
    /// `layers` equal layers, the first of them dense.
    pub fn uniform(layers: usize, experts: u32) -> Self {
        let mut layers = vec![(experts, vec![5000, 0, 3100, 100]); layers];
        layers[0].0 = 0;
        Self { layers }
    }

    pub fn files(&self) -> Vec<Vec<u8>> {
        let mut files = vec![vec![0xCC; 33], vec![0xCC; 8]];
        for (layer, (experts, pieces)) in self.layers.iter().enumerate() {
            for (piece, len) in pieces.iter().enumerate() {
                for expert in 0..*experts {
                    let key = ExpertKey::new(layer as u32, expert);
                    files[layer % 2].extend((0..*len).map(|at| byte(key, piece, at)));
                }
            }
        }
        files
    }

    pub fn disk(&self, seed: u64) -> MemoryDisk {
        MemoryDisk::new(self.files(), seed)
    }

    pub fn pool(&self, budget_bytes: u64, policy: Policy) -> ExpertPool {
        ExpertPool::new(self, Arc::new(self.disk(1)), budget_bytes, policy).unwrap()
    }

    /// The budget of `slots` experts of the largest size.
    pub fn budget(&self, slots: u64) -> u64 {
        needs(self).unwrap().smallest_bytes * slots
    }
}

impl Catalogue for Model {
    fn layers(&self) -> u32 {
        self.layers.len() as u32
    }

    fn experts(&self, layer: LayerId) -> u32 {
        self.layers[layer.0 as usize].0
    }

    fn extents(&self, key: ExpertKey) -> Vec<Extent> {
        let at = key.layer.0 as usize;
        let mut offset = [33, 8][at % 2];
        for (experts, pieces) in self.layers[at % 2..at].iter().step_by(2) {
            offset += u64::from(*experts) * pieces.iter().sum::<u64>();
        }
        let (experts, pieces) = &self.layers[at];
        let mut extents = Vec::new();
        for len in pieces {
            let first = offset + u64::from(key.expert.0) * len;
            extents.push(Extent { file: FileId(at as u32 % 2), offset: first, len: *len });
            offset += u64::from(*experts) * len;
        }
        extents
    }
}

fn byte(key: ExpertKey, piece: usize, at: u64) -> u8 {
    let place = u64::from(key.layer.0) << 48 | u64::from(key.expert.0) << 32 | (piece as u64) << 24 | at;
    (place.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8
}

/// Each of `experts`, used by one token.
pub fn wants(experts: impl IntoIterator<Item = u32>) -> Vec<(ExpertId, u32)> {
    experts.into_iter().map(|expert| (ExpertId(expert), 1)).collect()
}

/// Asserts that the lease holds the bytes of its expert.
pub fn assert_holds(lease: &Lease, model: &Model, layer: u32) {
    let key = ExpertKey::new(layer, lease.expert.0);
    let lengths = &model.layers[layer as usize].1;
    assert_eq!(lease.pieces(), lengths.len());
    for (piece, len) in lengths.iter().enumerate() {
        let right = (0..*len).map(|at| byte(key, piece, at));
        assert!(lease.bytes(piece).iter().copied().eq(right), "wrong bytes in piece {piece} of {key}");
    }
}

/// Takes all that is left, checking bytes, dropping each lease before the next. Answers with the experts in order.
pub fn take_all(mut arrivals: Arrivals<'_>, model: &Model, layer: u32) -> Result<Vec<u32>> {
    let mut taken = Vec::new();
    while let Some(lease) = arrivals.next_ready()? {
        assert_holds(&lease, model, layer);
        taken.push(lease.expert.0);
    }
    Ok(taken)
}

/// Requests and takes experts of one layer; each must arrive once.
pub fn use_experts(pool: &mut ExpertPool, model: &Model, layer: u32, experts: &[u32]) -> Vec<u32> {
    let wanted = wants(experts.iter().copied());
    let taken = take_all(pool.request(LayerId(layer), &wanted).unwrap(), model, layer).unwrap();
    assert_eq!(taken.len(), experts.len());
    assert_eq!(BTreeSet::from_iter(&taken), BTreeSet::from_iter(experts));
    taken
}

/// Asserts what holds of a pool at any time.
pub fn assert_bounded(pool: &ExpertPool) {
    let stats = pool.stats();
    assert!(stats.capacity_bytes <= stats.budget_bytes, "{stats:?}");
    assert!(stats.allocated_bytes <= stats.capacity_bytes, "{stats:?}");
    assert!(stats.resident_bytes + stats.in_flight_bytes <= stats.allocated_bytes, "{stats:?}");
}

/// The address of a lease's buffer page, to tell buffers apart.
pub fn address(lease: &Lease) -> usize {
    lease.bytes(0).as_ptr() as usize / base::ALIGNMENT
}
