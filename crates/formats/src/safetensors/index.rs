//! `model.safetensors.index.json`: which file holds which tensor.
//!
//! Its `metadata.total_size` is not read: published ones are often absent or wrong, and the shards' own headers say
//! the same with certainty.

use std::collections::HashMap;
use std::fmt;
use std::io::{BufReader, Read};
use std::path::{Component, Path};

use base::{Context, Error, FileId, Quoted, Result};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::file::{err_json, open_file};
use crate::tensor::{MAX_TENSORS, TensorEntry};

/// The longest index that is read; one of 500,000 tensors has 60 MB.
const MAX_INDEX_BYTES: u64 = 512 << 20;

/// The contents of an index.
#[derive(Debug)]
pub(crate) struct Index {
    /// The files, by their names within the folder, sorted.
    pub(crate) files: Vec<String>,
    /// Each tensor and the file it is said to be in.
    tensors: Vec<(Box<str>, FileId)>,
}

impl Index {
    /// Reads the index at `path`. Refuses a file name that leads out of the folder.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let (file, bytes) = open_file(path)?;
        let read = || {
            if bytes > MAX_INDEX_BYTES {
                return Err(Error::corrupt(format!("has {bytes} bytes, expected at most {MAX_INDEX_BYTES}")));
            }
            let json: IndexJson = serde_json::from_reader(BufReader::new(file.take(bytes)))
                .map_err(|error| err_json(&error))?;
            Self::sorted(json.weight_map)
        };
        read().within(|| path.display())
    }

    fn sorted(WeightMap { files, mut tensors }: WeightMap) -> Result<Self> {
        let mut order: Vec<(String, FileId)> = files.into_iter().collect();
        order.sort();
        let mut place = vec![FileId(0); order.len()];
        for (new, (name, old)) in order.iter().enumerate() {
            check_name(name)?;
            place[old.0 as usize] = FileId(new as u32);
        }
        for (_, file) in &mut tensors {
            *file = place[file.0 as usize];
        }
        Ok(Self { files: order.into_iter().map(|(name, _)| name).collect(), tensors })
    }

    /// Refuses an index that names a tensor its file does not hold. Files may hold more than the index names.
    pub(crate) fn check(&self, found: &HashMap<&str, &TensorEntry>) -> Result<()> {
        for (name, file) in &self.tensors {
            if found.get(name.as_ref()).is_none_or(|tensor| tensor.extent.file != *file) {
                return Err(err_missing(name, &self.files[file.0 as usize]));
            }
        }
        Ok(())
    }
}

/// A shard is a safetensors file of the folder, or of a folder in it.
fn check_name(name: &str) -> Result<()> {
    let path = Path::new(name);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_))) && !name.contains('\\');
    if plain && path.extension().is_some_and(|extension| extension == "safetensors") {
        return Ok(());
    }
    Err(Error::corrupt(format!("names the file {}, expected a safetensors file of its folder", Quoted(name))))
}

fn err_missing(name: &str, file: &str) -> Error {
    Error::corrupt(format!("places tensor {} in {}, which does not hold it", Quoted(name), Quoted(file)))
}

#[derive(Deserialize)]
struct IndexJson {
    weight_map: WeightMap,
}

/// The map of an index as it is read: files are numbered as they first occur.
struct WeightMap {
    files: HashMap<String, FileId>,
    tensors: Vec<(Box<str>, FileId)>,
}

impl<'de> Deserialize<'de> for WeightMap {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = WeightMap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a map of at most {MAX_TENSORS} tensors to files")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<WeightMap, M::Error> {
                let mut weights = WeightMap { files: HashMap::new(), tensors: Vec::new() };
                while let Some((tensor, file)) = map.next_entry::<Box<str>, String>()? {
                    if weights.tensors.len() == MAX_TENSORS {
                        return Err(serde::de::Error::invalid_length(MAX_TENSORS + 1, &self));
                    }
                    let next = FileId(weights.files.len() as u32);
                    weights.tensors.push((tensor, *weights.files.entry(file).or_insert(next)));
                }
                Ok(weights)
            }
        }

        json.deserialize_map(Pairs)
    }
}
