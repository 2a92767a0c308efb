//! A model's chat template: a Jinja program in its files, run in a sandbox with bounded steps and output.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use base::{Context, Error, Result, TokenId};
use formats::Checkpoint;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind};
use serde_json::{Map, Value, json};

use super::guard::{Guard, StandIns, strings};
use super::message::{ChatOptions, Message};
use super::rendered::{Part, Rendered};
use super::{functions, source};
use crate::control::{Literals, Piece};
use crate::tokenizer::Tokenizer;

/// The steps a template may take whatever it renders, and for each message; published ones take some 200 a message.
const STEPS: u64 = 200_000;
const STEPS_A_MESSAGE: u64 = 2_000;
/// How deep macros may call each other; a call counts for five, and Kimi K3's template calls one for each level of a schema.
const MAX_CALL_DEPTH: usize = 400;
/// Enough to drop a value nested in as many steps; only what is used becomes memory.
const STACK_BYTES: usize = 256 << 20;
/// The longest prompt a template may write beyond what it is given.
const MAX_OUTPUT_BYTES: usize = 4 << 20;
/// How often a template may repeat what it is given.
const MAX_REPEATS: usize = 8;

/// A chat template, bound to the tokenizer of its model.
#[derive(Debug)]
pub struct ChatTemplate {
    pub(crate) source: String,
    pub(crate) controls: Arc<Literals>,
    /// `bos_token` and the like, which templates write by name.
    names: BTreeMap<String, String>,
    guard: Guard,
}

impl ChatTemplate {
    /// The template that comes with a model; `None` when there is none. Fails when it is too long or is not Jinja.
    pub fn from_checkpoint(checkpoint: &Checkpoint, tokenizer: &Tokenizer) -> Result<Option<Self>> {
        let Some(source) = source::find(checkpoint)? else { return Ok(None) };
        Self::new(&source, tokenizer).map(Some).within(|| checkpoint.root.display())
    }

    /// The template whose text is `source`.
    pub fn new(source: &str, tokenizer: &Tokenizer) -> Result<Self> {
        let source = source::without_training_marks(source);
        let this = Self {
            guard: Guard::new(&tokenizer.controls, &source),
            controls: Arc::clone(&tokenizer.controls),
            names: tokenizer.names.clone(),
            source,
        };
        this.environment(Arc::default(), &ChatOptions::default())?
            .template_from_str(&this.source)
            .map_err(|error| err_syntax(&error))?;
        Ok(this)
    }

    /// The prompt for `messages`. Fails with [`base::Kind::Input`] when the template refuses the conversation or a
    /// message has no known role, and with [`base::Kind::Corrupt`] when the template is broken or does not end.
    pub fn render(&self, messages: &[Message], options: &ChatOptions) -> Result<Rendered> {
        messages.iter().try_for_each(Message::check)?;
        let as_it_is = |message: &Message| message.to_json(&mut |value| Ok(value.clone()));
        let given = json!({
            "messages": messages.iter().map(as_it_is).collect::<Result<Vec<_>>>()?,
            "tools": options.tools,
            "variables": options.variables,
        });
        let given = strings(&given);
        let given_bytes: usize = given.iter().map(|text| text.len()).sum();
        let own = self.controls.iter().map(|literal| literal.text.as_str()).chain([self.source.as_str()]);
        let mut stand_ins = StandIns::avoiding(given.into_iter().chain(own));

        let context = self.context(messages, options, &mut stand_ins)?;
        let stand_ins = Arc::new(stand_ins);
        let mut environment = self.environment(Arc::clone(&stand_ins), options)?;
        environment.set_fuel(Some(STEPS + STEPS_A_MESSAGE * messages.len() as u64));
        let most = MAX_OUTPUT_BYTES + MAX_REPEATS * given_bytes;
        let text = on_a_large_stack(|| run(&environment, &self.source, &context, most))?;
        Ok(self.split(&text, &stand_ins))
    }

    /// The variables of the template, every string of the caller guarded.
    fn context(
        &self,
        messages: &[Message],
        options: &ChatOptions,
        stand_ins: &mut StandIns,
    ) -> Result<Value> {
        let mut context = Map::new();
        for (name, value) in &options.variables {
            context.insert(name.clone(), self.guard.json(value, stand_ins)?);
        }
        context.extend(self.names.iter().map(|(role, text)| (role.clone(), json!(text))));
        let messages =
            messages.iter().map(|message| self.message(message, stand_ins)).collect::<Result<Vec<_>>>()?;
        let tools =
            options.tools.iter().map(|tool| self.guard.json(tool, stand_ins)).collect::<Result<Vec<_>>>()?;
        context.insert("messages".into(), messages.into());
        context.insert("tools".into(), if tools.is_empty() { Value::Null } else { tools.into() });
        context.entry("documents").or_insert(Value::Null);
        context.insert("add_generation_prompt".into(), options.add_generation_prompt.into());
        Ok(context.into())
    }

    fn message(&self, message: &Message, stand_ins: &mut StandIns) -> Result<Value> {
        match message.role.as_str() {
            "assistant" => message.to_json(&mut |value| match value {
                Value::String(text) => Ok(self.guard.assistant_text(text, stand_ins)?.into()),
                other => self.guard.json(other, stand_ins),
            }),
            _ => message.to_json(&mut |value| self.guard.json(value, stand_ins)),
        }
    }

