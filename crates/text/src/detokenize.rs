//! Ids to text as they come, whole characters only.
//!
//! A token may end in the middle of a character; its bytes wait until the rest arrives. What comes out is, in all,
//! exactly what decoding all ids at once would give, broken bytes included.

use base::TokenId;

use crate::tokenizer::Tokenizer;

/// Turns a stream of ids into a stream of text.
pub struct Detokenizer<'t> {
    tokenizer: &'t Tokenizer,
    characters: Characters,
    keeps_control: bool,
}

/// Turns a stream of bytes into whole characters.
#[derive(Debug, Default)]
pub(crate) struct Characters {
    /// The start of a character whose rest is to come; at most three bytes.
    pending: Vec<u8>,
}

impl<'t> Detokenizer<'t> {
    /// A detokenizer that leaves out control tokens.
    pub fn new(tokenizer: &'t Tokenizer) -> Self {
        Self { tokenizer, characters: Characters::default(), keeps_control: false }
    }

    /// Spells control tokens out instead, as [`Tokenizer::decode`] does.
    #[must_use]
    pub fn keeping_control(mut self) -> Self {
        self.keeps_control = true;
        self
    }

    /// The text that `id` completes; empty as long as the bytes do not make a whole character.
    pub fn push(&mut self, id: TokenId) -> String {
        match self.keeps_control || !self.tokenizer.is_control(id) {
            true => self.characters.push(self.tokenizer.piece(id).unwrap_or_default()),
            false => String::new(),
        }
    }

    /// What is left when no more ids come: nothing, or U+FFFD for a character that was never finished.
    pub fn finish(&mut self) -> String {
        self.characters.finish()
    }
}

impl Characters {
    /// The text that `bytes` complete.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let whole = self.pending.len() - unfinished(&self.pending);
        let text = String::from_utf8_lossy(&self.pending[..whole]).into_owned();
        self.pending.drain(..whole);
        text
    }

    /// What is left when no more bytes come.
    pub fn finish(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.pending).into_owned();
        self.pending.clear();
        text
    }
}

/// How many bytes at the end of `bytes` are the start of a character that more bytes could finish.
fn unfinished(bytes: &[u8]) -> usize {
    let chunks = bytes.utf8_chunks();
    let invalid = chunks.last().map_or(&[][..], |chunk| chunk.invalid());
    match std::str::from_utf8(invalid) {
        Err(error) if error.error_len().is_none() => invalid.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::unfinished;

    #[test]
    fn only_a_character_that_can_still_be_finished_waits() {
        let cases: [(&[u8], usize); 9] = [
            (b"", 0),
            (b"abc", 0),
            ("é".as_bytes(), 0),
            (&[b'a', 0xc3], 1),
            (&[0xf0, 0x9f, 0x98], 3),
            (&[0xff], 0),
            (&[0x80, 0x80], 0),
            (&[0xf0, 0x9f, b'a'], 0),
            (&[0xc0, 0xe4, 0xbd], 2),
        ];
        for (bytes, expected) in cases {
            assert_eq!(unfinished(bytes), expected, "{bytes:x?}");
        }
    }
}
