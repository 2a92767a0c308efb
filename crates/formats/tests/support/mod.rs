//! Spelling out model files byte by byte, right and wrong, and looking at how they are refused.
#![allow(dead_code)] // each test uses its part

use std::path::{Path, PathBuf};

use base::{Error, Kind};

/// The bytes of a GGUF file, part by part. `tensor_count` and `key_count` are what the file claims.
pub struct Gguf {
    pub version: u32,
    pub tensor_count: u64,
    pub key_count: u64,
    pub keys: Vec<u8>,
    pub tensors: Vec<u8>,
    pub data: usize,
}

impl Gguf {
    pub fn new() -> Self {
        Self { version: 3, tensor_count: 0, key_count: 0, keys: Vec::new(), tensors: Vec::new(), data: 0 }
    }

    /// Adds a metadata entry; `value` is its number and what follows it.
    pub fn key(mut self, key: impl AsRef<[u8]>, value: Vec<u8>) -> Self {
        self.keys.extend(string(key));
        self.keys.extend(value);
        self.key_count += 1;
        self
    }

    /// Adds a tensor; `sizes` are innermost first, as in the file.
    pub fn tensor(mut self, name: impl AsRef<[u8]>, sizes: &[u64], ggml_type: u32, offset: u64) -> Self {
        self.tensors.extend(string(name));
        self.tensors.extend((sizes.len() as u32).to_le_bytes());
        self.tensors.extend(sizes.iter().flat_map(|size| size.to_le_bytes()));
        self.tensors.extend(ggml_type.to_le_bytes());
        self.tensors.extend(offset.to_le_bytes());
        self.tensor_count += 1;
        self
    }

    /// Adds zero bytes of tensor data.
    pub fn data(mut self, bytes: usize) -> Self {
        self.data += bytes;
        self
    }

    /// Overrides what the file claims.
    pub fn claiming(mut self, tensors: u64, keys: u64) -> Self {
        (self.tensor_count, self.key_count) = (tensors, keys);
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(self.version.to_le_bytes());
        bytes.extend(self.tensor_count.to_le_bytes());
        bytes.extend(self.key_count.to_le_bytes());
        bytes.extend(&self.keys);
        bytes.extend(&self.tensors);
        bytes.resize(bytes.len().next_multiple_of(32) + self.data, 0);
        bytes
    }
}

pub fn string(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    [&(text.len() as u64).to_le_bytes(), text].concat()
}

/// The value of a metadata entry: type 4.
pub fn u32_value(value: u32) -> Vec<u8> {
    [4u32.to_le_bytes(), value.to_le_bytes()].concat()
}

/// The value of a metadata entry: type 8.
pub fn string_value(text: &str) -> Vec<u8> {
    [8u32.to_le_bytes().to_vec(), string(text)].concat()
}

/// An array without its own type: the type of the items, a count that may lie, and the items.
pub fn items(item_type: u32, count: u64, items: &[u8]) -> Vec<u8> {
    [&item_type.to_le_bytes()[..], &count.to_le_bytes(), items].concat()
}

/// The value of a metadata entry: type 9.
pub fn array_value(item_type: u32, count: u64, bytes: &[u8]) -> Vec<u8> {
    [9u32.to_le_bytes().to_vec(), items(item_type, count, bytes)].concat()
}

/// The bytes of a safetensors file whose header is `json`.
pub fn safetensors(json: &str, data: usize) -> Vec<u8> {
    let mut bytes = string(json);
    bytes.resize(bytes.len() + data, 0);
    bytes
}

/// A file in `folder`.
pub fn file(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Opens what must not open. The error must be one sentence that names `file` and says all of `words`.
pub fn refusal(path: &Path, file: &str, words: &[&str]) -> Error {
    let error = formats::open(path).expect_err(&format!("{} with {words:?} was opened", path.display()));
    let text = error.to_string();
    assert!(text.contains(file), "{text:?} does not name {file}");
    for word in words {
        assert!(text.contains(word), "{text:?} does not say {word:?}");
    }
    assert!(!text.contains(|letter: char| letter.is_control()), "{text:?} is not one line");
    assert!(
        text.chars().count() < 600 && !text.contains(". ") && !text.ends_with('.'),
        "{text:?} is no sentence"
    );
    assert!(
        matches!(error.kind(), Kind::Corrupt | Kind::Unsupported | Kind::Input),
        "{:?}: {text}",
        error.kind()
    );
    error
}
