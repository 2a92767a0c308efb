//! What any published model offers once its headers are read.

use std::path::PathBuf;

use crate::gguf::{Header, Metadata};
use crate::tensor::TensorEntry;

/// How the files of a model are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One file of metadata and tensors, or a set of numbered ones.
    Gguf,
    /// A folder with `config.json` and one or more safetensors files.
    Safetensors,
}

/// An opened model: its files, its tensors, and what it says about itself.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// How its files are written.
    pub format: Format,
    /// The folder of a safetensors model, the first file of a GGUF one.
    pub root: PathBuf,
    /// The files that hold tensors; [`base::FileId`] counts them.
    pub files: Vec<PathBuf>,
    /// All tensors of all files, in the order of the files.
    pub tensors: Vec<TensorEntry>,
    /// `config.json`; for GGUF, an object of the metadata that is neither a long array nor a nested one.
    pub config: serde_json::Value,
    /// `generation_config.json`, if there is one.
    pub generation_config: Option<serde_json::Value>,
    /// The metadata of a GGUF model, typed as in the file; empty for safetensors.
    pub metadata: Metadata,
}

impl Checkpoint {
    /// The model that one GGUF file at `path` holds, from its header. Names that are twice in it are not noticed.
    pub fn of_one_gguf(path: PathBuf, header: Header) -> Self {
        Self {
            format: Format::Gguf,
            root: path.clone(),
            files: vec![path],
            tensors: header.tensors,
            config: header.metadata.to_json(),
            generation_config: None,
            metadata: header.metadata,
        }
    }
}
