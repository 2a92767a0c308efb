//! Keeping text from a user apart from what a template writes, through whatever the template does to it.
//!
//! A template is a program: it trims, splits, joins and quotes what messages say, and out comes one string in which
//! `<|im_end|>` may be the template's or a user's. So before rendering, characters of a user's strings that could
//! take part in a control token are replaced by *stand-ins*: private-use characters that occur nowhere in the input,
//! one for one, which no template looks at and no control token contains. After rendering, control tokens are
//! looked for, and then the stand-ins become what they stood for. Which characters those are:
//!
//! - the first and the last character of any control token, as long as it is neither letter nor digit (mostly `<`,
//!   `>`, `[` and `]`): a token that begins or ends in user text is never found;
//! - where the template puts text between the two ends of a control token (`'<' ~ key ~ '>'`), one character of each
//!   string that would complete it (`think`, `|im_end|`).
//!
//! Reasoning markers such as `</think>` stay as they are in an assistant's messages, because templates split history
//! at them.

use std::collections::{BTreeMap, BTreeSet};

use base::{Error, Result};
use serde_json::Value;

use crate::control::Literals;

/// Markers that templates look for in an assistant's messages.
const REASONING_MARKERS: [&str; 4] = ["<think>", "</think>", "<mm:think>", "</mm:think>"];

/// Words of JSON schemas, which templates look for in the descriptions of tools. They stay as they are, unless the
/// template could make one of them a control token all by itself.
const SCHEMA_WORDS: [&str; 22] = [
    "type",
    "function",
    "name",
    "description",
    "parameters",
    "properties",
    "required",
    "items",
    "enum",
    "default",
    "anyOf",
    "oneOf",
    "format",
    "additionalProperties",
    "strict",
    "object",
    "string",
    "integer",
    "number",
    "boolean",
    "array",
    "null",
];

/// The private-use planes, of which stand-ins are taken.
const PRIVATE_USE: std::ops::RangeInclusive<char> = '\u{f0000}'..='\u{10fffd}';

/// What of a user's text could become part of a control token of one model in one template.
#[derive(Debug, Default)]
pub(super) struct Guard {
    /// Characters that control tokens begin or end with.
    edges: BTreeSet<char>,
    /// What the template could complete on both sides.
    middles: BTreeSet<String>,
    /// What would follow a beginning that the template leaves open.
    tails: BTreeSet<String>,
    /// What would precede an end that the template writes after an expression.
    heads: BTreeSet<String>,
}

/// Which stand-in stands for which character, in one rendering.
#[derive(Debug, Default)]
pub(super) struct StandIns {
    of: BTreeMap<char, char>,
    real: BTreeMap<char, char>,
    /// Private-use characters that the input itself uses.
    taken: BTreeSet<char>,
}

impl Guard {
    /// What to guard against for control tokens `controls` in `template`.
    pub fn new(controls: &Literals, template: &str) -> Self {
        let mut guard = Self::default();
        for literal in controls.iter() {
            guard.add(&literal.text, template);
        }
        guard
    }

    fn add(&mut self, token: &str, template: &str) {
        let ends = [token.chars().next(), token.chars().next_back()];
        let edges =
            ends.into_iter().flatten().filter(|edge| !edge.is_alphanumeric() && !edge.is_whitespace());
        self.edges.extend(edges.clone());
        if edges.count() == 0 {
            self.middles.insert(token.to_owned());
        }

        let cuts: Vec<usize> = token.char_indices().map(|(place, _)| place).skip(1).collect();
        // A template without `<|` has no `<|im` either, so the search ends early.
        let written = |part: &str| template.contains(part);
        let openings = cuts.iter().copied().take_while(|cut| written(&token[..*cut]));
        let openings: Vec<usize> = openings.filter(|cut| is_left_open(template, &token[..*cut])).collect();
        let closings = cuts.iter().rev().copied().take_while(|cut| written(&token[*cut..]));
        let closings: Vec<usize> = closings.filter(|cut| is_put_after(template, &token[*cut..])).collect();

        self.tails.extend(openings.iter().map(|open| token[*open..].to_owned()));
        self.heads.extend(closings.iter().map(|close| token[..*close].to_owned()));
        for open in openings {
            let between = closings.iter().filter(|close| open < **close);
            self.middles.extend(between.map(|close| token[open..*close].to_owned()));
        }
    }

    /// `value` with all its strings and keys guarded.
    pub fn json(&self, value: &Value, stand_ins: &mut StandIns) -> Result<Value> {
        Ok(match value {
            Value::String(text) => self.text(text, stand_ins)?.into(),
            Value::Array(items) => {
                items.iter().map(|item| self.json(item, stand_ins)).collect::<Result<Vec<_>>>()?.into()
            }
            Value::Object(entries) => {
                let guard = |(key, value): (&String, &Value)| {
                    Ok((self.text(key, stand_ins)?, self.json(value, stand_ins)?))
                };
                Value::Object(entries.iter().map(guard).collect::<Result<_>>()?)
            }
            other => other.clone(),
        })
    }

    /// `text` with stand-ins for whatever could become part of a control token.
    pub fn text(&self, text: &str, stand_ins: &mut StandIns) -> Result<String> {
        self.replace(text, &self.exposed(text), stand_ins)
    }

