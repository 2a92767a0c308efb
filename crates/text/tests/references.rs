//! Ids equal those of the reference implementations: Hugging Face `tokenizers` and tiktoken.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::json;
use support::{FAMILIES, Ids, corpus, fixture, folder, tokenizer};
use text::{ChatOptions, ChatTemplate, Detokenizer, Rendered, Tokenizer};

#[test]
fn plain_text_has_the_ids_of_the_reference() {
    for family in FAMILIES.into_iter().chain(["demo"]) {
        check_plain(family, &tokenizer(family));
    }
}

#[test]
fn a_vocabulary_in_a_gguf_file_gives_the_same_ids() {
    let files = [
        ("gpt-2", "gpt-2"),
        ("llama-bpe", "llama-bpe"),
        ("llama-bpe", "glm4"),
        ("qwen2", "qwen2"),
        ("qwen35", "qwen35"),
        ("deepseek-v3", "deepseek-v3"),
        ("deepseek-llm", "deepseek-llm"),
        ("gpt-4o", "gpt-4o"),
        ("gpt-4o", "minimax-m2"),
        ("kimi-k2", "vocabulary"),
    ];
    for (family, file) in files {
        let checkpoint = formats::open(&fixture(&format!("{family}/{file}.gguf"))).unwrap();
        let tokenizer = Tokenizer::from_checkpoint(&checkpoint).unwrap();
        check_plain(family, &tokenizer);
        let stop = if family == "kimi-k2" { "[EOS]" } else { "<|im_end|>" };
        assert_eq!(
            tokenizer.stop_tokens().iter().copied().collect::<Vec<_>>(),
            [tokenizer.id_of(stop).unwrap()]
        );
        assert_eq!(tokenizer.bos(), tokenizer.id_of("[BOS]"));
    }
}

#[test]
fn vocabularies_of_sentence_piece_give_the_ids_of_the_reference() {
    let opened = formats::open(&fixture("llama-spm/llama.gguf")).unwrap();
    let in_gguf = Tokenizer::from_checkpoint(&opened).unwrap();
    for (family, tokenizer) in
        [("llama-spm", tokenizer("llama-spm")), ("llama-spm", in_gguf), ("metaspace", tokenizer("metaspace"))]
    {
        check_plain(family, &tokenizer);
        assert_eq!((tokenizer.bos(), tokenizer.adds_bos()), (Some(1), true));
        assert_eq!(tokenizer.stop_tokens().iter().copied().collect::<Vec<_>>(), [2]);
        for (text, Ids { plain, trusted }) in corpus(family) {
            assert_eq!(tokenizer.encode_trusted(&text).unwrap(), trusted, "{family}: {text:?}");
            let spaced = text.replace('\u{2581}', " ");
            let expected =
                if family == "metaspace" { spaced.strip_prefix(' ').unwrap_or(&spaced) } else { &spaced };
            assert_eq!(tokenizer.decode(&plain), expected, "{family}");
        }
        let rendered = written("<s>[INST] Hi [/INST]", &tokenizer);
        let expected = tokenizer.encode_trusted("<s>[INST] Hi [/INST]").unwrap();
        assert_eq!(tokenizer.encode_rendered(&rendered).unwrap(), expected, "{family}");
    }
}

#[test]
fn trusted_text_has_the_ids_of_the_reference() {
    for family in FAMILIES.into_iter().chain(["demo"]) {
        let tokenizer = tokenizer(family);
        for (text, Ids { trusted, .. }) in corpus(family) {
            assert_eq!(tokenizer.encode_trusted(&text).unwrap(), trusted, "{family}: {text:?}");
            // Jinja would drop a last line break, and has its own idea of braces.
            if !text.ends_with(['\n', '\r']) && !text.contains('{') {
                assert_eq!(
                    tokenizer.encode_rendered(&written(&text, &tokenizer)).unwrap(),
                    trusted,
                    "{family}: {text:?}"
                );
            }
        }
    }
}

