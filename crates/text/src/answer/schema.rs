//! What the tools' own declarations say of their parameters.

use serde_json::Value;

/// What a parameter is, by its schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// A string.
    Text,
    /// A string or null.
    TextOrNull,
    /// Anything but a string.
    Json,
    /// Anything.
    Unknown,
}

/// The schema of the arguments of the tool `name`, among tools of the kind `{"type": "function", "function": {..}}`.
pub fn function_schema<'t>(tools: &'t [Value], name: &str) -> Option<&'t Value> {
    let functions = tools.iter().map(|tool| tool.get("function").unwrap_or(tool));
    functions.into_iter().find(|function| function["name"] == name)?.get("parameters")
}

/// What the parameter `key` of arguments is that `schema` describes.
pub(super) fn expected(schema: Option<&Value>, key: &str) -> Expected {
    let property = schema.and_then(|schema| schema.get("properties")?.get(key));
    let mut types = Vec::new();
    if !property.is_some_and(|property| collect(property, &mut types, 0)) {
        return Expected::Unknown;
    }
    match (types.contains(&"string"), types.contains(&"null")) {
        (false, _) => Expected::Json,
        (true, false) if types.iter().all(|kind| *kind == "string") => Expected::Text,
        (true, true) if types.iter().all(|kind| ["string", "null"].contains(kind)) => Expected::TextOrNull,
        _ => Expected::Unknown,
    }
}

/// Adds the types that `schema` allows; `false` when it does not say.
fn collect<'s>(schema: &'s Value, types: &mut Vec<&'s str>, depth: usize) -> bool {
    if depth > 8 {
        return false;
    }
    for either in ["anyOf", "oneOf"] {
        if let Some(choices) = schema.get(either).and_then(Value::as_array) {
            return choices.iter().all(|choice| collect(choice, types, depth + 1));
        }
    }
    match schema.get("type") {
        Some(Value::String(kind)) => types.push(kind),
        Some(Value::Array(kinds)) => types.extend(kinds.iter().filter_map(Value::as_str)),
        _ => {
            let Some(values) = schema.get("enum").and_then(Value::as_array) else { return false };
            types.extend(values.iter().map(|value| if value.is_string() { "string" } else { "other" }));
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn strings_are_told_from_all_else() {
        let tools = [json!({"type": "function", "function": {"name": "f", "parameters": {"properties": {
            "text": {"type": "string"},
            "choice": {"enum": ["a", "b"]},
            "maybe": {"type": ["string", "null"]},
            "either": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "count": {"type": "integer"},
            "list": {"type": "array", "items": {"type": "string"}},
            "mixed": {"type": ["string", "integer"]},
            "silent": {},
        }}}})];
        let schema = function_schema(&tools, "f");
        for (key, kind) in [
            ("text", Expected::Text),
            ("choice", Expected::Text),
            ("maybe", Expected::TextOrNull),
            ("either", Expected::TextOrNull),
            ("count", Expected::Json),
            ("list", Expected::Json),
            ("mixed", Expected::Unknown),
            ("silent", Expected::Unknown),
            ("absent", Expected::Unknown),
        ] {
            assert_eq!(expected(schema, key), kind, "{key}");
        }
        assert_eq!(function_schema(&tools, "g"), None);
    }
}
