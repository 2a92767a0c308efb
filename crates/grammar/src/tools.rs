//! Calls of tools as a grammar in the model's own syntax: what a model must write where a tool is required, or where
//! its arguments have to follow their schema.

use base::{Error, Quoted, Result};
use serde_json::{Value, json};
use text::{AnswerSyntax, Arguments, Calls, Frame, Number, Parameters, Tokenizer, Written};
use tidemill::Constraint;

use crate::answers::{after_reasoning, around_calls, up_to};
use crate::grammars::Grammars;
use crate::lark::{self, SPACE, literal, mark};
use crate::limits::check_schema;

/// Which tools an answer must call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolChoice<'a> {
    /// One or more of any.
    Required,
    /// This one.
    Named(&'a str),
}

impl Grammars {
    /// An answer that calls tools, after whatever reasoning, and says nothing else. `tools` are those of the prompt, of the
    /// kind `{"type": "function", "function": {..}}`; arguments follow their schemas. `parallel` allows several calls.
    ///
    /// Of parameters that are written as text rather than JSON, strings are free but for `enum`.
    pub fn tools(
        &self,
        syntax: &AnswerSyntax,
        tools: &[Value],
        choice: ToolChoice<'_>,
        parallel: bool,
        within_reasoning: bool,
    ) -> Result<Box<dyn Constraint>> {
        let functions = tools.iter().map(|tool| tool.get("function").unwrap_or(tool));
        let mut rules = Rules { tokenizer: self.tokenizer(), text: String::new(), texts: 0 };
        let mut calls = Vec::new();
        for function in functions {
            let name = function["name"].as_str().ok_or_else(|| Error::input("a tool has no name"))?;
            if let ToolChoice::Named(wanted) = choice
                && wanted != name
            {
                continue;
            }
            let any = json!({"type": "object"});
            let schema = function.get("parameters").filter(|schema| !schema.is_null()).unwrap_or(&any);
            check_schema(schema)?;
            let call = rules.call(syntax, name, schema)?;
            let rule = format!("call_{}", calls.len());
            rules.text.push_str(&format!("{rule}: {call}\n"));
            calls.push(rule);
        }
        if calls.is_empty() {
            return Err(match choice {
                ToolChoice::Named(name) => Error::input(format!("there is no tool {}", Quoted(name))),
                ToolChoice::Required => Error::input("a tool is required, and there is none"),
            });
        }
        let body = rules.body(syntax, parallel);
        let start = match syntax.calls {
            Calls::Channels => harmony_start(self.tokenizer()),
            _ => after_reasoning(self.tokenizer(), syntax, within_reasoning),
        };
        let text = &rules.text;
        let (before, after) = around_calls(self.tokenizer(), syntax);
        self.compile_rules(
            "tools",
            format!("{start}body: {before} {body} {after}\ncall: {}\n{text}", calls.join(" | ")),
        )
    }
}

/// Rules on their way into a grammar.
struct Rules<'t> {
    tokenizer: &'t Tokenizer,
    text: String,
    /// Values so far that are any text.
    texts: usize,
}

