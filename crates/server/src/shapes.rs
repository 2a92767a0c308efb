//! Memory of answers that are held to a shape: so much in all, of which each takes a part until it is over.
//!
//! A compiled shape is some hundred times as large as what describes it, and each answer that waits has one.

use std::sync::Arc;

use base::{Result, TokenId};
use tidemill::Constraint;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ask::{Ask, Shape};
use crate::enforce;
use crate::options::SHAPES_BYTES;
use crate::refusal::Refusal;

/// The memory that shapes may take.
pub struct Shapes(Arc<Semaphore>);

/// A part of it.
pub type Part = Arc<OwnedSemaphorePermit>;

/// What the smallest shape takes, compiling it included.
const LEAST_BYTES: u64 = 512 << 10;
/// Bytes that a byte of a schema becomes. 60 were seen of an `enum` of 6,760 short texts.
const GROWTH: u64 = 64;
/// When to come again.
const RETRY_SECONDS: u64 = 10;

impl Default for Shapes {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(SHAPES_BYTES as usize)))
    }
}

impl Shapes {
    /// What the answers to `ask` take, if they are held to a shape at all. Refused while others have it.
    pub fn part(&self, ask: &Ask) -> Result<Option<Part>, Refusal> {
        if !enforce::is_needed(ask) {
            return Ok(None);
        }
        let schema = match &ask.shape {
            Shape::Schema(schema) => schema.to_string().len(),
            Shape::Free | Shape::Json => 0,
        };
        let tools: usize = ask.tools.list.iter().map(|tool| tool.parameters.to_string().len()).sum();
        let one = LEAST_BYTES + GROWTH * (schema + tools) as u64;
        let bytes = one.min(SHAPES_BYTES).saturating_mul(ask.answers as u64);
        if bytes > SHAPES_BYTES {
            return Err(Refusal::field("n", "so many answers cannot be held to a schema of this size"));
        }
        match self.0.clone().try_acquire_many_owned(bytes as u32) {
            Ok(part) => Ok(Some(Arc::new(part))),
            Err(_) => {
                let message = "as many answers are held to a schema already as there is memory for";
                Err(Refusal::busy(message, RETRY_SECONDS))
            }
        }
    }
}

/// A constraint, and the memory that was set aside for it and all its forks.
pub struct Held {
    /// What the answer is held to.
    pub constraint: Box<dyn Constraint>,
    /// Given back with the last of them.
    pub part: Part,
}

impl Constraint for Held {
    fn mask(&mut self, logits: &mut [f32]) -> Result<()> {
        self.constraint.mask(logits)
    }

    fn advance(&mut self, token: TokenId) -> Result<()> {
        self.constraint.advance(token)
    }

    fn may_stop(&mut self) -> bool {
        self.constraint.may_stop()
    }

    fn fork(&self) -> Box<dyn Constraint> {
        Box::new(Self { constraint: self.constraint.fork(), part: self.part.clone() })
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use serde_json::json;

    use super::*;

    #[test]
    fn shapes_take_turns_when_memory_is_short() {
        let shapes = Shapes::default();
        let free = Ask { answers: 1, ..Ask::default() };
        assert!(shapes.part(&free).ok().flatten().is_none());
        let small = Ask { shape: Shape::Json, ..free.clone() };
        let mut parts = Vec::new();
        while let Ok(Some(part)) = shapes.part(&small) {
            parts.push(part);
        }
        assert_eq!(parts.len() as u64, SHAPES_BYTES / LEAST_BYTES);
        let refusal = shapes.part(&small).err().map(|refusal| refusal.status);
        assert_eq!(refusal, Some(StatusCode::TOO_MANY_REQUESTS));
        parts.pop();
        assert!(shapes.part(&small).is_ok(), "what was given back can be taken");
        let large = Ask { shape: Shape::Schema(json!({ "enum": ["a".repeat(1 << 20)] })), ..free };
        assert!(shapes.part(&large).is_err());
        parts.clear();
        assert!(shapes.part(&large).is_ok_and(|part| part.is_some()), "alone it may have all there is");
    }
}
