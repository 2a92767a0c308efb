//! What a template is given: messages, tools and settings.

use std::time::SystemTime;

use base::{Error, Quoted, Result};
use serde_json::{Map, Value, json};

/// The roles a message may have. Templates build control tokens from the role (`'<|' + role + '|>'`), so it is not
/// free text.
const ROLES: [&str; 8] =
    ["system", "developer", "user", "assistant", "tool", "function", "ipython", "observation"];

/// One message of a conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    /// Who speaks: `system`, `developer`, `user`, `assistant`, `tool`, or one of a few older names.
    pub role: String,
    /// What is said.
    pub content: String,
    /// What an assistant thought before it said that, if it is kept apart (`reasoning_content`).
    pub reasoning: Option<String>,
    /// The tools an assistant calls.
    pub tool_calls: Vec<ToolCall>,
    /// The call that a tool's message answers.
    pub tool_call_id: Option<String>,
    /// The name of the tool, or of the speaker.
    pub name: Option<String>,
}

/// An assistant's wish to call a tool.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolCall {
    /// What the answer refers to.
    pub id: Option<String>,
    /// The tool.
    pub name: String,
    /// Its arguments: an object, or JSON in a string, as the template wants it.
    pub arguments: Value,
}

/// How a conversation is rendered.
#[derive(Clone, Debug)]
pub struct ChatOptions {
    /// Ends the prompt where the assistant's next answer begins.
    pub add_generation_prompt: bool,
    /// The tools the model may call, each a JSON schema of the kind `{"type": "function", "function": {..}}`.
    pub tools: Vec<Value>,
    /// Further variables of the template, such as `enable_thinking`.
    pub variables: Map<String, Value>,
    /// What time it is for templates that tell the date, in UTC.
    pub now: SystemTime,
}

impl Default for ChatOptions {
    /// The answer begins; no tools, no variables, the present time.
    fn default() -> Self {
        Self { add_generation_prompt: true, tools: Vec::new(), variables: Map::new(), now: SystemTime::now() }
    }
}

impl Message {
    /// A message of `role`.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into(), ..Self::default() }
    }

    /// A message of the system.
    pub fn system(content: impl Into<String>) -> Self {
        Self::new("system", content)
    }

    /// A message of the user.
    pub fn user(content: impl Into<String>) -> Self {
        Self::new("user", content)
    }

    /// A message of the assistant.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self::new("assistant", content)
    }

    /// Refuses a role that is none.
    pub(super) fn check(&self) -> Result<()> {
        if ROLES.contains(&self.role.as_str()) {
            return Ok(());
        }
        let role = Quoted(&self.role);
        Err(Error::input(format!("a message has the role {role}, expected one of {}", ROLES.join(", "))))
    }

    /// The message as templates know it; what is absent is left out. Every string in it went through `guard`.
    pub(super) fn to_json(&self, guard: &mut dyn FnMut(&Value) -> Result<Value>) -> Result<Value> {
        let mut message = Map::new();
        message.insert("role".into(), self.role.as_str().into()); // one of ROLES
        message.insert("content".into(), guard(&self.content.as_str().into())?);
        let optional = [
            ("reasoning_content", &self.reasoning),
            ("tool_call_id", &self.tool_call_id),
            ("name", &self.name),
        ];
        for (key, text) in optional {
            if let Some(text) = text {
                message.insert(key.into(), guard(&text.as_str().into())?);
            }
        }
        if !self.tool_calls.is_empty() {
            let calls = self.tool_calls.iter().map(|call| call.to_json(guard)).collect::<Result<Vec<_>>>()?;
            message.insert("tool_calls".into(), calls.into());
        }
        Ok(message.into())
    }
}

impl ToolCall {
    fn to_json(&self, guard: &mut dyn FnMut(&Value) -> Result<Value>) -> Result<Value> {
        let name = guard(&self.name.as_str().into())?;
        let mut call =
            json!({ "type": "function", "function": { "name": name, "arguments": guard(&self.arguments)? } });
        if let Some(id) = &self.id {
            call["id"] = guard(&id.as_str().into())?;
        }
        Ok(call)
    }
}