impl Rules<'_> {
    fn mark(&self, text: &str) -> String {
        mark(self.tokenizer, text)
    }

    /// One call or several, with what is around them.
    fn body(&self, syntax: &AnswerSyntax, parallel: bool) -> String {
        let several =
            |between: &str| if parallel { format!("call ({between} call)*") } else { "call".to_owned() };
        match syntax.calls {
            Calls::Framed(Frame { section: Some((open, close)), .. }) => {
                let (open, close) = (self.mark(open), self.mark(close));
                // Those whose calls are bare functions open a section for each.
                let one = format!("{open} {SPACE} call {SPACE} {close}");
                match syntax.name {
                    "qwen3-coder" if parallel => format!("{one} ({SPACE} {one})*"),
                    "qwen3-coder" => one,
                    _ => format!("{open} {SPACE} {} {SPACE} {close}", several(SPACE)),
                }
            }
            Calls::Objects { mark, bare: false } => {
                format!("{} \"[\" {} \"]\"", self.mark(mark), several("\", \""))
            }
            Calls::Objects { .. } => several("\"; \""),
            Calls::Channels => "call".to_owned(),
            Calls::Framed(_) | Calls::None => several(SPACE),
        }
    }

    /// A call of the tool `name`.
    fn call(&mut self, syntax: &AnswerSyntax, name: &str, schema: &Value) -> Result<String> {
        match syntax.calls {
            Calls::None => Err(Error::unsupported("this model's template has no way to call tools")),
            Calls::Framed(frame) => Ok(self.framed(&frame, name, schema)),
            Calls::Objects { bare, .. } => {
                Ok(envelope(name, if bare { "parameters" } else { "arguments" }, schema))
            }
            Calls::Channels => {
                let recipient = literal(&format!("commentary to=functions.{name} "));
                let [channel, constrain, message] =
                    ["<|channel|>", "<|constrain|>", "<|message|>"].map(|text| self.mark(text));
                Ok(format!("{channel} {recipient} {constrain} \"json\" {message} {}", lark::json(schema)))
            }
        }
    }

    fn framed(&mut self, frame: &Frame, name: &str, schema: &Value) -> String {
        let (open, close) = (self.mark(frame.open), self.mark(frame.close));
        let kind =
            frame.kind.map_or(String::new(), |(kind, end)| format!("{} {}", literal(kind), self.mark(end)));
        let name_end = self.mark(frame.name_end);
        let name_rule = match frame.number {
            Some(Number { before, between, .. }) => {
                format!("{} /[0-9]{{1,4}}/", literal(&format!("{before}{name}{between}")))
            }
            None => literal(name),
        };
        match frame.arguments {
            Arguments::Envelope => {
                format!("{open} {SPACE} {} {SPACE} {close}", envelope(name, "arguments", schema))
            }
            Arguments::Json => {
                let end =
                    if frame.arguments_end.is_empty() { String::new() } else { literal(frame.arguments_end) };
                format!("{open} {kind} {name_rule} {name_end} {} {end} {close}", lark::json(schema))
            }
            Arguments::Parameters(parameters) => {
                let parameters = self.parameters(parameters, schema);
                format!("{open} {name_rule} {name_end} {SPACE} {parameters} {close}")
            }
        }
    }

    /// The parameters in the order of the schema, those that are not required perhaps left out.
    fn parameters(&mut self, syntax: &Parameters, schema: &Value) -> String {
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let properties = schema["properties"].as_object();
        let mut rules = Vec::new();
        for (key, property) in properties.into_iter().flatten() {
            let rule = self.parameter(syntax, key, property, schema);
            let optional = if required.contains(&key.as_str()) { "" } else { "?" };
            rules.push(format!("({rule} {SPACE}){optional}"));
        }
        rules.join(" ")
    }

    fn parameter(&mut self, syntax: &Parameters, key: &str, property: &Value, schema: &Value) -> String {
        let is_text = property["type"] == "string"
            || property["enum"].as_array().is_some_and(|values| values.iter().all(Value::is_string));
        let wanted = if is_text { Written::Text } else { Written::Json };
        let end =
            syntax.name_ends.iter().find(|(_, written)| *written == wanted || *written == Written::BySchema);
        let end = end.map_or("", |(end, _)| end);
        let before = format!(
            "{} {} {} {SPACE} {}",
            self.mark(syntax.open),
            literal(&if syntax.entities { entities(key) } else { key.to_owned() }),
            self.mark(end),
            self.mark(syntax.value_open)
        );
        let line = if syntax.on_lines { literal("\n") } else { String::new() };
        let close = self.mark(syntax.close);
        let value = match property["enum"].as_array() {
            Some(values) if is_text => {
                let values: Vec<String> = values.iter().filter_map(Value::as_str).map(literal).collect();
                format!("({}) {line} {close}", values.join(" | "))
            }
            _ if is_text => self.any_text(syntax),
            _ => format!("{} {line} {close}", lark::json(&with_definitions(property, schema))),
        };
        format!("{before} {line} {value}")
    }

    /// Any text, and the mark after it.
    fn any_text(&mut self, syntax: &Parameters) -> String {
        let name = format!("text_{}", self.texts);
        self.texts += 1;
        let line = if syntax.on_lines { "\n" } else { "" };
        let (rule, close) = up_to(self.tokenizer, &name, &format!("{line}{}", syntax.close));
        self.text.push_str(&rule);
        format!("{name} {close}")
    }
}

/// A name as it stands between quotes of a tag.
fn entities(name: &str) -> String {
    name.replace('&', "&amp;").replace('"', "&quot;")
}

/// A call as one object.
fn envelope(name: &str, key: &str, schema: &Value) -> String {
    let before = format!("{{\"name\": {}, \"{key}\": ", Value::from(name));
    format!("{} {} \"}}\"", literal(&before), lark::json(schema))
}

/// A part of a schema that may refer to definitions of the whole.
fn with_definitions(property: &Value, schema: &Value) -> Value {
    let mut property = property.clone();
    for key in ["$defs", "definitions"] {
        if let (Some(definitions), Value::Object(members)) = (schema.get(key), &mut property) {
            members.entry(key).or_insert_with(|| definitions.clone());
        }
    }
    property
}

/// Before a call in harmony: perhaps reasoning.
fn harmony_start(tokenizer: &Tokenizer) -> String {
    let [channel, message, end, start] =
        ["<|channel|>", "<|message|>", "<|end|>", "<|start|>"].map(|text| mark(tokenizer, text));
    let anything = lark::ANYTHING;
    format!(
        "start: ({channel} \"analysis\" {message} thought {end} {start} \"assistant\")? body\nthought: {anything}\n"
    )
}
