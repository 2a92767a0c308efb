//! `tokenizer_config.json`: which tokens have a role, and how a prompt begins.

use std::collections::BTreeMap;
use std::path::Path;

use base::{Result, TokenId};
use serde::Deserialize;
use serde_json::Value;

use crate::files::read_json;

/// What of `tokenizer_config.json` matters here. All of it is optional, and so is the file.
#[derive(Default, Deserialize)]
pub(crate) struct Settings {
    pub add_bos_token: Option<bool>,
    #[serde(default)]
    pub added_tokens_decoder: BTreeMap<TokenId, AddedToken>,
    /// A template, or a list of named ones.
    pub chat_template: Option<Value>,
    #[serde(default)]
    additional_special_tokens: Value,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

/// A token that was added to a finished vocabulary.
#[derive(Clone, Deserialize)]
pub(crate) struct AddedToken {
    pub content: String,
    #[serde(default)]
    pub special: bool,
    #[serde(default)]
    pub lstrip: bool,
    #[serde(default)]
    pub rstrip: bool,
    #[serde(default)]
    pub single_word: bool,
}

/// The roles a token can have; templates know each by this name.
pub(crate) const ROLES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

impl Settings {
    /// The settings in folder `root`.
    pub fn read(root: &Path) -> Result<Self> {
        Ok(read_json(&root.join("tokenizer_config.json"))?.unwrap_or_default())
    }

    /// The spelling of the token that has `role`.
    pub fn role(&self, role: &str) -> Option<&str> {
        spelling(self.others.get(role)?)
    }

    /// Role and spelling of all tokens that have a role.
    pub fn names(&self) -> BTreeMap<String, String> {
        ROLES.iter().filter_map(|role| Some(((*role).to_owned(), self.role(role)?.to_owned()))).collect()
    }

    /// The spellings of all tokens that are special by these settings alone.
    pub fn special(&self) -> impl Iterator<Item = &str> {
        let more = self.additional_special_tokens.as_array().map_or(&[][..], Vec::as_slice);
        ROLES.iter().filter_map(|role| self.role(role)).chain(more.iter().filter_map(spelling))
    }
}

/// A token is written as a string, or as an object with its content.
fn spelling(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("content")?.as_str())
}
