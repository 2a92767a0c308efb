//! Any bytes as a GGUF file: read or refused, and every extent that is read lies in the file.
#![no_main]

use base::FileId;
use formats::gguf::read_header;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(header) = read_header(bytes, FileId(0), bytes.len() as u64) {
        for tensor in &header.tensors {
            let end = tensor.extent.end().expect("an extent within the file");
            assert!(tensor.extent.len == 0 || end <= bytes.len() as u64);
        }
    }
});
