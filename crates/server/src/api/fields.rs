//! Fields that several interfaces have: reading them, and refusing what they cannot mean here.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::refusal::Refusal;

/// A text, or a list of parts.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// As it is.
    Text(String),
    /// One after another.
    Parts(Vec<Map<String, Value>>),
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Content;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text or a list of parts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Content, E> {
                Ok(Content::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Content, A::Error> {
                let mut all = Vec::new();
                while let Some(part) = parts.next_element()? {
                    all.push(part);
                }
                Ok(Content::Parts(all))
            }
        }
        from.deserialize_any(Either)
    }
}

impl Content {
    /// The text of it all, where `kinds` are the types of parts that are text. Parts follow each other on lines of their
    /// own, as templates write them.
    pub fn text(&self, field: &str, kinds: &[&str]) -> Result<String, Refusal> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::Parts(parts) => {
                let text = |(index, part): (usize, &Map<String, Value>)| {
                    part_text(part, &format!("{field}[{index}]"), kinds)
                };
                Ok(parts.iter().enumerate().map(text).collect::<Result<Vec<_>, _>>()?.join("\n"))
            }
        }
    }
}

/// Fields of a part of text that mean nothing here, or what every prompt has anyway.
const HARMLESS: &[&str] = &["type", "text", "cache_control", "annotations", "citations", "logprobs"];

/// The text of one part.
pub fn part_text(part: &Map<String, Value>, field: &str, kinds: &[&str]) -> Result<String, Refusal> {
    let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
    if !kinds.contains(&kind) {
        let kind: String = kind.escape_debug().take(40).collect();
        let problem = format!("a part of type `{kind}`; this model reads text only ({})", kinds.join(", "));
        return Err(Refusal::field(format!("{field}.type"), problem));
    }
    only(part, field, HARMLESS)?;
    let text = part.get("text").and_then(Value::as_str);
    text.map(str::to_owned).ok_or_else(|| Refusal::field(format!("{field}.text"), "expected a text"))
}

/// Refuses all fields but `known`, unless they hold nothing: clients send back what they were told with a `null` for every
/// field that their library has heard of.
pub fn only(object: &Map<String, Value>, field: &str, known: &[&str]) -> Result<(), Refusal> {
    match object.iter().find(|(key, value)| !value.is_null() && !known.contains(&key.as_str())) {
        Some((key, _)) => {
            let key: String = key.escape_debug().take(60).collect();
            Err(Refusal::field(
                format!("{field}.{key}"),
                format!("unknown field, expected one of {}", known.join(", ")),
            ))
        }
        None => Ok(()),
    }
}

/// Refuses a field that would change the answer in a way that is not possible here, unless it holds one of `harmless`.
pub fn refuse(field: &str, value: &Option<Value>, harmless: &[Value], why: &str) -> Result<(), Refusal> {
    match value {
        None | Some(Value::Null) => Ok(()),
        Some(value) if harmless.contains(value) => Ok(()),
        Some(_) => Err(Refusal::field(field, why)),
    }
}

/// Refuses a number outside of `range`.
pub fn within<T: PartialOrd + std::fmt::Display + Copy>(
    field: &str,
    number: Option<T>,
    range: RangeInclusive<T>,
) -> Result<(), Refusal> {
    match number {
        Some(number) if !range.contains(&number) => {
            let problem = format!("{number}; expected {} to {}", range.start(), range.end());
            Err(Refusal::field(field, problem))
        }
        _ => Ok(()),
    }
}

/// A list, or one thing in its place.
#[derive(Clone, Debug, PartialEq)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("one or a list of them")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<OneOrMany<T>, E> {
                T::deserialize(de::value::StrDeserializer::new(text)).map(|one| OneOrMany(vec![one]))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OneOrMany<T>, A::Error> {
                T::deserialize(de::value::MapAccessDeserializer::new(map)).map(|one| OneOrMany(vec![one]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut many: A) -> Result<OneOrMany<T>, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = many.next_element()? {
                    all.push(one);
                }
                Ok(OneOrMany(all))
            }
        }
        from.deserialize_any(Either(std::marker::PhantomData))
    }
}

/// A seed, as clients send it: any whole number.
pub fn seed(seed: Option<i64>) -> Option<u64> {
    seed.map(|seed| seed as u64)
}
