//! What a shape may cost. Whoever asks for one may be a stranger.

use base::{Error, Result};
use llguidance::api::ParserLimits;
use serde_json::Value;

/// The longest expression or grammar.
const MAX_TEXT_BYTES: usize = 128 << 10;
/// How deep its brackets may be nested.
const MAX_BRACKETS: usize = 200;
/// How deep a schema may be nested, and how many values it may have. The largest published ones have some 20,000.
const MAX_DEPTH: usize = 64;
const MAX_VALUES: usize = 50_000;
/// The stack of the thread that compiles: what is nested as deep as may be takes a fraction of it.
pub(crate) const STACK_BYTES: usize = 64 << 20;

/// The sum of all `multipleOf`, each without its point: dividing by a number takes as many states. 200 with a sum of 200,000
/// took 75 MiB and 3 s.
const MAX_DIVISORS: u64 = 20_000;

/// Bytes that the lexer of one answer may come to take: each state it meets is kept. Published schemas stay below 1 MiB.
pub const LEXER_BYTES: u64 = 4 << 20;
/// What a unit of the lexer's work may leave behind: 13 bytes were seen where every unit made a state.
const FUEL_BYTES: u64 = 16;
/// Units of work on masks by which a lexer has become as large as it may.
pub(crate) const LEXER_FUEL: u64 = LEXER_BYTES / FUEL_BYTES;

/// Bytes of a model's tokens as a tree, and of making it. Measured at 330 a token of 150,000, 420 of 4,000.
pub fn tree_bytes(vocab: usize) -> u64 {
    448 * vocab as u64
}

/// The engine's own limits: some 20 ms and 20 MB to compile, some 15 ms for a mask.
pub(crate) fn parser_limits() -> ParserLimits {
    ParserLimits {
        max_lexer_states: 10_000,
        max_grammar_size: 250_000,
        verbose_errors: false,
        ..ParserLimits::default()
    }
}

/// Refuses a text that is too long or nested too deeply.
pub(crate) fn check_text(what: &str, text: &str) -> Result<()> {
    if text.len() > MAX_TEXT_BYTES {
        let found = text.len();
        return Err(Error::input(format!("the {what} has {found} bytes, expected at most {MAX_TEXT_BYTES}")));
    }
    let (mut depth, mut deepest) = (0usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    if deepest > MAX_BRACKETS {
        let error = format!("the {what} nests {deepest} brackets, expected at most {MAX_BRACKETS}");
        return Err(Error::input(error));
    }
    Ok(())
}

/// Refuses a schema that is too large or nested too deeply.
pub(crate) fn check_schema(schema: &Value) -> Result<()> {
    let mut left = vec![(schema, 1)];
    let (mut values, mut divisors) = (0, 0u64);
    while let Some((value, depth)) = left.pop() {
        values += 1;
        if depth > MAX_DEPTH || values > MAX_VALUES {
            return Err(Error::input(format!(
                "the schema is too large: expected at most {MAX_VALUES} values, nested up to {MAX_DEPTH} deep"
            )));
        }
        match value {
            Value::Array(items) => left.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(members) => {
                divisors = divisors.saturating_add(members.get("multipleOf").map_or(0, digits));
                if divisors > MAX_DIVISORS {
                    let error =
                        format!("`multipleOf` adds up to {divisors}, expected at most {MAX_DIVISORS}");
                    return Err(Error::input(format!("the schema is too large: {error}")));
                }
                left.extend(members.values().map(|member| (member, depth + 1)));
            }
            Value::String(text) => check_text("schema", text)?,
            _ => {}
        }
    }
    Ok(())
}

/// A number without its sign and point; 0 of what is none.
fn digits(value: &Value) -> u64 {
    let Value::Number(number) = value else { return 0 };
    let text = number.to_string();
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    digits.trim_start_matches('0').parse().unwrap_or(if digits.len() > 19 { u64::MAX } else { 0 })
}