    fn environment(&self, stand_ins: Arc<StandIns>, options: &ChatOptions) -> Result<Environment<'_>> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| err_syntax(&error))?);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_recursion_limit(MAX_CALL_DEPTH);
        functions::install(&mut environment, stand_ins, options.now);
        Ok(environment)
    }

    /// Finds the control tokens the template wrote, then puts back what the messages said.
    fn split(&self, text: &str, stand_ins: &StandIns) -> Rendered {
        let part = |piece| match piece {
            Piece::Literal(literal) => Part::Control { id: literal.id, text: literal.text.clone() },
            Piece::Text(text) => Part::Text(stand_ins.restore(text)),
        };
        let parts = self.controls.split(text).into_iter().map(part).collect();
        Rendered { parts }
    }
}

/// What the template `source` writes, at most `most` bytes.
fn run(environment: &Environment<'_>, source: &str, context: &Value, most: usize) -> Result<String> {
    let template = environment.template_from_str(source).map_err(|error| err_syntax(&error))?;
    let mut output = Bounded { bytes: Vec::new(), most };
    let ran = template.render_captured_to(minijinja::value::Serde(context), &mut output);
    ran.map_err(|error| err_render(&error))?;
    String::from_utf8(output.bytes).map_err(|_| Error::corrupt("the chat template wrote no UTF-8"))
}

/// Runs `render` on a thread of its own. The interpreter drops nested values by recursion, and a template can nest as
/// often as it has steps; it also has its own mistakes (`''[::-1]` is one), which must not become ours.
fn on_a_large_stack(render: impl FnOnce() -> Result<String> + Send) -> Result<String> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("chat template".into()).stack_size(STACK_BYTES);
        let thread =
            thread.spawn_scoped(scope, render).map_err(|error| Error::io("cannot start a thread", &error))?;
        thread
            .join()
            .unwrap_or_else(|_| Err(Error::corrupt("the chat template fails: the interpreter gave up")))
    })
}

/// What ends an answer, and what ends a call of a tool in its place: in harmony, and in GLM, whose answers end where the
/// next turn begins.
const CALL_ENDS: [(&str, &str); 2] = [("<|return|>", "<|call|>"), ("<|user|>", "<|observation|>")];

/// The control tokens that the model's template writes after an assistant's answer: where an answer ends.
pub(crate) fn turn_ends(checkpoint: &Checkpoint, tokenizer: &Tokenizer) -> Vec<TokenId> {
    const ANSWER: &str = "Amsterdam";
    let Ok(Some(template)) = ChatTemplate::from_checkpoint(checkpoint, tokenizer) else { return Vec::new() };
    let options = ChatOptions { add_generation_prompt: false, ..ChatOptions::default() };
    let ask = Message::user("?");
    let last = [ask.clone(), Message::assistant(ANSWER)];
    let inner = [ask.clone(), Message::assistant(ANSWER), ask];
    let after = |messages: &[Message]| -> Option<Vec<TokenId>> {
        let parts = template.render(messages, &options).ok()?.parts;
        let answer =
            parts.iter().position(|part| matches!(part, Part::Text(text) if text.contains(ANSWER)))?;
        let controls = parts[answer..].iter().filter_map(|part| match part {
            Part::Control { id, .. } => Some(*id),
            Part::Text(_) => None,
        });
        Some(controls.collect())
    };
    // An answer ends once. What stands there twice are the tags of elements that end with it, as Kimi K3 writes them.
    let once = |controls: Vec<TokenId>| {
        let count = |id: &TokenId| controls.iter().filter(|other| *other == id).count();
        controls.iter().copied().find(|id| count(id) == 1)
    };
    // Some templates end the last answer in another way than earlier ones, and the last is what is generated. Others
    // end an answer only by beginning the next turn.
    let end = after(&last).and_then(once).or_else(|| after(&inner)?.first().copied());
    let calls = CALL_ENDS.iter().filter(|(answer, _)| end.is_some() && tokenizer.id_of(answer) == end);
    let calls: Vec<TokenId> = calls.filter_map(|(_, call)| tokenizer.id_of(call)).collect();
    end.into_iter().chain(calls).collect()
}

/// Takes as many bytes as it may and then fails.
struct Bounded {
    bytes: Vec<u8>,
    most: usize,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.most - self.bytes.len() {
            return Err(io::Error::other(format!("its output is longer than {} bytes", self.most)));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn err_syntax(error: &minijinja::Error) -> Error {
    Error::corrupt(format!("the chat template is not understood: {}", sentence(error)))
}

fn err_render(error: &minijinja::Error) -> Error {
    match error.kind() {
        ErrorKind::OutOfFuel => Error::corrupt("the chat template takes too many steps; does it end?"),
        ErrorKind::InvalidOperation => {
            Error::input(format!("the chat template refuses: {}", sentence(error)))
        }
        _ => Error::corrupt(format!("the chat template fails: {}", sentence(error))),
    }
}

/// What went wrong and in which line, on one line.
fn sentence(error: &minijinja::Error) -> String {
    let mut text = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    let text: String =
        text.escape_debug().take(300).collect::<String>().replace("\\'", "'").replace("\\\"", "\"");
    match error.line() {
        Some(line) => format!("{text} (line {line})"),
        None => text,
    }
}