#[test]
fn decoding_gives_the_text_back() {
    for family in FAMILIES.into_iter().chain(["demo"]) {
        let tokenizer = tokenizer(family);
        let normalizes = ["qwen2", "qwen35", "demo"].contains(&family);
        for (text, ids) in corpus(family) {
            let expected = if normalizes { nfc(&text) } else { text };
            assert_eq!(tokenizer.decode(&ids.plain), expected, "{family}");
            let mut detokenizer = Detokenizer::new(&tokenizer);
            let pieces: String = ids.plain.iter().map(|id| detokenizer.push(*id)).collect();
            assert_eq!(pieces + &detokenizer.finish(), expected, "{family}");
        }
    }
}

#[test]
fn the_demo_opens_with_its_settings() {
    let config = json!({ "eos_token_id": 0 });
    let generation = json!({ "eos_token_id": [0, 2, 99999] });
    let tokenizer = Tokenizer::from_checkpoint(&folder(fixture("demo"), config, Some(generation))).unwrap();
    assert_eq!(tokenizer.vocab_size(), 4096);
    assert_eq!(tokenizer.stop_tokens().iter().copied().collect::<Vec<_>>(), [0, 2]);
    assert_eq!((tokenizer.bos(), tokenizer.adds_bos()), (None, false));
    assert!(tokenizer.is_control(7) && !tokenizer.is_control(8) && !tokenizer.is_control(4096));
    assert_eq!(tokenizer.piece(265), Some(&b"he"[..]));
}

#[test]
fn a_bare_model_of_sentence_piece_gives_the_same_ids() {
    let opened = formats::open(&fixture("llama-spm/llama.gguf")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokenizer.model"), sentence_piece_model(&opened.metadata)).unwrap();
    let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
    check_plain("llama-spm", &tokenizer);
    assert_eq!((tokenizer.bos(), tokenizer.adds_bos()), (Some(1), true));
    assert_eq!(tokenizer.stop_tokens().iter().copied().collect::<Vec<_>>(), [2]);
}

/// The same vocabulary as SentencePiece writes it.
fn sentence_piece_model(metadata: &formats::gguf::Metadata) -> Vec<u8> {
    let tokens = metadata.strings("tokenizer.ggml.tokens").unwrap().unwrap();
    let scores = metadata.floats("tokenizer.ggml.scores").unwrap().unwrap();
    let kinds = metadata.integers("tokenizer.ggml.token_type").unwrap().unwrap();
    let mut model = Vec::new();
    for ((text, score), kind) in tokens.iter().zip(&scores).zip(kinds.iter()) {
        let mut piece = vec![0x0a, text.len() as u8];
        piece.extend(text.as_bytes());
        piece.push(0x15);
        piece.extend((*score as f32).to_le_bytes());
        piece.extend([0x18, *kind as u8]);
        model.extend([0x0a, piece.len() as u8]);
        model.extend(piece);
    }
    // Merged by score; spaces kept, and one put first.
    model.extend([0x12, 2, 0x18, 2, 0x1a, 4, 0x18, 1, 0x20, 0]);
    model
}

#[test]
fn the_folder_original_borrows_the_tokenizer_around_it() {
    let around = tempfile::tempdir().unwrap();
    let original = around.path().join("original");
    std::fs::create_dir(&original).unwrap();
    let refused = Tokenizer::from_folder(&original).err().unwrap().to_string();
    assert!(refused.contains("has no tokenizer"), "{refused}");
    std::fs::copy(fixture("gpt-4o/tokenizer.json"), around.path().join("tokenizer.json")).unwrap();
    check_plain("gpt-4o", &Tokenizer::from_folder(&original).unwrap());
}

fn check_plain(family: &str, tokenizer: &Tokenizer) {
    for (text, Ids { plain, .. }) in corpus(family) {
        let ids = tokenizer.encode(&text).unwrap();
        assert_eq!(ids, plain, "{family}: {text:?}");
        assert!(!ids.iter().any(|id| tokenizer.is_control(*id)));
    }
}

/// `text` as a template would write it.
fn written(text: &str, tokenizer: &Tokenizer) -> Rendered {
    ChatTemplate::new(text, tokenizer).unwrap().render(&[], &ChatOptions::default()).unwrap()
}

fn nfc(text: &str) -> String {
    use unicode_normalization::UnicodeNormalization;
    text.nfc().collect()
}
