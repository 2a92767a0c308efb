//! OpenAI's tools and shapes of answers, as `chat/completions` and `responses` have them.

use serde_json::{Map, Value, json};

use super::fields::only;
use crate::ask::{Shape, Tool, ToolChoice};
use crate::refusal::Refusal;

/// The most tools of a request.
const TOOLS: usize = 256;

/// A function as it is described: `name`, `description`, `parameters`, `strict`, and in `responses` also `type`.
pub fn function(function: &Map<String, Value>, field: &str) -> Result<Tool, Refusal> {
    only(function, field, &["type", "name", "description", "parameters", "strict"])?;
    let name = function.get("name").and_then(Value::as_str).unwrap_or_default();
    let description = match function.get("description") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(_) => return Err(Refusal::field(format!("{field}.description"), "expected a text")),
    };
    tool(name, description, function.get("parameters"), function.get("strict"), field, "parameters")
}

/// A tool, checked.
pub fn tool(
    name: &str,
    description: Option<String>,
    parameters: Option<&Value>,
    strict: Option<&Value>,
    field: &str,
    schema_field: &str,
) -> Result<Tool, Refusal> {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
    if name.is_empty() || name.len() > 128 || !name.chars().all(is_name) {
        let problem = "expected up to 128 letters, digits, underscores, dashes or dots";
        return Err(Refusal::field(format!("{field}.name"), problem));
    }
    let parameters = match parameters {
        None | Some(Value::Null) => json!({ "type": "object", "properties": {} }),
        Some(schema @ Value::Object(_)) => schema.clone(),
        Some(_) => return Err(Refusal::field(format!("{field}.{schema_field}"), "expected a JSON schema")),
    };
    let strict = match strict {
        None | Some(Value::Null) => false,
        Some(Value::Bool(strict)) => *strict,
        Some(_) => return Err(Refusal::field(format!("{field}.strict"), "expected true or false")),
    };
    Ok(Tool { name: name.to_owned(), description, parameters, strict })
}

/// Refuses tools that cannot be told apart, and too many.
pub fn check(tools: &[Tool], choice: &ToolChoice) -> Result<(), Refusal> {
    if tools.len() > TOOLS {
        return Err(Refusal::field("tools", format!("{} tools; expected up to {TOOLS}", tools.len())));
    }
    for (index, tool) in tools.iter().enumerate() {
        if tools[..index].iter().any(|other| other.name == tool.name) {
            return Err(Refusal::field(format!("tools[{index}]"), format!("a second tool `{}`", tool.name)));
        }
    }
    match choice {
        ToolChoice::Named(name) if !tools.iter().any(|tool| tool.name == *name) => {
            Err(Refusal::field("tool_choice", "names a tool that is not among `tools`"))
        }
        ToolChoice::Required if tools.is_empty() => {
            Err(Refusal::field("tool_choice", "a call is required, but there are no `tools`"))
        }
        _ => Ok(()),
    }
}

/// `"auto"`, `"none"`, `"required"`, or a function by its name.
pub fn choice(choice: Option<&Value>) -> Result<ToolChoice, Refusal> {
    let unknown = || {
        Refusal::field(
            "tool_choice",
            "expected `auto`, `none`, `required` or {\"type\": \"function\", ..} with a name",
        )
    };
    match choice {
        None | Some(Value::Null) => Ok(ToolChoice::Auto),
        Some(Value::String(word)) => match word.as_str() {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" => Ok(ToolChoice::Required),
            _ => Err(unknown()),
        },
        Some(Value::Object(object)) if object.get("type") == Some(&json!("function")) => {
            only(object, "tool_choice", &["type", "function", "name"])?;
            let inner = object.get("function").and_then(|function| function.get("name"));
            let name = inner.or(object.get("name")).and_then(Value::as_str).ok_or_else(unknown)?;
            Ok(ToolChoice::Named(name.to_owned()))
        }
        Some(_) => Err(unknown()),
    }
}

/// `text`, `json_object` or `json_schema`, the schema either in an object of its own or beside the type.
pub fn shape(format: Option<&Value>, field: &str) -> Result<Shape, Refusal> {
    let format = match format {
        None | Some(Value::Null) => return Ok(Shape::Free),
        Some(Value::Object(format)) => format,
        Some(_) => return Err(Refusal::field(field, "expected an object")),
    };
    let beside = ["type", "name", "description", "schema", "strict"];
    match format.get("type").and_then(Value::as_str) {
        Some("text") => only(format, field, &["type"]).map(|()| Shape::Free),
        Some("json_object") => only(format, field, &["type"]).map(|()| Shape::Json),
        Some("json_schema") => {
            let (inner, field) = match format.get("json_schema") {
                Some(Value::Object(inner)) => {
                    only(format, field, &["type", "json_schema"])?;
                    (inner, format!("{field}.json_schema"))
                }
                _ => (format, field.to_owned()),
            };
            only(inner, &field, &beside)?;
            match inner.get("schema") {
                Some(schema @ (Value::Object(_) | Value::Bool(_))) => Ok(Shape::Schema(schema.clone())),
                _ => Err(Refusal::field(format!("{field}.schema"), "expected a JSON schema")),
            }
        }
        _ => Err(Refusal::field(format!("{field}.type"), "expected `text`, `json_object` or `json_schema`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_understood_or_refused() {
        assert_eq!(choice(None), Ok(ToolChoice::Auto));
        assert_eq!(choice(Some(&json!("required"))), Ok(ToolChoice::Required));
        let named = Ok(ToolChoice::Named("f".to_owned()));
        assert_eq!(choice(Some(&json!({ "type": "function", "function": { "name": "f" } }))), named);
        assert_eq!(choice(Some(&json!({ "type": "function", "name": "f" }))), named);
        for bad in [json!("maybe"), json!(3), json!({ "type": "web_search" })] {
            assert!(choice(Some(&bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn shapes_are_understood_in_both_spellings() {
        for format in [
            json!({ "type": "json_schema", "json_schema": { "name": "a", "schema": {}, "strict": true } }),
            json!({ "type": "json_schema", "name": "a", "schema": {} }),
        ] {
            assert!(matches!(shape(Some(&format), "f"), Ok(Shape::Schema(_))), "{format}");
        }
        assert!(matches!(shape(Some(&json!({ "type": "json_object" })), "f"), Ok(Shape::Json)));
        for bad in
            [json!({ "type": "xml" }), json!({ "type": "text", "odd": 1 }), json!({ "type": "json_schema" })]
        {
            assert!(shape(Some(&bad), "f").is_err(), "{bad}");
        }
    }

    #[test]
    fn tools_have_names_and_schemas() {
        let read = |tool: Value| function(tool.as_object().unwrap(), "tools[0].function");
        assert!(read(json!({ "name": "get_weather", "parameters": {}, "strict": true })).unwrap().strict);
        for bad in [
            json!({}),
            json!({ "name": "a b" }),
            json!({ "name": "a", "parameters": 1 }),
            json!({ "name": "a", "x": 1 }),
        ] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }
}
