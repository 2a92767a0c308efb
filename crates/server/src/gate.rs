//! Holds the calls of an answer to their schemas where the model is free to call or not: whatever it says is its own
//! business, until it writes the mark that begins a call.

use std::sync::Arc;

use base::{Result, TokenId};
use text::{AnswerSyntax, Calls, Reasoning, Tokenizer};
use tidemill::Constraint;

/// Lets text pass, and holds what follows the mark of a call to a grammar.
#[derive(Clone)]
pub struct Gate {
    tokenizer: Arc<Tokenizer>,
    /// What a call must look like, its mark included.
    calls: Box<dyn Constraint>,
    mark: &'static str,
    reasoning: Option<Reasoning>,
    thinks: bool,
    /// The end of what was said, in which a mark may have begun.
    tail: String,
    /// Where the answer is in its calls, once there are any.
    within: Option<Box<dyn Constraint>>,
}

/// More bytes than any mark has.
const TAIL_BYTES: usize = 256;

impl Gate {
    /// For answers in `syntax` whose calls are to be as `calls` wants; `None` when calls have no mark to know them by.
    pub fn new(
        tokenizer: Arc<Tokenizer>,
        syntax: &AnswerSyntax,
        thinks: bool,
        calls: Box<dyn Constraint>,
    ) -> Option<Self> {
        let Calls::Framed(frame) = &syntax.calls else { return None };
        let mark = frame.section.map_or(frame.open, |(open, _)| open);
        let reasoning = syntax.reasoning;
        Some(Self { tokenizer, calls, mark, reasoning, thinks, tail: String::new(), within: None })
    }

    /// Looks for marks in what was said, and enters the calls when theirs is there.
    fn look(&mut self) -> Result<()> {
        if let Some(reasoning) = self.reasoning {
            let mark = if self.thinks { reasoning.close } else { reasoning.open };
            if let Some(place) = self.tail.find(mark) {
                self.thinks = !self.thinks;
                self.tail.drain(..place + mark.len());
            }
        }
        if !self.thinks
            && let Some(place) = self.tail.find(self.mark)
        {
            let said = self.tail.split_off(place);
            self.within = Some(self.entered(&said)?);
        }
        while self.tail.len() > TAIL_BYTES {
            self.tail.remove(0);
        }
        Ok(())
    }

    /// The grammar of calls after `said`, which begins with the mark.
    fn entered(&self, said: &str) -> Result<Box<dyn Constraint>> {
        let rest = &said[self.mark.len()..];
        let mut tokens = match self.tokenizer.id_of(self.mark) {
            Some(id) => vec![id],
            None => self.tokenizer.encode(self.mark)?,
        };
        tokens.extend(self.tokenizer.encode(rest)?);
        let mut calls = self.calls.fork();
        tokens.into_iter().try_for_each(|token| calls.advance(token))?;
        Ok(calls)
    }
}

impl Constraint for Gate {
    fn mask(&mut self, logits: &mut [f32]) -> Result<()> {
        self.within.as_mut().map_or(Ok(()), |calls| calls.mask(logits))
    }

    fn advance(&mut self, token: TokenId) -> Result<()> {
        if let Some(calls) = &mut self.within {
            return calls.advance(token);
        }
        self.tail += &String::from_utf8_lossy(self.tokenizer.piece(token).unwrap_or_default());
        self.look()
    }

    fn may_stop(&mut self) -> bool {
        self.within.as_mut().is_none_or(|calls| calls.may_stop())
    }

    fn fork(&self) -> Box<dyn Constraint> {
        Box::new(self.clone())
    }
}
