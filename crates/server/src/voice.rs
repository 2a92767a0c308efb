//! How a model reads and writes: its tokenizer, its chat template, and the way it marks thoughts and calls.

use std::sync::{Arc, OnceLock};

use base::{Result, TokenId};
use grammar::Grammars;
use serde_json::{Map, Value, json};
use text::{AnswerOptions, AnswerSyntax, ChatOptions, ChatTemplate, Message, Rendered, Tokenizer};
use tidemill::{Constraint, Opened};

use crate::ask::{Thinking, Tool, ToolChoice, Tools};
use crate::refusal::Refusal;
use crate::toolbox;

/// Text to tokens and back, conversations to prompts, answers to their parts.
pub struct Voice {
    /// Text to tokens and back.
    pub(crate) tokenizer: Arc<Tokenizer>,
    chat: Option<Chat>,
    /// Made when the first answer is to be held to a shape.
    grammars: OnceLock<Result<Grammars>>,
}

/// How a model converses.
struct Chat {
    template: ChatTemplate,
    /// How the model marks thoughts and calls.
    syntax: AnswerSyntax,
    /// The template tells the model of tools; else we do.
    takes_tools: bool,
    /// The variable by which the template is told whether to think, if there is one.
    switch: Option<&'static str>,
    /// The template knows degrees of effort.
    takes_effort: bool,
}

/// A conversation, ready to be answered.
pub(crate) struct Prepared {
    /// The prompt.
    pub tokens: Vec<TokenId>,
    /// How the answer is to be read.
    pub reading: AnswerOptions,
    /// What the answer must look like.
    pub constraint: Option<Box<dyn Constraint>>,
}

/// What templates call the variable that says whether to think.
const SWITCHES: [&str; 2] = ["enable_thinking", "thinking"];
const EFFORT: &str = "reasoning_effort";

impl Voice {
    /// The voice of an opened model.
    pub fn of(opened: &Opened) -> Result<Self> {
        let tokenizer = opened.tokenizer()?;
        let chat = opened.chat_template(&tokenizer)?.map(Chat::new);
        Ok(Self { tokenizer: Arc::new(tokenizer), chat, grammars: OnceLock::new() })
    }

    /// A conversation as the model wants it, and how its answer is to be read.
    pub(crate) fn conversation(
        &self,
        messages: &[Message],
        tools: &Tools,
        thinking: &Thinking,
        variables: &Map<String, Value>,
    ) -> Result<Prepared, Refusal> {
        let Some(chat) = &self.chat else {
            return Err(Refusal::invalid(
                "this model has no chat template: it continues text, at /v1/completions",
            ));
        };
        let (rendered, reading) = chat.render(messages, tools, thinking, variables)?;
        let tokens = self.tokenizer.encode_rendered(&rendered).map_err(|error| Refusal::of(&error))?;
        Ok(Prepared { tokens, reading, constraint: None })
    }

    /// The shapes that answers can be held to.
    pub(crate) fn grammars(&self) -> Result<&Grammars, Refusal> {
        let made = self.grammars.get_or_init(|| Grammars::new(self.tokenizer.clone()));
        made.as_ref().map_err(Refusal::of)
    }

    /// A text to be continued as it is.
    pub(crate) fn text(&self, text: &str) -> Result<Vec<TokenId>, Refusal> {
        self.tokenizer.encode_prompt(text).map_err(|error| Refusal::of(&error))
    }
}

impl Chat {
    fn new(template: ChatTemplate) -> Self {
        let syntax = AnswerSyntax::of(&template);
        let mut chat = Self { template, syntax, takes_tools: true, switch: None, takes_effort: false };
        let probe = toolbox::declared(&Tool::probe());
        chat.takes_tools = chat.differs(&[probe], &[], &Map::new(), &Map::new());
        let with = |name: &str, value: Value| Map::from_iter([(name.to_owned(), value)]);
        chat.switch = SWITCHES
            .into_iter()
            .find(|name| chat.differs(&[], &[], &with(name, json!(true)), &with(name, json!(false))));
        chat.takes_effort = chat.differs(&[], &[], &with(EFFORT, json!("low")), &with(EFFORT, json!("high")));
        chat
    }

    /// Whether the template writes different prompts for these and those.
    fn differs(
        &self,
        tools: &[Value],
        others: &[Value],
        these: &Map<String, Value>,
        those: &Map<String, Value>,
    ) -> bool {
        let render = |tools: &[Value], variables: &Map<String, Value>| {
            let options =
                ChatOptions { tools: tools.to_vec(), variables: variables.clone(), ..ChatOptions::default() };
            self.template.render(&[Message::user("?")], &options).ok()
        };
        render(tools, these) != render(others, those)
    }

    fn render(
        &self,
        messages: &[Message],
        tools: &Tools,
        thinking: &Thinking,
        variables: &Map<String, Value>,
    ) -> Result<(Rendered, AnswerOptions), Refusal> {
        let list = if tools.choice == ToolChoice::None { &[][..] } else { &tools.list[..] };
        let declared: Vec<Value> = list.iter().map(toolbox::declared).collect();
        let mut options = ChatOptions { variables: variables.clone(), ..ChatOptions::default() };
        self.think(thinking, &mut options.variables)?;
        let mut syntax = self.syntax;
        let told;
        let messages = if self.takes_tools {
            options.tools = declared.clone();
            messages
        } else {
            if !list.is_empty() {
                syntax = AnswerSyntax { reasoning: self.syntax.reasoning, ..toolbox::syntax() };
            }
            told = toolbox::tell(messages, &declared);
            &told
        };
        let rendered = self.template.render(messages, &options).map_err(|error| Refusal::of(&error))?;
        let within_reasoning = syntax.opens_reasoning(&rendered);
        let reading = AnswerOptions { syntax, within_reasoning, tools: declared, stop: Vec::new() };
        Ok((rendered, reading))
    }

    /// Tells the template whether to think, as far as the model can do either.
    fn think(&self, thinking: &Thinking, variables: &mut Map<String, Value>) -> Result<(), Refusal> {
        let thinks = self.syntax.reasoning.is_some() || self.takes_effort;
        let mut switch = |on: bool| match self.switch {
            Some(name) => {
                variables.insert(name.to_owned(), json!(on));
                Ok(())
            }
            // Who never thinks need not be told not to; whoever always does need not be told to.
            None if on == thinks => Ok(()),
            None if on => Err(Refusal::invalid("this model does not think before it answers")),
            None => Err(Refusal::invalid("this model thinks before it answers; that cannot be switched off")),
        };
        match thinking {
            Thinking::Usual => Ok(()),
            Thinking::Off => switch(false),
            Thinking::On if thinks || self.switch.is_some() => switch(true),
            // The thoughts of a model that has none are bounded by any effort.
            Thinking::On => Ok(()),
            Thinking::Effort(effort) if self.takes_effort => {
                variables.insert(EFFORT.to_owned(), json!(effort));
                Ok(())
            }
            Thinking::Effort(effort) if !thinks || effort == "medium" => Ok(()),
            Thinking::Effort(_) => Err(Refusal::invalid(
                "this model knows no degrees of effort: expected `medium`, or `none` where it can be switched off",
            )),
        }
    }
}