    /// As [`Guard::text`], but reasoning markers stay.
    pub fn assistant_text(&self, text: &str, stand_ins: &mut StandIns) -> Result<String> {
        let mut exposed = self.exposed(text);
        for marker in REASONING_MARKERS {
            for (start, _) in text.match_indices(marker) {
                for place in start..start + marker.len() {
                    exposed.remove(&place);
                }
            }
        }
        self.replace(text, &exposed, stand_ins)
    }

    /// The places of the characters to replace.
    fn exposed(&self, text: &str) -> BTreeSet<usize> {
        if SCHEMA_WORDS.contains(&text) && !self.middles.contains(text) {
            return BTreeSet::new();
        }
        let edges = text.char_indices().filter(|(_, letter)| self.edges.contains(letter));
        let mut places: BTreeSet<usize> = edges.map(|(place, _)| place).collect();
        for middle in &self.middles {
            places.extend(occurrences(text, middle));
        }
        let trimmed = text.trim();
        let completes = |tail: &String| tail.starts_with(trimmed) || trimmed.starts_with(tail);
        let begins = |head: &String| head.ends_with(trimmed) || trimmed.ends_with(head);
        if !trimmed.is_empty() && (self.tails.iter().any(completes) || self.heads.iter().any(begins)) {
            let last = trimmed.chars().next_back().map_or(0, char::len_utf8);
            let start = text.len() - text.trim_start().len();
            places.extend([start, start + trimmed.len() - last]);
        }
        places
    }

    fn replace(&self, text: &str, places: &BTreeSet<usize>, stand_ins: &mut StandIns) -> Result<String> {
        let replaced = text.char_indices().map(|(place, letter)| match places.contains(&place) {
            true => stand_ins.stand_in(letter),
            false => Ok(letter),
        });
        replaced.collect()
    }
}

/// Whether `template` ends a piece of its own text in `opening` and goes on with something else. The role of a message
/// is nothing else: it is one of a few words.
fn is_left_open(template: &str, opening: &str) -> bool {
    let mut places =
        template.match_indices(opening).map(|(place, _)| template[place + opening.len()..].trim_start());
    places.any(|after| {
        after.chars().next().is_none_or(|next| "'\"{".contains(next)) && !goes_on_with_role(after)
    })
}

/// Whether `template` begins a piece of its own text with `closing` after something else.
fn is_put_after(template: &str, closing: &str) -> bool {
    let mut places = template.match_indices(closing).map(|(place, _)| template[..place].trim_end());
    places.any(|before| {
        before.chars().next_back().is_none_or(|last| "'\"}".contains(last)) && !comes_from_role(before)
    })
}

/// The ways to say the role of a message, after the name of the message.
const ROLE: [&str; 3] = [".role", "['role']", "[\"role\"]"];

/// Whether `after`, which ends a piece of text, goes on with `+ message.role` or `{{ message.role`.
fn goes_on_with_role(after: &str) -> bool {
    let is_operator = |letter: char| "'\"{-+~".contains(letter) || letter.is_whitespace();
    let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    let role = after.trim_start_matches(is_operator).trim_start_matches(is_name);
    ROLE.iter().any(|way| role.strip_prefix(way).is_some_and(|rest| !rest.starts_with(is_name)))
}

/// Whether `before`, after which a piece of text begins, ends in `message.role +` or `message.role }}`.
fn comes_from_role(before: &str) -> bool {
    let is_operator = |letter: char| "'\"}-+~".contains(letter) || letter.is_whitespace();
    let role = before.trim_end_matches(is_operator);
    ROLE.iter().any(|way| role.ends_with(way))
}

/// Where `part` begins in `text`, overlapping occurrences included.
fn occurrences<'t>(text: &'t str, part: &'t str) -> impl Iterator<Item = usize> + 't {
    let mut from = 0;
    std::iter::from_fn(move || {
        let found = from + text[from..].find(part)?;
        from = found + text[found..].chars().next().map_or(1, char::len_utf8);
        Some(found)
    })
}

impl StandIns {
    /// Stand-ins that do not occur in `texts`.
    pub fn avoiding<'t>(texts: impl Iterator<Item = &'t str>) -> Self {
        let taken = texts.flat_map(str::chars).filter(|letter| PRIVATE_USE.contains(letter)).collect();
        Self { taken, ..Self::default() }
    }

    /// What `letter` stands for, if it is a stand-in.
    pub fn real(&self, letter: char) -> Option<char> {
        self.real.get(&letter).copied()
    }

    /// `text` as it was before it was guarded.
    pub fn restore(&self, text: &str) -> String {
        text.chars().map(|letter| self.real(letter).unwrap_or(letter)).collect()
    }

    fn stand_in(&mut self, letter: char) -> Result<char> {
        if let Some(stand_in) = self.of.get(&letter) {
            return Ok(*stand_in);
        }
        let free = PRIVATE_USE.rev().find(|free| !self.taken.contains(free));
        let stand_in =
            free.ok_or_else(|| Error::input("the conversation uses every private-use character there is"))?;
        self.taken.insert(stand_in);
        self.of.insert(letter, stand_in);
        self.real.insert(stand_in, letter);
        Ok(stand_in)
    }
}

/// All strings in `value`, keys included.
pub(super) fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(strings).collect(),
        Value::Object(entries) => entries
            .iter()
            .flat_map(|(key, value)| std::iter::once(key.as_str()).chain(strings(value)))
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
