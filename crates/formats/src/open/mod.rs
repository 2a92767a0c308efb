//! Deciding what a path is: a GGUF file, a folder of safetensors, a folder with a GGUF file.

mod split;

mod gguf;
mod safetensors;

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use base::{Context, Error, Quoted, Result};

use self::split::SplitName;
use crate::checkpoint::Checkpoint;

/// Opens the model at `path`: a GGUF file (of a split model, any of its files), a folder with `config.json` and
/// safetensors files, or a folder that holds one GGUF model.
///
/// Reads headers only. Fails with [`base::Kind::Input`] when there is no such model, [`base::Kind::Corrupt`] when
/// its files contradict themselves or each other, [`base::Kind::Unsupported`] when they are of a version or type
/// that cannot be read, and [`base::Kind::Io`] when reading fails. The error names the file, and the tensor if it
/// is about one.
pub fn open(path: &Path) -> Result<Checkpoint> {
    let found = fs::metadata(path).map_err(|error| err_stat(&error).within(path.display()))?;
    if found.is_dir() {
        return open_folder(path);
    }
    if path.extension().is_some_and(|extension| extension == "safetensors") {
        return Err(err_one_shard(path));
    }
    gguf::open(path)
}

fn open_folder(folder: &Path) -> Result<Checkpoint> {
    let names = file_names(folder).within(|| folder.display())?;
    if safetensors::holds_model(&names) {
        return safetensors::open(folder, &names);
    }
    let models = gguf_models(&names);
    match models.as_slice() {
        [only] => gguf::open(&folder.join(only)),
        [] => Err(err_no_model().within(folder.display())),
        [first, second, ..] => Err(err_several(models.len(), first, second).within(folder.display())),
    }
}

/// The names in a folder, sorted. Names that are not UTF-8 are passed over: no model's files have them.
fn file_names(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
    let entries = entries.map_err(|error| Error::io("the folder cannot be listed", &error))?;
    let mut names: Vec<String> =
        entries.into_iter().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

/// One file of each GGUF model among `names`. Vision projectors (`mmproj…`) lie beside a model and are none.
fn gguf_models(names: &[String]) -> Vec<&str> {
    let mut models = BTreeMap::new();
    for name in names.iter().filter(|name| name.ends_with(".gguf") && !name.starts_with("mmproj")) {
        let first = SplitName::parse(name).map_or_else(|| name.clone(), |split| split.sibling(0));
        models.entry(first).or_insert(name.as_str());
    }
    models.into_values().collect()
}

fn err_stat(error: &std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::input("no such file or folder"),
        _ => Error::io("cannot be opened", error),
    }
}

fn err_one_shard(path: &Path) -> Error {
    Error::input("a safetensors file is opened by the folder that holds it and its config.json")
        .within(path.display())
}

fn err_no_model() -> Error {
    Error::input("the folder holds neither safetensors nor GGUF files")
}

fn err_several(count: usize, first: &str, second: &str) -> Error {
    let (first, second) = (Quoted(first), Quoted(second));
    Error::input(format!(
        "the folder holds {count} GGUF models, {first} and {second} among them; expected one"
    ))
    .hint("give the path of a file instead of the folder")
}
