//! A request as every interface means it.

use base::TokenId;
use serde_json::{Map, Value};
use text::Message;

/// What is asked, whichever interface it came through.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// What to answer.
    pub prompt: Prompt,
    /// What the model may call.
    pub tools: Tools,
    /// What the answer must look like.
    pub shape: Shape,
    /// Whether it thinks first.
    pub thinking: Thinking,
    /// Tokens of thoughts at most.
    pub thoughts: Option<usize>,
    /// How tokens are chosen.
    pub choice: Choosing,
    /// Answers to give.
    pub answers: usize,
    /// Tokens of an answer at most; `None` for as many as there is room for.
    pub max_tokens: Option<usize>,
    /// Texts that end an answer and are no part of it.
    pub stop: Vec<String>,
    /// Reports how likely each token was, beside this many of the likeliest.
    pub logprobs: Option<usize>,
    /// Further variables of the chat template.
    pub variables: Map<String, Value>,
}

/// What to answer.
#[derive(Clone, Debug)]
pub enum Prompt {
    /// A conversation.
    Chat(Vec<Message>),
    /// A text to be continued.
    Text(String),
    /// Its tokens.
    Tokens(Vec<TokenId>),
}

impl Default for Prompt {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

/// How tokens are chosen; what is `None` is left to the server's defaults.
#[derive(Clone, Debug, Default)]
pub struct Choosing {
    /// 0 takes the likeliest token always.
    pub temperature: Option<f32>,
    /// Only the likeliest tokens that together reach this probability.
    pub top_p: Option<f32>,
    /// Only so many of the likeliest tokens; 0 for all.
    pub top_k: Option<usize>,
    /// Only tokens at least this fraction as likely as the likeliest.
    pub min_p: Option<f32>,
    /// Lowers what was said lately.
    pub repeat_penalty: Option<f32>,
    /// Lowers what was said at all.
    pub presence_penalty: Option<f32>,
    /// Lowers what was said, each time.
    pub frequency_penalty: Option<f32>,
    /// Added to the logits of tokens.
    pub logit_bias: Vec<(TokenId, f32)>,
    /// The same seed gives the same answer.
    pub seed: Option<u64>,
}

/// What the model may call.
#[derive(Clone, Debug)]
pub struct Tools {
    /// All of them.
    pub list: Vec<Tool>,
    /// Which it must.
    pub choice: ToolChoice,
    /// More than one in an answer.
    pub parallel: bool,
}

impl Default for Tools {
    fn default() -> Self {
        Self { list: Vec::new(), choice: ToolChoice::Auto, parallel: true }
    }
}

/// A function of the client.
#[derive(Clone, Debug)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// The JSON schema of its arguments.
    pub parameters: Value,
    /// Arguments that do not satisfy the schema cannot be generated, even if the model is free to call or not.
    pub strict: bool,
}

impl Tool {
    /// Some tool.
    pub fn probe() -> Self {
        let parameters = serde_json::json!({ "type": "object", "properties": {} });
        Self { name: "probe".to_owned(), description: Some("A probe.".to_owned()), parameters, strict: false }
    }
}

/// Which tools an answer calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice {
    /// The model's to decide.
    Auto,
    /// None.
    None,
    /// At least one.
    Required,
    /// This one.
    Named(String),
}

/// What an answer must look like.
#[derive(Clone, Debug, Default)]
pub enum Shape {
    /// Anything.
    #[default]
    Free,
    /// A JSON object.
    Json,
    /// JSON that satisfies a schema.
    Schema(Value),
}

/// Whether an answer begins with thoughts, for models that have them.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Thinking {
    /// As the model usually does.
    #[default]
    Usual,
    /// Without.
    Off,
    /// With.
    On,
    /// With so much effort, in the words of the model's template.
    Effort(String),
}
