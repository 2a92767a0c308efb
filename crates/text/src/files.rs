//! Reading the text files beside a model's weights, none of which is trusted to be small.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use base::{Context, Error, Result};
use serde::de::DeserializeOwned;

/// The file of a tokenizer as Hugging Face writes it.
pub(crate) const TOKENIZER: &str = "tokenizer.json";
/// The longest vocabulary file that is read; the largest published one has 33 MB.
pub(crate) const MAX_VOCABULARY_BYTES: u64 = 256 << 20;
/// The longest settings file that is read.
pub(crate) const MAX_SETTINGS_BYTES: u64 = 16 << 20;

/// The folder that a model's tokenizer and template lie in: its own, but of OpenAI's `original`, which has none, the one around it.
pub(crate) fn home(root: &Path) -> &Path {
    let bare = root.file_name().is_some_and(|name| name == "original") && !root.join(TOKENIZER).exists();
    root.parent().filter(|parent| bare && parent.join(TOKENIZER).exists()).unwrap_or(root)
}

/// The bytes of the file at `path`; `None` when there is none, an error when it has more than `most` bytes.
pub(crate) fn read(path: &Path, most: u64) -> Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("cannot be opened", &error).within(path.display())),
    };
    let mut bytes = Vec::new();
    let read = file.take(most + 1).read_to_end(&mut bytes);
    read.map_err(|error| Error::io("cannot be read", &error)).within(|| path.display())?;
    if bytes.len() as u64 > most {
        let error = Error::corrupt(format!("has more than {most} bytes, expected less"));
        return Err(error.within(path.display()));
    }
    Ok(Some(bytes))
}

/// The JSON in the file at `path`, if there is one.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let Some(bytes) = read(path, MAX_SETTINGS_BYTES)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| err_json(&error)).within(|| path.display())
}

/// A file that is not the JSON it should be.
pub(crate) fn err_json(error: &serde_json::Error) -> Error {
    let mut reason = error.to_string().escape_debug().take(200).collect::<String>();
    reason.retain(|letter| letter != '\\');
    Error::corrupt(format!("is not the JSON that was expected: {reason}"))
}
