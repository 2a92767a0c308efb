//! One stored tensor, and the rules for all tensors of a model: not too many, and no name twice.

use std::collections::HashMap;
use std::path::PathBuf;

use base::{Error, Extent, Quoted, Result};

use crate::element::Element;

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

/// The most tensors a model may have. Four times the largest one published, whose 92 layers of 896 experts make half
/// a million; a file that claims more is damaged, or made to fill the memory.
pub const MAX_TENSORS: usize = 1 << 21;

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

/// How an error names a tensor.
pub(crate) fn place(tensor: &TensorEntry) -> String {
    format!("tensor {}", Quoted(&tensor.name))
}
