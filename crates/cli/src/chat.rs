//! `tidemill chat`: a conversation in the terminal, or with another program that writes a line for each turn.

use std::path::Path;

use base::{Error, Result};
use text::{ChatOptions, Message};
use tidemill::{Engine, Finish, Opened, Sampling, SequenceId};

use crate::args::ChatArgs;
use crate::input::{Input, Line};
use crate::session::{Answer, Ask, Voice, answer};
use crate::speaker::Speaker;
use crate::summary::Summary;
use crate::{models, terminal, transcript};

const HELP: &str = "\
/help            this list
/retry           another answer to what was said last
/think WORD      on, off, low, medium or high, as far as the model knows them; show or hide what it thinks
/stats           what the last answer cost
/clear           begin a new conversation
/system TEXT     begin a new one, told TEXT first
/save FILE       write the conversation down, as JSON
/load FILE       go on with one that was written down
/quit            leave (or Ctrl-D)
A line that ends in \\ goes on in the next, and so does a paste. Ctrl-C stops an answer.";

pub fn chat(args: &ChatArgs) -> Result<()> {
    let quiet = args.engine.quiet;
    let opened = Opened::read(&models::resolve(&args.model)?)?;
    let voice = Voice::of(&opened)?;
    if voice.template.is_none() {
        let error = Error::unsupported(format!("{} has no chat template", args.model));
        return Err(error.hint(format!("tidemill run {} PROMPT --raw", args.model)));
    }
    let sampling = args.sampling.sampling(opened.checkpoint.generation_config.as_ref())?;
    let options = args.engine.options();
    let plan = opened.plan(&options)?;
    let engine = models::load(opened, plan, &options, quiet)?;
    models::interrupt(&engine)?;

    let mut input = Input::open()?;
    let mut chat = Chat::new(engine, voice, sampling, args, input.is_person());
    if !quiet && input.is_person() {
        terminal::note("/help lists what can be typed");
    }
    loop {
        match input.read()? {
            Line::Text(line) if line.trim().is_empty() => {}
            Line::Text(line) if line.starts_with('/') => {
                if !chat.command(line.trim()) {
                    break;
                }
            }
            Line::Text(line) => chat.say(&line),
            Line::Interrupted => terminal::note("Ctrl-D or /quit leaves"),
            Line::End => break,
        }
    }
    input.close();
    Ok(())
}

struct Chat<'a> {
    engine: Engine,
    voice: Voice,
    sampling: Sampling,
    args: &'a ChatArgs,
    /// Whether somebody looks on.
    person: bool,
    messages: Vec<Message>,
    /// What templates are told of reasoning.
    options: ChatOptions,
    shows_reasoning: bool,
    /// Computed so far, for the next turn to go on from.
    sequence: Option<SequenceId>,
    stats: Option<String>,
}

impl<'a> Chat<'a> {
    fn new(engine: Engine, voice: Voice, sampling: Sampling, args: &'a ChatArgs, person: bool) -> Self {
        let messages = args.system.iter().map(|text| Message::new("system", text)).collect();
        let options = ChatOptions::default();
        let shows_reasoning = !args.engine.quiet;
        let (sequence, stats) = (None, None);
        Self { engine, voice, sampling, args, person, messages, options, shows_reasoning, sequence, stats }
    }

    /// Carries out what begins with a slash; `false` to leave. What goes wrong is told, and the conversation stays.
    fn command(&mut self, line: &str) -> bool {
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        match name {
            "/help" => terminal::note(HELP),
            "/stats" => terminal::note(self.stats.as_deref().unwrap_or("nothing was answered yet")),
            "/clear" => self.restart(Vec::new()),
            "/system" => self.restart(vec![Message::new("system", rest)]),
            "/retry" => self.retry(),
            "/think" => self.think(rest),
            "/save" | "/load" => {
                if let Err(error) = self.file(name, rest) {
                    terminal::complain(&error);
                }
            }
            "/quit" | "/exit" => return false,
            _ => terminal::note(&format!("{name} is not a command\n{HELP}")),
        }
        true
    }

