//! Opening a folder as Hugging Face lays it out: `config.json`, and one file of tensors or several with an index.

use std::path::{Path, PathBuf};

use base::{Context, Error, FileId, Result};

use crate::checkpoint::{Checkpoint, Format};
use crate::file::{open_file, read_json, read_json_if_there};
use crate::gguf::Metadata;
use crate::safetensors::{Index, read_header};
use crate::tensor::{MAX_TENSORS, TensorEntry, by_name};

const SINGLE_FILE: &str = "model.safetensors";
const INDEX_FILE: &str = "model.safetensors.index.json";

/// Whether a folder with files of these names holds a safetensors model.
pub(super) fn holds_model(names: &[String]) -> bool {
    names.iter().any(|name| name == INDEX_FILE || name.ends_with(".safetensors"))
}

/// Opens the model in `folder`, which has files of these names.
pub(super) fn open(folder: &Path, names: &[String]) -> Result<Checkpoint> {
    let config = read_json(&folder.join("config.json"))?;
    let generation_config = read_json_if_there(&folder.join("generation_config.json"))?;
    let index = match single_file(names) {
        Some(_) => None,
        None if names.iter().any(|name| name == INDEX_FILE) => Some(Index::read(&folder.join(INDEX_FILE))?),
        None => return Err(err_no_index().within(folder.display())),
    };
    let shards = match &index {
        Some(index) => index.files.as_slice(),
        None => single_file(names).map(std::slice::from_ref).unwrap_or_default(),
    };
    let files: Vec<PathBuf> = shards.iter().map(|name| folder.join(name)).collect();
    let tensors = read_files(&files)?;
    let named = by_name(&tensors, &files)?;
    if let Some(index) = &index {
        index.check(&named).within(|| folder.join(INDEX_FILE).display().to_string())?;
    }
    Ok(Checkpoint {
        format: Format::Safetensors,
        root: folder.to_owned(),
        files,
        tensors,
        config,
        generation_config,
        metadata: Metadata::default(),
    })
}

/// The file that is the whole model: one of the standard name (which transformers, too, prefers to an index), or the
/// only one there is when there is no index.
fn single_file(names: &[String]) -> Option<&String> {
    if let Some(name) = names.iter().find(|name| *name == SINGLE_FILE) {
        return Some(name);
    }
    let mut shards = names.iter().filter(|name| name.ends_with(".safetensors"));
    let only = shards.next().filter(|_| shards.next().is_none());
    only.filter(|_| !names.iter().any(|name| name == INDEX_FILE))
}

fn read_files(files: &[PathBuf]) -> Result<Vec<TensorEntry>> {
    let mut tensors = Vec::new();
    for (index, path) in files.iter().enumerate() {
        let (file, bytes) = open_file(path)?;
        let entries = read_header(file, FileId(index as u32), bytes).within(|| path.display())?;
        tensors.extend(entries);
        if tensors.len() > MAX_TENSORS {
            return Err(Error::corrupt(format!("the model has more than {MAX_TENSORS} tensors"))
                .within(path.display()));
        }
    }
    Ok(tensors)
}

fn err_no_index() -> Error {
    Error::input(format!("holds several safetensors files, but no {INDEX_FILE}"))
}
