//! One model with its tokenizer: prompts in, text out, as both `run` and `chat` use it.

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::{Error, Kind, Result, TokenId};
use indicatif::ProgressBar;
use text::{
    AnswerEvent, AnswerOptions, AnswerReader, AnswerSyntax, ChatOptions, ChatTemplate, Message, Tokenizer,
};
use tidemill::{Engine, Event, Finish, Opened, Request, Sampling, SequenceId};

use crate::terminal::{TOKENS, progress};

/// All of stdin, as text.
pub fn stdin() -> Result<String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|error| Error::input(format!("stdin: {error}")))?;
    Ok(text)
}

/// How a model reads and writes.
pub struct Voice {
    /// Text to tokens and back.
    pub tokenizer: Arc<Tokenizer>,
    /// `None` for a model without one.
    pub template: Option<ChatTemplate>,
}

/// A prompt, and how the answer to it is read.
pub struct Prompt {
    pub tokens: Vec<TokenId>,
    pub reading: AnswerOptions,
}

impl Voice {
    /// The voice of an opened model.
    pub fn of(opened: &Opened) -> Result<Self> {
        let tokenizer = opened.tokenizer()?;
        let template = opened.chat_template(&tokenizer)?;
        Ok(Self { tokenizer: Arc::new(tokenizer), template })
    }

    /// A conversation as the model wants it, ready for its answer.
    pub fn conversation(&self, messages: &[Message], options: &ChatOptions) -> Result<Prompt> {
        let Some(template) = &self.template else {
            let error = Error::unsupported("this model has no chat template");
            return Err(error.hint("tidemill run MODEL PROMPT --raw"));
        };
        let rendered = template.render(messages, options)?;
        let syntax = AnswerSyntax::of(template);
        let within_reasoning = syntax.opens_reasoning(&rendered);
        let reading = AnswerOptions { syntax, within_reasoning, ..AnswerOptions::default() };
        Ok(Prompt { tokens: self.tokenizer.encode_rendered(&rendered)?, reading })
    }

    /// A text to be continued as it is.
    pub fn raw(&self, text: &str) -> Result<Prompt> {
        Ok(Prompt { tokens: self.tokenizer.encode_prompt(text)?, reading: AnswerOptions::default() })
    }

    /// Tokens that end an answer.
    pub fn stops(&self) -> BTreeSet<TokenId> {
        self.tokenizer.stop_tokens().clone()
    }
}

/// An answer, complete or not.
pub struct Answer {
    /// The sequence, for the next request to resume.
    pub sequence: SequenceId,
    /// What was said.
    pub text: String,
    /// What was thought before.
    pub reasoning: String,
    /// Its tokens.
    pub tokens: Vec<TokenId>,
    /// Why it ended.
    pub finish: Finish,
    /// From the request to the first token.
    pub first_token: Option<Duration>,
    /// From the request to the last.
    pub elapsed: Duration,
}

/// A piece of an answer.
#[derive(Clone, Copy)]
pub enum Piece<'a> {
    Reasoning(&'a str),
    Content(&'a str),
}

/// What to answer, and how.
pub struct Ask {
    /// The prompt.
    pub prompt: Prompt,
    /// Tokens to generate at most.
    pub max_tokens: usize,
    /// How they are chosen.
    pub sampling: Sampling,
    /// A former answer's sequence, whose beginning the prompt shares.
    pub resume: Option<SequenceId>,
    /// No progress bar.
    pub quiet: bool,
}

/// Generates one answer, handing out each piece of text as it comes. Ctrl-C ends it and is no error. An answer that
/// fails leaves nothing behind in the engine.
pub fn answer(
    engine: &mut Engine,
    voice: &Voice,
    ask: Ask,
    print: &mut dyn FnMut(Piece<'_>) -> Result<()>,
) -> Result<Answer> {
    let bar = progress("reading the prompt", ask.quiet, TOKENS);
    let reader = AnswerReader::new(Arc::clone(&voice.tokenizer), ask.prompt.reading);
    let request = Request {
        tokens: ask.prompt.tokens,
        max_tokens: ask.max_tokens,
        sampling: ask.sampling,
        stop: voice.stops(),
        resume: ask.resume,
        ..Request::default()
    };
    engine.clear_cancel(); // a Ctrl-C that came when nothing ran
    let sequence = engine.submit(request)?;
    let shown = bar.clone();
    engine.on_progress(Some(Box::new(move |done, total| {
        shown.set_length(total as u64);
        shown.set_position(done as u64);
    })));
    let heard = listen(engine, reader, sequence, &bar, print);
    engine.on_progress(None);
    bar.finish_and_clear();
    if heard.is_err() {
        engine.forget(sequence);
    }
    heard
}

/// Steps until the sequence is finished.
fn listen(
    engine: &mut Engine,
    mut reader: AnswerReader,
    sequence: SequenceId,
    bar: &ProgressBar,
    print: &mut dyn FnMut(Piece<'_>) -> Result<()>,
) -> Result<Answer> {
    let start = Instant::now();
    let mut answer = Answer {
        sequence,
        text: String::new(),
        reasoning: String::new(),
        tokens: Vec::new(),
        finish: Finish::Cancelled,
        first_token: None,
        elapsed: Duration::ZERO,
    };
    let mut finished = false;
    while !finished {
        let events = match engine.step() {
            Ok((events, _)) => events,
            Err(error) if error.kind() == Kind::Cancelled => {
                engine.clear_cancel();
                engine.cancel(sequence);
                break;
            }
            Err(error) => return Err(error),
        };
        for event in events {
            bar.finish_and_clear();
            match event {
                Event::Token { sequence: of, token, .. } if of == sequence => {
                    answer.first_token.get_or_insert(start.elapsed());
                    answer.tokens.push(token);
                    say(&mut answer, reader.push(token), print)?;
                }
                Event::Finished { sequence: of, finish } if of == sequence => {
                    answer.finish = finish;
                    finished = true;
                }
                _ => {}
            }
        }
    }
    bar.finish_and_clear();
    say(&mut answer, reader.finish(), print)?;
    answer.elapsed = start.elapsed();
    Ok(answer)
}

fn say(
    answer: &mut Answer,
    events: Vec<AnswerEvent>,
    print: &mut dyn FnMut(Piece<'_>) -> Result<()>,
) -> Result<()> {
    for event in events {
        match event {
            AnswerEvent::Reasoning(text) => {
                answer.reasoning.push_str(&text);
                print(Piece::Reasoning(&text))?;
            }
            AnswerEvent::Content(text) => {
                answer.text.push_str(&text);
                print(Piece::Content(&text))?;
            }
            // Nobody was offered a tool here; harmony may call one all the same.
            AnswerEvent::Arguments { piece, .. } => print(Piece::Reasoning(&piece))?,
            AnswerEvent::CallBegun { .. } | AnswerEvent::CallEnded { .. } => {}
        }
    }
    Ok(())
}
