//! What the answer to a request is held to: a shape, calls of tools, or nothing.

use std::sync::Arc;

use grammar::{Grammars, ToolChoice as Forced};
use serde_json::{Value, json};
use text::{AnswerOptions, AnswerSyntax, Tokenizer};
use tidemill::Constraint;

use crate::ask::{Ask, Shape, ToolChoice, Tools};
use crate::gate::Gate;
use crate::refusal::Refusal;
use crate::toolbox;

/// The constraint for the answer to `ask`, which will be read as `reading` says.
pub fn constraint(
    grammars: &Grammars,
    ask: &Ask,
    reading: &AnswerOptions,
) -> Result<Option<Box<dyn Constraint>>, Refusal> {
    let tools = &ask.tools;
    let schema = match &ask.shape {
        Shape::Free => None,
        Shape::Json => Some(json!({ "type": "object" })),
        Shape::Schema(schema) => Some(schema.clone()),
    };
    let (syntax, thinks) = (&reading.syntax, reading.within_reasoning);
    let made = match (&tools.choice, schema) {
        (ToolChoice::Required, _) => {
            grammars.tools(syntax, &reading.tools, Forced::Required, tools.parallel, thinks)
        }
        (ToolChoice::Named(name), _) => {
            grammars.tools(syntax, &reading.tools, Forced::Named(name), tools.parallel, thinks)
        }
        (ToolChoice::Auto, Some(_)) if !tools.list.is_empty() => {
            let problem = "cannot be enforced while the model is free to call `tools`";
            return Err(Refusal::field("response_format", problem));
        }
        (_, Some(schema)) => grammars.json_answer(syntax, &schema, thinks),
        (ToolChoice::Auto, None) if tools.list.iter().any(|tool| tool.strict) => {
            return gate(grammars, grammars.tokenizer(), tools, reading).map(Some);
        }
        (_, None) => return Ok(None),
    };
    made.map(Some).map_err(|error| Refusal::of(&error))
}

/// Whether anything is to be enforced.
pub fn is_needed(ask: &Ask) -> bool {
    let forced = !matches!(ask.tools.choice, ToolChoice::Auto | ToolChoice::None);
    let strict = ask.tools.choice == ToolChoice::Auto && ask.tools.list.iter().any(|tool| tool.strict);
    forced || strict || !matches!(ask.shape, Shape::Free)
}

/// Calls that are not made but, if they are, follow the schemas of strict tools.
fn gate(
    grammars: &Grammars,
    tokenizer: &Arc<Tokenizer>,
    tools: &Tools,
    reading: &AnswerOptions,
) -> Result<Box<dyn Constraint>, Refusal> {
    let declared: Vec<Value> = tools
        .list
        .iter()
        .map(|tool| {
            let mut declared = toolbox::declared(tool);
            if !tool.strict {
                declared["function"]["parameters"] = json!({ "type": "object" });
            }
            declared
        })
        .collect();
    // Thoughts are the gate's to let pass.
    let syntax = AnswerSyntax { reasoning: None, ..reading.syntax };
    let calls = grammars.tools(&syntax, &declared, Forced::Required, tools.parallel, false);
    let calls = calls.map_err(|error| Refusal::of(&error))?;
    let gate = Gate::new(tokenizer.clone(), &reading.syntax, reading.within_reasoning, calls);
    match gate {
        Some(gate) => Ok(Box::new(gate)),
        None => {
            let problem = "strict tools cannot be enforced for this model unless a call is required";
            Err(Refusal::field("tools", problem))
        }
    }
}
