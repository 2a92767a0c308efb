//! Tools for models whose template knows none: the model is told of them in words, in the way of Hermes, which most
//! models have seen.

use serde_json::{Value, json};
use text::{AnswerSyntax, Message};

use crate::ask::Tool;

/// A tool as templates know it.
pub fn declared(tool: &Tool) -> Value {
    let mut function = json!({ "name": tool.name, "parameters": tool.parameters });
    if let Some(description) = &tool.description {
        function["description"] = json!(description);
    }
    json!({ "type": "function", "function": function })
}

/// How calls are written then.
pub fn syntax() -> AnswerSyntax {
    AnswerSyntax::named("hermes").unwrap_or(AnswerSyntax::PLAIN)
}

/// The conversation with the tools told of, and with calls and their results in words.
pub fn tell(messages: &[Message], tools: &[Value]) -> Vec<Message> {
    let mut told: Vec<Message> = messages.iter().map(in_words).collect();
    if tools.is_empty() {
        return told;
    }
    let list: String = tools.iter().map(|tool| format!("{tool}\n")).collect();
    let words = format!(
        "You may call functions. They are described here, one a line:\n<tools>\n{list}</tools>\nTo call one, write its \
         name and arguments as JSON between tags:\n<tool_call>\n{{\"name\": \"NAME\", \"arguments\": {{}}}}\n</tool_call>"
    );
    match told.first_mut().filter(|first| first.role == "system") {
        Some(system) => system.content = format!("{}\n\n{words}", system.content),
        None => told.insert(0, Message::system(words)),
    }
    told
}

fn in_words(message: &Message) -> Message {
    if message.role == "tool" {
        return Message::user(format!("<tool_response>\n{}\n</tool_response>", message.content));
    }
    let mut content = message.content.clone();
    for call in &message.tool_calls {
        let call = json!({ "name": call.name, "arguments": call.arguments });
        let gap = if content.is_empty() { "" } else { "\n" };
        content = format!("{content}{gap}<tool_call>\n{call}\n</tool_call>");
    }
    Message { content, tool_calls: Vec::new(), ..message.clone() }
}

#[cfg(test)]
mod tests {
    use text::ToolCall;

    use super::*;

    #[test]
    fn a_model_that_knows_no_tools_is_told_of_them() {
        let call = ToolCall { id: None, name: "f".to_owned(), arguments: json!({ "a": 1 }) };
        let said = Message { tool_calls: vec![call], ..Message::assistant("Wait.") };
        let messages = [Message::system("Be brief."), Message::user("?"), said, Message::new("tool", "7")];
        let told = tell(&messages, &[declared(&Tool::probe())]);
        assert!(
            told[0].content.starts_with("Be brief.\n\n") && told[0].content.contains("\"name\":\"probe\"")
        );
        assert_eq!(
            told[2].content,
            "Wait.\n<tool_call>\n{\"name\":\"f\",\"arguments\":{\"a\":1}}\n</tool_call>"
        );
        assert_eq!(
            (told[3].role.as_str(), told[3].content.as_str()),
            ("user", "<tool_response>\n7\n</tool_response>")
        );
        assert_eq!(tell(&messages[..2], &[]), messages[..2]);
    }
}
