//! The two long lists of a `tokenizer.json`, tokens and merges, read without a copy of every string.

use std::borrow::Cow;
use std::fmt;

use base::TokenId;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Tokens and their ids in the order of the file; no map is built, as most tokens are looked at once.
pub(super) struct Vocab<'j>(pub Vec<(Cow<'j, str>, TokenId)>);

impl<'de: 'j, 'j> Deserialize<'de> for Vocab<'j> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(VocabVisitor)
    }
}

struct VocabVisitor;

impl<'de> Visitor<'de> for VocabVisitor {
    type Value = Vocab<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of tokens to ids")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        let mut vocab = Vec::new();
        while let Some((Text(text), id)) = map.next_entry()? {
            vocab.push((text, id));
        }
        Ok(Vocab(vocab))
    }

    /// Other models than BPE list pairs of token and score; they are refused by their name.
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Vocab(Vec::new()))
    }
}

/// Two tokens, written as a list of two or, in old files, as one string with a space between.
pub(super) struct Merge<'j>(pub Cow<'j, str>, pub Option<Cow<'j, str>>);

impl<'de: 'j, 'j> Deserialize<'de> for Merge<'j> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(MergeVisitor)
    }
}

struct MergeVisitor;

impl<'de> Visitor<'de> for MergeVisitor {
    type Value = Merge<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("two tokens")
    }

    fn visit_borrowed_str<E>(self, both: &'de str) -> std::result::Result<Self::Value, E> {
        Ok(Merge(both.into(), None))
    }

    fn visit_str<E>(self, both: &str) -> std::result::Result<Self::Value, E> {
        Ok(Merge(both.to_owned().into(), None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<Self::Value, A::Error> {
        let mut next =
            || items.next_element::<Text<'de>>()?.ok_or_else(|| serde::de::Error::invalid_length(0, &"two"));
        let (Text(left), Text(right)) = (next()?, next()?);
        match items.next_element::<IgnoredAny>()? {
            None => Ok(Merge(left, Some(right))),
            Some(_) => Err(serde::de::Error::invalid_length(3, &"two tokens")),
        }
    }
}

/// A string that is copied only where the file spells a character as an escape.
struct Text<'j>(Cow<'j, str>);

impl<'de: 'j, 'j> Deserialize<'de> for Text<'j> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> std::result::Result<Self::Value, E> {
        Ok(Text(text.into()))
    }

    fn visit_str<E>(self, text: &str) -> std::result::Result<Self::Value, E> {
        Ok(Text(text.to_owned().into()))
    }
}
