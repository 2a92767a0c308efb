//! Any bytes as a tokenizer, in each of the three ways to write one down: read or refused, and what is read encodes
//! and decodes without making a control token of text.
#![no_main]

use base::FileId;
use formats::gguf::read_header;
use libfuzzer_sys::fuzz_target;
use text::Tokenizer;

fuzz_target!(|bytes: &[u8]| {
    let gguf = read_header(bytes, FileId(0), bytes.len() as u64).and_then(|head| Tokenizer::from_metadata(&head.metadata));
    for tokenizer in [Tokenizer::from_json(bytes), Tokenizer::from_ranks(bytes), gguf].into_iter().flatten() {
        for text in ["", "ab  a<|e|>\n", "a1b2 漢e\u{301}"] {
            if let Ok(ids) = tokenizer.encode(text) {
                assert!(!ids.iter().any(|id| tokenizer.is_control(*id)));
                tokenizer.decode(&ids);
            }
        }
        let mut detokenizer = tokenizer.detokenizer();
        (0..16).chain([u32::MAX]).for_each(|id| drop(detokenizer.push(id)));
    }
});
