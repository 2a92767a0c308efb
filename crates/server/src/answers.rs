//! A request's answers as they come: tokens from the engine become text, thoughts, calls and an end.

use std::sync::Arc;

use base::TokenId;
use text::{AnswerEvent, AnswerOptions, AnswerReader, Tokenizer};
use tidemill::{Finish, Logprobs};
use tokio::sync::mpsc::{Receiver, Sender, UnboundedReceiver, channel};

use crate::engine::{Desk, Enough, News, Told};
use crate::refusal::Refusal;
use crate::said::{Ending, Heard, Reason, Said, Spelled, TokenLogprob, Whole};

/// How many pieces wait for a slow client before no more are made.
const PIECES: usize = 64;

/// A request's answers, piece by piece. Dropped, they are cancelled.
pub struct Answers {
    pieces: Receiver<Heard>,
    count: usize,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
}

/// What reading needs to know of a request.
pub struct Reading {
    /// The model's.
    pub tokenizer: Arc<Tokenizer>,
    /// How it writes, and what ends an answer.
    pub options: AnswerOptions,
    /// An answer goes on after its first call of a tool.
    pub parallel_calls: bool,
    /// What ids of calls begin with.
    pub call_ids: String,
    /// Answers to come.
    pub count: usize,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// To be told when no more of an answer is wanted.
    pub enough: Enough,
}

impl Answers {
    /// Reads what the engine tells.
    pub fn new(reading: Reading, told: UnboundedReceiver<Told>, desk: Desk) -> Self {
        let (sender, pieces) = channel(PIECES);
        let (count, prompt_tokens) = (reading.count, reading.prompt_tokens);
        tokio::spawn(async move {
            let whole = read(reading, told, &sender).await;
            if !whole {
                desk.hung_up();
            }
        });
        Self { pieces, count, prompt_tokens }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The next piece of any of them; `None` when nothing more comes.
    pub async fn next(&mut self) -> Option<Heard> {
        self.pieces.recv().await
    }

    /// All of them, whole; or why one of them failed.
    pub async fn whole(mut self) -> Result<Vec<Whole>, Refusal> {
        let mut answers = vec![Whole::default(); self.count];
        while let Some((choice, said)) = self.next().await {
            answers[choice].add(said?);
            if answers.iter().all(|answer| answer.ending.is_some()) {
                return Ok(answers);
            }
        }
        Err(Refusal::stopping())
    }
}

/// Reads until all answers have ended, one failed, or nobody listens; whether they have ended.
async fn read(reading: Reading, mut told: UnboundedReceiver<Told>, out: &Sender<Heard>) -> bool {
    let (count, enough) = (reading.count, reading.enough.clone());
    let mut readers: Vec<Reader> = (0..count).map(|choice| Reader::new(&reading, choice)).collect();
    let mut left = count;
    while left > 0 {
        let news = tokio::select! {
            () = out.closed() => return false,
            news = told.recv() => news,
        };
        let Some(Told { choice, news }) = news else { return false };
        let mut said = Vec::new();
        match readers[choice].hear(news, &mut said) {
            Ok(ended) => {
                left -= usize::from(ended);
                if ended {
                    enough.say(choice);
                }
            }
            Err(refusal) => {
                let _ = out.send((choice, Err(refusal))).await;
                return false;
            }
        }
        for piece in said {
            if out.send((choice, Ok(piece))).await.is_err() {
                return false;
            }
        }
    }
    true
}

/// Reads one answer.
struct Reader {
    tokenizer: Arc<Tokenizer>,
    reader: AnswerReader,
    parallel_calls: bool,
    call_ids: String,
    calls: usize,
    /// A call that was allowed alone is over.
    called: bool,
    thinks: bool,
    ending: Ending,
    ended: bool,
}

impl Reader {
    fn new(reading: &Reading, choice: usize) -> Self {
        Self {
            tokenizer: reading.tokenizer.clone(),
            reader: AnswerReader::new(reading.tokenizer.clone(), reading.options.clone()),
            parallel_calls: reading.parallel_calls,
            call_ids: format!("{}{choice}", reading.call_ids),
            calls: 0,
            called: false,
            thinks: reading.options.within_reasoning,
            ending: Ending::default(),
            ended: false,
        }
    }

    /// What `news` say; whether the answer ends with them.
    fn hear(&mut self, news: News, said: &mut Vec<Said>) -> Result<bool, Refusal> {
        match news {
            _ if self.ended => Ok(false),
            News::Begun { cached } => {
                said.push(Said::Begun { cached });
                Ok(false)
            }
            News::Token { token, logprobs } => {
                if let Some(logprobs) = logprobs {
                    said.push(Said::Logprobs(vec![self.spelled(token, &logprobs)]));
                }
                let events = self.reader.push(token);
                self.tell(events, said);
                self.ending.tokens += 1;
                self.ending.reasoning_tokens += usize::from(self.thinks);
                if self.called || self.reader.stopped().is_some() {
                    self.end(Finish::Stop, said);
                }
                Ok(self.ended)
            }
            News::Finished(finish) => {
                let events = self.reader.finish();
                self.tell(events, said);
                self.end(finish, said);
                Ok(true)
            }
            News::Failed(refusal) => Err(refusal),
        }
    }

    fn tell(&mut self, events: Vec<AnswerEvent>, said: &mut Vec<Said>) {
        for event in events {
            if self.called {
                return;
            }
            self.thinks = matches!(event, AnswerEvent::Reasoning(_));
            match event {
                AnswerEvent::Reasoning(text) => said.push(Said::Reasoning(text)),
                AnswerEvent::Content(text) => said.push(Said::Content(text)),
                AnswerEvent::CallBegun { index, name, id } => {
                    self.calls += 1;
                    let id = id.unwrap_or_else(|| format!("{}{index}", self.call_ids));
                    said.push(Said::Call { index, id, name });
                }
                AnswerEvent::Arguments { index, piece } => said.push(Said::Arguments { index, text: piece }),
                AnswerEvent::CallEnded { .. } => self.called = !self.parallel_calls,
            }
        }
    }

    fn end(&mut self, finish: Finish, said: &mut Vec<Said>) {
        self.ended = true;
        self.ending.reason = Reason::of(finish, self.calls);
        self.ending.stop = self.reader.stopped().map(str::to_owned);
        said.push(Said::Ended(self.ending.clone()));
    }

    fn spelled(&self, token: TokenId, logprobs: &Logprobs) -> TokenLogprob {
        let spelled = |id: TokenId| Spelled { bytes: self.tokenizer.piece(id).unwrap_or_default().to_vec() };
        TokenLogprob {
            token: spelled(token),
            logprob: logprobs.chosen,
            top: logprobs.top.iter().map(|(id, logprob)| (spelled(*id), *logprob)).collect(),
        }
    }
}
