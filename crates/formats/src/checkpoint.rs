//! What any published model offers once its headers are read.

use std::collections::HashMap;
use std::path::PathBuf;

use base::{Error, Extent, Result};

use crate::element::Element;
use crate::gguf::Metadata;
use crate::quoted::Quoted;

/// The most tensors a model may have. Four times the largest one published, whose 92 layers of 896 experts make half
/// a million; a file that claims more is damaged, or made to fill the memory.
pub const MAX_TENSORS: usize = 1 << 21;

/// How the files of a model are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One file of metadata and tensors, or a set of numbered ones.
    Gguf,
    /// A folder with `config.json` and one or more safetensors files.
    Safetensors,
}

/// One stored tensor: what it is, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorEntry {
    /// Its name in the file.
    pub name: String,
    /// What its numbers are.
    pub element: Element,
    /// Its sizes, outermost first and the contiguous one last, for GGUF too (where the file has them reversed).
    /// Empty for a single number.
    pub shape: Vec<u64>,
    /// Where its bytes lie; within the file, and shared with no other tensor.
    pub extent: Extent,
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

/// Each tensor by its name. Refuses a name that occurs twice in the model.
pub(crate) fn by_name<'a>(
    tensors: &'a [TensorEntry],
    files: &[PathBuf],
) -> Result<HashMap<&'a str, &'a TensorEntry>> {
    let mut named = HashMap::with_capacity(tensors.len());
    for tensor in tensors {
        if let Some(first) = named.insert(tensor.name.as_str(), tensor) {
            return Err(err_twice(first, tensor, files));
        }
    }
    Ok(named)
}

fn err_twice(first: &TensorEntry, second: &TensorEntry, files: &[PathBuf]) -> Error {
    let path = |tensor: &TensorEntry| {
        files.get(tensor.extent.file.0 as usize).map(|path| path.display().to_string())
    };
    let elsewhere = match path(first).filter(|_| first.extent.file != second.extent.file) {
        Some(path) => format!("was already found in {path}"),
        None => "occurs twice".to_owned(),
    };
    let error = Error::corrupt(format!("tensor {} {elsewhere}", Quoted(&second.name)));
    path(second).into_iter().fold(error, Error::within)
}
