//! What is handed to the engine's thread, and what comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use base::TokenId;
use tidemill::{Finish, Logprobs, Request};
use tokio::sync::mpsc::UnboundedSender;

use super::queue::Client;
use crate::refusal::Refusal;

/// One request: a prompt, and one or more answers to it.
pub struct Work {
    /// Who asks.
    pub client: Client,
    /// The prompt, and how to answer.
    pub request: Request,
    /// A seed for each answer.
    pub seeds: Vec<u64>,
    /// When the last token must have come.
    pub deadline: Option<Instant>,
    /// Hears what happens. At most the answers' tokens ever wait in it, and they are bounded by the context. When the
    /// other end is gone, so is the request.
    pub tell: UnboundedSender<Told>,
    /// Set for an answer of which enough was heard.
    pub enough: Enough,
}

/// Says of each answer of a request that no more of it is wanted.
#[derive(Clone)]
pub struct Enough(Arc<[AtomicBool]>);

impl Enough {
    /// Of `count` answers, all of which are wanted.
    pub fn of(count: usize) -> Self {
        Self((0..count).map(|_| AtomicBool::new(false)).collect())
    }

    /// No more of this one is wanted.
    pub fn say(&self, choice: usize) {
        self.0[choice].store(true, Ordering::Relaxed);
    }

    fn is_said(&self, choice: usize) -> bool {
        self.0[choice].load(Ordering::Relaxed)
    }
}

/// News of one answer.
#[derive(Debug)]
pub struct Told {
    /// Which of the request's answers.
    pub choice: usize,
    /// What happened.
    pub news: News,
}

/// What happened to an answer.
#[derive(Debug)]
pub enum News {
    /// Its prompt is being computed.
    Begun {
        /// Tokens of the prompt that are known from before.
        cached: usize,
    },
    /// It goes on.
    Token {
        /// Not a stop token.
        token: TokenId,
        /// How likely it was, if the request asks for that.
        logprobs: Option<Logprobs>,
    },
    /// It is complete.
    Finished(Finish),
    /// It will not be.
    Failed(Refusal),
}

/// One answer that waits for its turn or is being generated.
pub(super) struct Seat {
    pub client: Client,
    pub choice: usize,
    pub request: Request,
    pub deadline: Option<Instant>,
    pub arrived: Instant,
    tell: UnboundedSender<Told>,
    enough: Enough,
}

impl Seat {
    /// The answers of `work`, the one whose prompt is computed first, first.
    pub fn all_of(work: Work) -> Vec<Self> {
        let Work { client, request, seeds, deadline, tell, enough } = work;
        let arrived = Instant::now();
        let seat = |(choice, seed): (usize, u64)| {
            let mut request = request.clone();
            request.sampling.seed = seed;
            Self { client, choice, request, deadline, arrived, tell: tell.clone(), enough: enough.clone() }
        };
        seeds.into_iter().enumerate().map(seat).collect()
    }

    /// Tells whoever waits; nobody may.
    pub fn tell(&self, news: News) {
        let _ = self.tell.send(Told { choice: self.choice, news });
    }

    /// Nobody waits for this any more.
    pub fn is_forsaken(&self) -> bool {
        self.tell.is_closed() || self.has_enough()
    }

    /// All that was wanted of it was heard.
    pub fn has_enough(&self) -> bool {
        self.enough.is_said(self.choice)
    }

    /// Its time is over.
    pub fn is_late(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }
}
