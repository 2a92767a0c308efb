//! Any bytes as a safetensors file: read or refused, and what is read fits into the file.
#![no_main]

use base::FileId;
use formats::safetensors::read_header;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(tensors) = read_header(bytes, FileId(0), bytes.len() as u64) {
        let data: u64 = tensors.iter().map(|tensor| tensor.extent.len).sum();
        assert!(data <= bytes.len() as u64);
    }
});
