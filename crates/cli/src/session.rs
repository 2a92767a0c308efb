//! One model with its tokenizer: prompts in, text out, as both `run` and `chat` use it.

use std::collections::BTreeSet;
use std::io::Read;

use base::{Error, Kind, Result, TokenId};
use indicatif::ProgressBar;
use text::{ChatOptions, ChatTemplate, Detokenizer, Message, Tokenizer};
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
    pub tokenizer: Tokenizer,
    /// `None` for a model without one.
    pub template: Option<ChatTemplate>,
}

impl Voice {
    /// The voice of an opened model.
    pub fn of(opened: &Opened) -> Result<Self> {
        let tokenizer = opened.tokenizer()?;
        let template = opened.chat_template(&tokenizer)?;
        Ok(Self { tokenizer, template })
    }

    /// A conversation as the model wants it, ready for its answer.
    pub fn conversation(&self, messages: &[Message]) -> Result<Vec<TokenId>> {
        let Some(template) = &self.template else {
            let error = Error::unsupported("this model has no chat template");
            return Err(error.hint("tidemill run MODEL PROMPT --raw"));
        };
        self.tokenizer.encode_rendered(&template.render(messages, &ChatOptions::default())?)
    }

    /// A text to be continued as it is.
    pub fn raw(&self, text: &str) -> Result<Vec<TokenId>> {
        self.tokenizer.encode_prompt(text)
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
    /// Its tokens.
    pub tokens: Vec<TokenId>,
    /// Why it ended.
    pub finish: Finish,
    /// From the request to the first token.
    pub first_token: Option<std::time::Duration>,
}

/// What to answer, and how.
pub struct Ask {
    /// The prompt.
    pub tokens: Vec<TokenId>,
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
    print: &mut dyn FnMut(&str) -> Result<()>,
) -> Result<Answer> {
    let bar = progress("reading the prompt", ask.quiet, TOKENS);
    let request = Request {
        tokens: ask.tokens,
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
    let heard = listen(engine, voice, sequence, &bar, print);
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
    voice: &Voice,
    sequence: SequenceId,
    bar: &ProgressBar,
    print: &mut dyn FnMut(&str) -> Result<()>,
) -> Result<Answer> {
    let start = std::time::Instant::now();
    let (text, tokens) = (String::new(), Vec::new());
    let mut answer = Answer { sequence, text, tokens, finish: Finish::Cancelled, first_token: None };
    let mut detokenizer = Detokenizer::new(&voice.tokenizer);
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
                    say(&mut answer.text, &detokenizer.push(token), print)?;
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
    say(&mut answer.text, &detokenizer.finish(), print)?;
    Ok(answer)
}

fn say(text: &mut String, piece: &str, print: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
    text.push_str(piece);
    if piece.is_empty() { Ok(()) } else { print(piece) }
}
