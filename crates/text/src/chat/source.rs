//! Where a model keeps its chat template, and what has to be done to its text before it can be compiled.

use base::{Context, Error, Result};
use formats::{Checkpoint, Format};
use serde_json::Value;

use crate::files::{home, read};
use crate::load::Settings;

/// The longest template that is read; the longest published one has some 30 kB.
const MAX_TEMPLATE_BYTES: usize = 1 << 20;

/// The model's template: `chat_template.jinja`, else `chat_template` of `tokenizer_config.json`, or
/// `tokenizer.chat_template` of a GGUF file.
pub(super) fn find(checkpoint: &Checkpoint) -> Result<Option<String>> {
    let root = &checkpoint.root;
    match checkpoint.format {
        Format::Gguf => {
            let template = checkpoint.metadata.str("tokenizer.chat_template").within(|| root.display())?;
            template.map(|template| bounded(template.to_owned())).transpose().within(|| root.display())
        }
        Format::Safetensors => {
            let root = home(root);
            let path = root.join("chat_template.jinja");
            if let Some(bytes) = read(&path, MAX_TEMPLATE_BYTES as u64)? {
                let text = String::from_utf8(bytes).map_err(|_| Error::corrupt("is not UTF-8"));
                return text.map(Some).within(|| path.display());
            }
            let template = in_settings(Settings::read(root)?.chat_template);
            template.transpose().within(|| root.join("tokenizer_config.json").display().to_string())
        }
    }
}

/// The template in the settings: a string, or a list of named ones of which `default` is for conversations.
fn in_settings(setting: Option<Value>) -> Option<Result<String>> {
    let template = match setting? {
        Value::Null => return None,
        Value::Array(named) => {
            let default = named.iter().find(|one| one.get("name").and_then(Value::as_str) == Some("default"));
            let only = if named.len() == 1 { named.first() } else { None };
            default.or(only)?.get("template")?.as_str().map(str::to_owned)
        }
        Value::String(template) => Some(template),
        _ => None,
    };
    Some(
        template
            .ok_or_else(|| Error::corrupt("chat_template is neither a template nor a list of them"))
            .and_then(bounded),
    )
}

fn bounded(template: String) -> Result<String> {
    if template.len() > MAX_TEMPLATE_BYTES {
        let found = template.len();
        return Err(Error::corrupt(format!(
            "the chat template has {found} bytes, expected at most {MAX_TEMPLATE_BYTES}"
        )));
    }
    Ok(template)
}

/// `template` without `{% generation %}` tags, which mark what to train on: they become a scope that does nothing.
pub(super) fn without_training_marks(template: &str) -> String {
    let mut result = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start);
        result.push_str(before);
        let end = tag.find("%}").map_or(tag.len(), |end| end + 2);
        let (tag, after) = tag.split_at(end);
        let replaced = match inner(tag) {
            "generation" => tag.replacen("generation", "if true", 1),
            "endgeneration" => tag.replacen("endgeneration", "endif", 1),
            _ => tag.to_owned(),
        };
        result.push_str(&replaced);
        rest = after;
    }
    result + rest
}

/// What a tag says, without its braces and dashes.
fn inner(tag: &str) -> &str {
    tag.trim_start_matches("{%").trim_end_matches("%}").trim_matches(['-', '+']).trim()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_setting_may_be_a_template_or_a_list_of_named_ones() {
        let cases = [
            (json!("a"), Some("a")),
            (json!([{"name": "rag", "template": "b"}, {"name": "default", "template": "a"}]), Some("a")),
            (json!([{"name": "rag", "template": "b"}]), Some("b")),
            (json!([]), None),
            (json!(null), None),
        ];
        for (setting, expected) in cases {
            let found = in_settings(Some(setting)).transpose().unwrap();
            assert_eq!(found.as_deref(), expected);
        }
        assert!(in_settings(Some(json!(7))).unwrap().is_err());
        assert!(in_settings(Some(json!("x".repeat(2 << 20)))).unwrap().is_err());
    }

    #[test]
    fn training_marks_become_scopes() {
        let cases = [
            ("a{% generation %}b{% endgeneration %}c", "a{% if true %}b{% endif %}c"),
            ("{%- generation -%}x{%-endgeneration%}", "{%- if true -%}x{%-endif%}"),
            ("{% set generation = 1 %}{{ generation }}", "{% set generation = 1 %}{{ generation }}"),
            ("{% open", "{% open"),
        ];
        for (template, expected) in cases {
            assert_eq!(without_training_marks(template), expected);
        }
    }
}
