//! Opening the files of a model, and reading the small JSON ones.

use std::fs::{self, File};
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

use base::{Context, Error, Excerpt, Kind, Result};

/// The longest `config.json` that is read. Real ones have a few kilobytes; those that list every module that is not
/// quantized have a megabyte.
const MAX_JSON_BYTES: u64 = 16 << 20;

/// An ordinary file and its size in bytes. Symbolic links are followed: a download cache is made of them.
pub(crate) fn open_file(path: &Path) -> Result<(File, u64)> {
    let open = || {
        let found = fs::metadata(path).map_err(|error| err_open(&error))?;
        if !found.is_file() {
            return Err(Error::input("is not an ordinary file"));
        }
        let file = File::open(path).map_err(|error| err_open(&error))?;
        let bytes = file.metadata().map_err(|error| err_open(&error))?.len();
        Ok((file, bytes))
    };
    open().within(|| path.display())
}

/// The JSON in a small file.
pub(crate) fn read_json(path: &Path) -> Result<serde_json::Value> {
    let (file, bytes) = open_file(path)?;
    let parse = || {
        if bytes > MAX_JSON_BYTES {
            return Err(Error::corrupt(format!("has {bytes} bytes, expected at most {MAX_JSON_BYTES}")));
        }
        serde_json::from_reader(BufReader::new(file.take(bytes))).map_err(|error| err_json(&error))
    };
    parse().within(|| path.display())
}

/// As [`read_json`], but a file that does not exist is no error.
pub(crate) fn read_json_if_there(path: &Path) -> Result<Option<serde_json::Value>> {
    if fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Ok(None);
    }
    read_json(path).map(Some)
}

/// A failure of `serde_json`: of the JSON, or of the file under it.
pub(crate) fn err_json(error: &serde_json::Error) -> Error {
    if error.is_io() {
        return Error::new(Kind::Io, format!("cannot be read: {error}"));
    }
    Error::corrupt(format!("is not the JSON that was expected: {}", Excerpt(&error.to_string())))
}

fn err_open(error: &std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::input("the file does not exist"),
        _ => Error::io("cannot be opened", error),
    }
}
