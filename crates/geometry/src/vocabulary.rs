//! A vocabulary of the real one's size: a token for each byte, the control tokens where the model has them, and made-up
//! words in all other places. Any text can be tokenized, byte by byte, and any token printed.

use formats::gguf::{Array, Metadata, Strings};

use crate::shape::Geometry;

/// What the chat template writes. It has no control tokens, so that it fits every vocabulary.
const CHAT: &str = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}\
                    {% if add_generation_prompt %}assistant: {% endif %}";

/// Kinds of tokens, as GGUF numbers them.
const TEXT: i32 = 1;
const CONTROL: i32 = 3;

/// Sets the keys of the tokenizer.
pub(crate) fn set(out: &mut Metadata, geometry: &Geometry) {
    let controls = geometry.text.controls;
    let mut kinds = Vec::with_capacity(geometry.vocab);
    let mut others = 0..;
    let tokens: Strings = (0..geometry.vocab as u32)
        .map(|id| match controls.iter().find(|control| control.id == id) {
            Some(control) => {
                kinds.push(CONTROL);
                control.text.to_owned()
            }
            None => {
                kinds.push(TEXT);
                token(others.next().unwrap_or(0))
            }
        })
        .collect();
    out.set("tokenizer.ggml.model", "gpt2");
    out.set("tokenizer.ggml.pre", geometry.text.pre);
    out.set("tokenizer.ggml.tokens", tokens);
    out.set("tokenizer.ggml.token_type", Array::I32(kinds));
    out.set("tokenizer.ggml.merges", Strings::default());
    for control in controls {
        out.set(&format!("tokenizer.ggml.{}_token_id", control.role), control.id);
    }
    out.set("tokenizer.ggml.add_bos_token", false);
    out.set("tokenizer.chat_template", CHAT);
}

/// The spelling of the token of this number, not counting control tokens.
fn token(number: usize) -> String {
    match u8::try_from(number) {
        Ok(byte) => letter(byte).to_string(),
        Err(_) => word(number),
    }
}

/// The letter a byte is spelled with, as GPT-2 does it: printable Latin-1 stands for itself, the other bytes are U+0100
/// and up.
fn letter(byte: u8) -> char {
    let stands_for_itself = |byte: u8| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    if stands_for_itself(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|byte| !stands_for_itself(*byte)).count() as u32;
    char::from_u32(0x100 + before).unwrap_or('?')
}

/// A word of three syllables behind a space, another for each number.
fn word(number: usize) -> String {
    const CONSONANTS: &[u8; 20] = b"bcdfghjklmnpqrstvwxz";
    const VOWELS: &[u8; 5] = b"aeiou";
    let syllable = |digit: usize| [CONSONANTS[digit % 20], VOWELS[digit / 20 % 5]].map(char::from);
    let syllables = [number / 10_000, number / 100, number].map(|digits| syllable(digits % 100));
    std::iter::once('Ġ').chain(syllables.into_iter().flatten()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::table::ALL;

    #[test]
    fn no_two_tokens_are_spelled_alike_and_every_byte_has_one() {
        for geometry in ALL {
            let mut metadata = Metadata::default();
            set(&mut metadata, geometry);
            let tokens = metadata.strings("tokenizer.ggml.tokens").unwrap().unwrap();
            assert_eq!(tokens.len(), geometry.vocab);
            let spelled: HashSet<&str> = tokens.iter().collect();
            assert_eq!(spelled.len(), geometry.vocab, "{}", geometry.name);
            assert!((0..=255).all(|byte| spelled.contains(letter(byte).to_string().as_str())));
        }
    }

    #[test]
    fn bytes_are_spelled_as_by_gpt_2() {
        assert_eq!([b' ', b'\n', b'a', 0x7f, 0xad, 0xe9].map(letter), ['Ġ', 'Ċ', 'a', 'ġ', 'Ń', 'é']);
    }
}