    fn restart(&mut self, messages: Vec<Message>) {
        self.messages = messages;
        if let Some(sequence) = self.sequence.take() {
            self.engine.forget(sequence);
        }
        terminal::note("a new conversation");
    }

    fn file(&mut self, command: &str, path: &str) -> Result<()> {
        if path.is_empty() {
            return Err(Error::input(format!("{command} needs the name of a file")));
        }
        if command == "/save" {
            transcript::save(Path::new(path), &self.messages)?;
        } else {
            self.messages = transcript::load(Path::new(path))?;
        }
        terminal::note(&format!("{} messages, {path}", self.messages.len()));
        Ok(())
    }

    /// Templates differ in what they ask for; each looks at its own variable.
    fn think(&mut self, word: &str) {
        let variables = &mut self.options.variables;
        match word {
            "on" | "off" => {
                for name in ["enable_thinking", "thinking"] {
                    variables.insert(name.to_owned(), (word == "on").into());
                }
            }
            "low" | "medium" | "high" => {
                variables.insert("reasoning_effort".to_owned(), word.into());
            }
            "show" | "hide" => self.shows_reasoning = word == "show",
            _ => terminal::note("/think on, off, low, medium, high, show or hide"),
        }
    }

    /// Forgets the last answer and gives another.
    fn retry(&mut self) {
        if self.messages.last().is_some_and(|last| last.role == "assistant") {
            self.messages.pop();
        }
        let Some(last) = self.messages.pop_if(|last| last.role == "user") else {
            return terminal::note("nothing was said yet");
        };
        self.sampling.seed = self.sampling.seed.wrapping_add(1);
        self.say(&last.content);
    }

    /// One turn. What cannot be answered is taken back, so that the conversation stays usable.
    fn say(&mut self, line: &str) {
        self.messages.push(Message::new("user", line));
        match self.turn() {
            Ok(answer) => {
                let mut message = Message::new("assistant", &answer.text);
                message.reasoning = Some(answer.reasoning).filter(|text| !text.is_empty());
                self.messages.push(message);
            }
            Err(error) => {
                self.messages.pop();
                terminal::complain(&error);
            }
        }
    }

    fn turn(&mut self) -> Result<Answer> {
        let prompt = self.voice.conversation(&self.messages, &self.options)?;
        let (tokens, context) = (prompt.tokens.len(), self.engine.plan().context);
        let room = context.saturating_sub(tokens);
        if room == 0 {
            return Err(Error::input(format!(
                "the conversation has {tokens} tokens and the context {context}; /clear begins anew"
            )));
        }
        let mut summary = Summary::start(&self.engine, &self.sampling, tokens);
        let ask = Ask {
            prompt,
            max_tokens: self.args.max_tokens.min(room),
            sampling: self.sampling.clone(),
            resume: self.sequence.take(),
            quiet: self.args.engine.quiet,
        };
        let mut speaker = match self.person {
            true => Speaker::for_person(self.shows_reasoning),
            false => Speaker::plain(self.shows_reasoning),
        };
        let answer = answer(&mut self.engine, &self.voice, ask, &mut |piece| speaker.say(piece));
        speaker.finish()?;
        let answer = answer?;
        terminal::answer("\n")?;
        summary.end(&self.engine, &answer);
        self.stats = Some(summary.line());
        self.sequence = Some(answer.sequence);
        if self.person && !self.args.engine.quiet {
            terminal::note(&console::style(pace(&answer)).for_stderr().dim().to_string());
        }
        Ok(answer)
    }
}

/// What an answer cost, in a few words.
fn pace(answer: &Answer) -> String {
    let first = answer.first_token.unwrap_or(answer.elapsed);
    let rest = (answer.elapsed - first).as_secs_f64();
    let rate = if rest > 0.0 { answer.tokens.len().saturating_sub(1) as f64 / rest } else { 0.0 };
    let stopped = if answer.finish == Finish::Cancelled { "stopped · " } else { "" };
    format!(
        "{stopped}{} tokens · {rate:.1} tok/s · first after {:.1} s",
        answer.tokens.len(),
        first.as_secs_f64()
    )
}
