//! What holds for any text and any ids.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::LazyLock;

use proptest::prelude::*;
use support::{FAMILIES, tokenizer};
use text::{Detokenizer, Tokenizer};
use unicode_normalization::UnicodeNormalization;

static TOKENIZERS: LazyLock<Vec<(&str, Tokenizer)>> = LazyLock::new(|| {
    FAMILIES.into_iter().chain(["demo"]).map(|family| (family, tokenizer(family))).collect()
});

proptest! {
    #[test]
    fn decoding_what_was_encoded_gives_the_text_back(text in any_text(), which in 0..8usize) {
        let (family, tokenizer) = &TOKENIZERS[which];
        let ids = tokenizer.encode(&text).unwrap();
        // Qwen's tokenizers normalize, and so does the demo's; the others are the identity.
        let normalizes = ["qwen2", "qwen35", "demo"].contains(family);
        let expected = if normalizes { text.nfc().collect() } else { text };
        prop_assert_eq!(tokenizer.decode(&ids), expected);
        prop_assert!(!ids.iter().any(|id| tokenizer.is_control(*id)));
    }

    #[test]
    fn ids_one_by_one_give_what_all_ids_give(ids in prop::collection::vec(0..1200u32, 0..40), which in 0..8usize) {
        let (_, tokenizer) = &TOKENIZERS[which];
        let mut detokenizer = Detokenizer::new(tokenizer).keeping_control();
        let mut text: String = ids.iter().map(|id| detokenizer.push(*id)).collect();
        text += &detokenizer.finish();
        prop_assert_eq!(text, tokenizer.decode(&ids));

        let shown: Vec<u32> = ids.iter().copied().filter(|id| !tokenizer.is_control(*id)).collect();
        let mut detokenizer = tokenizer.detokenizer();
        let mut text: String = ids.iter().map(|id| detokenizer.push(*id)).collect();
        text += &detokenizer.finish();
        prop_assert_eq!(text, tokenizer.decode(&shown));
    }

    #[test]
    fn no_ids_are_a_mistake(ids in prop::collection::vec(any::<u32>(), 0..20)) {
        for (_, tokenizer) in TOKENIZERS.iter() {
            tokenizer.decode(&ids);
            let mut detokenizer = tokenizer.detokenizer();
            ids.iter().for_each(|id| drop(detokenizer.push(*id)));
        }
    }
}

#[test]
fn a_character_in_several_tokens_comes_out_whole() {
    let tokenizer = tokenizer("gpt-2");
    let ids = tokenizer.encode("𒀀").unwrap();
    assert!(ids.len() > 1);
    let mut detokenizer = tokenizer.detokenizer();
    let pieces: Vec<String> = ids.iter().map(|id| detokenizer.push(*id)).collect();
    assert_eq!(pieces.last().map(String::as_str), Some("𒀀"));
    assert!(pieces.iter().rev().skip(1).all(String::is_empty));
}

#[test]
fn long_runs_take_linear_time() {
    for run in ["a", " ", "\n", "é", "1", "漢", "!", "a b", " \n", "a\u{301}", "<|im_end|", "'s"] {
        let text = run.repeat(200_000 / run.len());
        for (_, tokenizer) in TOKENIZERS.iter() {
            let ids = tokenizer.encode(&text).unwrap();
            assert_eq!(tokenizer.decode(&ids).nfc().count(), text.nfc().count());
        }
    }
}

/// Any characters at all, and such as tokenizers trip over.
fn any_text() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        " ",
        "  ",
        "\n",
        "\r\n",
        "\t",
        "a",
        "Z",
        "é",
        "e\u{301}",
        "漢",
        "한",
        "1",
        "٣",
        "'s",
        "!",
        "<|im_end|>",
        "😀",
        "\u{200d}",
        "\u{fe0f}",
        "\0",
        "        ",
        "Covid19",
    ]);
    prop_oneof![
        any::<String>(),
        prop::collection::vec(odd, 0..20).prop_map(|pieces| pieces.concat()),
        prop::collection::vec(any::<char>(), 0..20).prop_map(|letters| letters.into_iter().collect()),
    ]
}
