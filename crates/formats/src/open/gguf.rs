//! Opening a GGUF model: one file, or all files of a split one.

use std::path::{Path, PathBuf};

use base::{Context, Error, FileId, Quoted, Result};

use super::split::SplitName;
use crate::checkpoint::{Checkpoint, Format};
use crate::file::open_file;
use crate::gguf::{Header, Metadata, read_header};
use crate::tensor::{MAX_TENSORS, by_name};

const SPLIT_NO: &str = "split.no";
const SPLIT_COUNT: &str = "split.count";
const SPLIT_TENSORS: &str = "split.tensors.count";
const ARCHITECTURE: &str = "general.architecture";

/// Opens the model that the file at `path` is, or is a part of.
pub(super) fn open(path: &Path) -> Result<Checkpoint> {
    let files = files_of(path);
    let mut tensors = Vec::new();
    let mut metadata = Metadata::default();
    for (index, path) in files.iter().enumerate() {
        let header = open_header(path, index)?;
        let first = if index == 0 { &header.metadata } else { &metadata };
        check_split(&header.metadata, first, index as u64, files.len() as u64).within(|| path.display())?;
        tensors.extend(header.tensors);
        if tensors.len() > MAX_TENSORS {
            return Err(Error::corrupt(format!("the model has more than {MAX_TENSORS} tensors"))
                .within(path.display()));
        }
        if index == 0 {
            metadata = header.metadata;
        }
    }
    check_total(&metadata, tensors.len() as u64).within(|| files[0].display())?;
    by_name(&tensors, &files)?;
    let config = metadata.to_json();
    let root = files[0].clone();
    Ok(Checkpoint { format: Format::Gguf, root, files, tensors, config, generation_config: None, metadata })
}

/// All files of the set that `path` names one of; `path` itself when it names no set.
fn files_of(path: &Path) -> Vec<PathBuf> {
    let name = path.file_name().and_then(|name| name.to_str()).and_then(SplitName::parse);
    match name {
        Some(name) => (0..name.count).map(|index| path.with_file_name(name.sibling(index))).collect(),
        None => vec![path.to_owned()],
    }
}

fn open_header(path: &Path, index: usize) -> Result<Header> {
    let (file, bytes) = open_file(path)?;
    read_header(file, FileId(index as u32), bytes).within(|| path.display())
}

/// Holds what file `index` of `count` says about the set against its place in it and against the first file.
fn check_split(own: &Metadata, first: &Metadata, index: u64, count: u64) -> Result<()> {
    let said = own.u64(SPLIT_COUNT)?.unwrap_or(1);
    if said != count {
        return Err(err_count(said, count));
    }
    let number = own.u64(SPLIT_NO)?.unwrap_or(0);
    if number != index {
        return Err(Error::corrupt(format!(
            "{SPLIT_NO} is {number}, expected {index} from the name of the file"
        )));
    }
    if own.u64(SPLIT_TENSORS)? != first.u64(SPLIT_TENSORS)? {
        return Err(err_other_model(SPLIT_TENSORS));
    }
    match own.str(ARCHITECTURE)? {
        Some(name) if first.str(ARCHITECTURE)? != Some(name) => Err(err_other_model(ARCHITECTURE)),
        _ => Ok(()),
    }
}

fn check_total(metadata: &Metadata, found: u64) -> Result<()> {
    match metadata.u64(SPLIT_TENSORS)? {
        Some(said) if said != found => {
            Err(Error::corrupt(format!("{SPLIT_TENSORS} is {said}, but the files hold {found} tensors")))
        }
        _ => Ok(()),
    }
}

fn err_count(said: u64, count: u64) -> Error {
    let error =
        Error::corrupt(format!("{SPLIT_COUNT} is {said}, expected {count} from the name of the file"));
    if count == 1 { error.hint("files of a split model are named NAME-00001-of-00003.gguf") } else { error }
}

fn err_other_model(key: &str) -> Error {
    Error::corrupt(format!("is part of another model than the first file: their {} differ", Quoted(key)))
}
