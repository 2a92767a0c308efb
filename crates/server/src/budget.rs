//! Bounds thoughts: after so many tokens of them, the mark that ends them is all that may come.

use std::sync::Arc;

use base::{Result, TokenId};
use text::{Reasoning, Tokenizer};
use tidemill::Constraint;

/// Lets a model think for some tokens, and holds its answer to what it is held to anyway.
#[derive(Clone)]
pub struct Budget {
    tokenizer: Arc<Tokenizer>,
    reasoning: Reasoning,
    /// The tokens of the mark that ends thoughts.
    end: Vec<TokenId>,
    /// Tokens of thoughts that may still come.
    left: usize,
    place: Place,
    /// The end of what was said, in which a mark may have begun.
    tail: String,
    answer: Option<Box<dyn Constraint>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Outside,
    Within,
    /// So many tokens of the mark were written.
    Ending(usize),
}

/// More bytes than any mark has.
const TAIL_BYTES: usize = 64;

impl Budget {
    /// `tokens` of thoughts between the marks of `reasoning`, within which the answer begins if it `thinks`.
    pub fn new(
        tokenizer: Arc<Tokenizer>,
        reasoning: Reasoning,
        thinks: bool,
        tokens: usize,
        answer: Option<Box<dyn Constraint>>,
    ) -> Result<Self> {
        let end = tokenizer.encode_trusted(reasoning.close)?;
        let place = if thinks { Place::Within } else { Place::Outside };
        Ok(Self { tokenizer, reasoning, end, left: tokens, place, tail: String::new(), answer })
    }

    /// Looks for `mark` in what was said, and forgets what was said before its end.
    fn came(&mut self, mark: &str) -> bool {
        let place = self.tail.find(mark).map(|place| place + mark.len());
        self.tail.drain(..place.unwrap_or(0));
        while self.tail.len() > TAIL_BYTES {
            self.tail.remove(0);
        }
        place.is_some()
    }
}

impl Constraint for Budget {
    fn mask(&mut self, logits: &mut [f32]) -> Result<()> {
        let Place::Ending(at) = self.place else {
            return self.answer.as_mut().map_or(Ok(()), |answer| answer.mask(logits));
        };
        logits.fill(f32::NEG_INFINITY);
        if let Some(logit) = self.end.get(at).and_then(|token| logits.get_mut(*token as usize)) {
            *logit = 0.0;
        }
        Ok(())
    }

    fn advance(&mut self, token: TokenId) -> Result<()> {
        if let Some(answer) = &mut self.answer {
            answer.advance(token)?;
        }
        self.tail += &String::from_utf8_lossy(self.tokenizer.piece(token).unwrap_or_default());
        let (place, Reasoning { open, close }) = (self.place, self.reasoning);
        self.place = match place {
            Place::Outside => {
                if self.came(open) {
                    Place::Within
                } else {
                    place
                }
            }
            Place::Within => {
                self.left = self.left.saturating_sub(1);
                if self.came(close) { Place::Outside } else { place }
            }
            Place::Ending(at) if at + 1 == self.end.len() => {
                self.tail.clear();
                Place::Outside
            }
            Place::Ending(at) => Place::Ending(at + 1),
        };
        if self.place == Place::Within && self.left == 0 {
            self.place = Place::Ending(0);
        }
        Ok(())
    }

    fn may_stop(&mut self) -> bool {
        !matches!(self.place, Place::Ending(_)) && self.answer.as_mut().is_none_or(|answer| answer.may_stop())
    }

    fn fork(&self) -> Box<dyn Constraint> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    /// One token for each byte, and the marks of thoughts as control tokens 256 and 257.
    fn tokenizer() -> Arc<Tokenizer> {
        let folder = tempfile::tempdir().unwrap();
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut ranks = String::new();
        for byte in 0..=255u8 {
            let (high, low) = (letters[usize::from(byte >> 2)], letters[usize::from((byte & 3) << 4)]);
            writeln!(ranks, "{}{}== {byte}", char::from(high), char::from(low)).unwrap();
        }
        let settings =
            r#"{"added_tokens_decoder": {"256": {"content": "<think>"}, "257": {"content": "</think>"}}}"#;
        for (name, text) in
            [("tiktoken.model", &*ranks), ("tokenizer_config.json", settings), ("config.json", "{}")]
        {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Arc::new(Tokenizer::from_folder(folder.path()).unwrap())
    }

    /// What may come next: nothing but one token, or anything.
    fn only(budget: &mut Budget) -> Option<usize> {
        let mut logits = vec![1.0; 258];
        budget.mask(&mut logits).unwrap();
        let left: Vec<usize> = (0..258).filter(|token| logits[*token] > f32::NEG_INFINITY).collect();
        if let [token] = left[..] { Some(token) } else { None }
    }

    fn budget(reasoning: Reasoning, thinks: bool) -> Budget {
        Budget::new(tokenizer(), reasoning, thinks, 3, None).unwrap()
    }

    #[test]
    fn thoughts_end_when_their_tokens_are_spent() {
        let mut budget = budget(Reasoning { open: "<think>", close: "</think>" }, false);
        for token in [u32::from(b'\n'), 256, 97, 97] {
            budget.advance(token).unwrap();
            assert_eq!(only(&mut budget), None);
        }
        budget.advance(97).unwrap();
        assert_eq!((only(&mut budget), budget.may_stop()), (Some(257), false));
        let mut again = budget.clone();
        for token in [257, 97, 97, 97, 97, 97] {
            budget.advance(token).unwrap();
            assert_eq!((only(&mut budget), budget.may_stop()), (None, true), "the answer has no bound");
        }
        again.advance(257).unwrap();
        again.advance(256).unwrap();
        assert_eq!(only(&mut again), Some(257), "thoughts that are begun again are over at once");
    }

    #[test]
    fn a_mark_of_letters_is_written_letter_by_letter_and_an_early_end_spends_nothing() {
        let reasoning = Reasoning { open: "<t>", close: "</t>" };
        let mut spent = budget(reasoning, true);
        (0..3).for_each(|_| spent.advance(97).unwrap());
        for letter in *b"</t>" {
            assert_eq!(only(&mut spent), Some(usize::from(letter)));
            spent.advance(u32::from(letter)).unwrap();
        }
        assert_eq!(only(&mut spent), None);
        let mut early = Budget::new(tokenizer(), reasoning, true, 9, None).unwrap();
        for letter in b"a</t>bbbbbbbbbbbb" {
            early.advance(u32::from(*letter)).unwrap();
            assert_eq!(only(&mut early), None);
        }
    }
}
