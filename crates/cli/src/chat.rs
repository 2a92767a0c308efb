//! `tidemill chat`: a conversation in the terminal.

use base::{Error, Result};
use rustyline::error::ReadlineError;
use rustyline::{Config, DefaultEditor};
use text::Message;
use tidemill::{Engine, Finish, Opened, Sampling, SequenceId};

use crate::args::ChatArgs;
use crate::session::{Ask, Voice, answer};
use crate::summary::Summary;
use crate::{models, terminal};

const HELP: &str = "\
/help            this list
/stats           what the last answer cost
/clear           begin a new conversation
/system TEXT     begin a new one, told TEXT first
/quit            leave (or Ctrl-D)
A line that ends in \\ goes on in the next. Ctrl-C stops an answer.";

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

    let failed = |error: ReadlineError| Error::input(format!("the terminal cannot be read: {error}"));
    let config = Config::builder().auto_add_history(true).build();
    let mut editor = DefaultEditor::with_config(config).map_err(failed)?;
    let mut chat = Chat::new(engine, voice, sampling, args);
    if !quiet {
        terminal::note("/help lists what can be typed");
    }
    loop {
        match read(&mut editor) {
            Ok(line) if line.trim().is_empty() => {}
            Ok(line) if line.starts_with('/') => {
                if !chat.command(line.trim())? {
                    return Ok(());
                }
            }
            Ok(line) => chat.say(&line)?,
            Err(ReadlineError::Interrupted) => terminal::note("Ctrl-D or /quit leaves"),
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(failed(error)),
        }
    }
}

/// A line, and those after it as long as each ends in a backslash.
fn read(editor: &mut DefaultEditor) -> std::result::Result<String, ReadlineError> {
    let mut text = editor.readline("> ")?;
    while text.ends_with('\\') {
        text.pop();
        text.push('\n');
        text.push_str(&editor.readline("… ")?);
    }
    Ok(text)
}

struct Chat<'a> {
    engine: Engine,
    voice: Voice,
    sampling: Sampling,
    args: &'a ChatArgs,
    messages: Vec<Message>,
    /// Computed so far, for the next turn to go on from.
    sequence: Option<SequenceId>,
    stats: Option<String>,
}

impl<'a> Chat<'a> {
    fn new(engine: Engine, voice: Voice, sampling: Sampling, args: &'a ChatArgs) -> Self {
        let messages = args.system.iter().map(|text| Message::new("system", text)).collect();
        Self { engine, voice, sampling, args, messages, sequence: None, stats: None }
    }

    /// Carries out what begins with a slash; `false` to leave.
    fn command(&mut self, line: &str) -> Result<bool> {
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match name {
            "/help" => terminal::note(HELP),
            "/stats" => terminal::note(self.stats.as_deref().unwrap_or("nothing was answered yet")),
            "/clear" => self.restart(None),
            "/system" => self.restart(Some(rest.trim())),
            "/quit" | "/exit" => return Ok(false),
            _ => terminal::note(&format!("{name} is not a command\n{HELP}")),
        }
        Ok(true)
    }

    fn restart(&mut self, system: Option<&str>) {
        self.messages = system.map(|text| Message::new("system", text)).into_iter().collect();
        if let Some(sequence) = self.sequence.take() {
            self.engine.forget(sequence);
        }
        terminal::note("a new conversation");
    }

    /// One turn. What cannot be answered is taken back, so that the conversation stays usable.
    fn say(&mut self, line: &str) -> Result<()> {
        self.messages.push(Message::new("user", line));
        match self.turn() {
            Ok(text) => {
                self.messages.push(Message::new("assistant", &text));
                Ok(())
            }
            Err(error) => {
                self.messages.pop();
                terminal::complain(&error);
                Ok(())
            }
        }
    }

    fn turn(&mut self) -> Result<String> {
        let tokens = self.voice.conversation(&self.messages)?;
        let context = self.engine.plan().context;
        let room = context.saturating_sub(tokens.len());
        if room == 0 {
            let error = format!(
                "the conversation has {} tokens and the context {context}; /clear begins anew",
                tokens.len()
            );
            return Err(Error::input(error));
        }
        let mut summary = Summary::start(&self.engine, &self.sampling, tokens.len());
        let ask = Ask {
            tokens,
            max_tokens: self.args.max_tokens.min(room),
            sampling: self.sampling.clone(),
            resume: self.sequence.take(),
            quiet: self.args.engine.quiet,
        };
        let answer = answer(&mut self.engine, &self.voice, ask, &mut |piece| terminal::answer(piece))?;
        let ending = if answer.finish == Finish::Cancelled { " [stopped]\n" } else { "\n" };
        terminal::answer(ending)?;
        summary.end(&self.engine, &answer);
        self.stats = Some(summary.line());
        self.sequence = Some(answer.sequence);
        Ok(answer.text)
    }
}
