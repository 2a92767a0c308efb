//! Opening a tokenizer: one file per way of writing a vocabulary down.

mod lists;
mod pre;
mod gguf;
mod settings;
mod hugging_face;
mod tiktoken;
mod sentence_piece;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use base::{Context, Error, Result, TokenId};
use formats::Checkpoint;
use serde_json::Value;

pub(crate) use gguf::parse as gguf;
pub(crate) use hugging_face::parse as hugging_face;
use sentence_piece::Pieces;
pub(crate) use settings::Settings;
pub(crate) use tiktoken::parse as tiktoken;

use crate::files::{MAX_VOCABULARY_BYTES, TOKENIZER, home, read};
use crate::pretokenize::Pretokenizer;
use crate::tokenizer::{Tokenizer, literals};
use crate::vocabulary::Kind;

/// The tokenizer in a folder as Hugging Face publishes them.
pub(crate) fn folder(root: &Path) -> Result<Tokenizer> {
    let root = home(root);
    let settings = Settings::read(root)?;
    let path = root.join(TOKENIZER);
    if let Some(json) = read(&path, MAX_VOCABULARY_BYTES)? {
        return hugging_face(&json, &settings).within(|| path.display());
    }
    let path = root.join("tiktoken.model");
    if let Some(ranks) = read(&path, MAX_VOCABULARY_BYTES)? {
        return tiktoken(&ranks, &settings).within(|| path.display());
    }
    let path = root.join("tokenizer.model");
    if let Some(model) = read(&path, MAX_VOCABULARY_BYTES)? {
        let pieces = sentence_piece::parse(&model, &settings).within(|| path.display())?;
        return Ok(of_pieces(pieces, &settings));
    }
    Err(Error::input("has no tokenizer: neither tokenizer.json nor tiktoken.model nor tokenizer.model")
        .within(root.display()))
}

/// The tokenizer of a vocabulary of SentencePiece; roles go by `settings` where they tell them.
fn of_pieces(pieces: Pieces, settings: &Settings) -> Tokenizer {
    let Pieces { vocabulary, bpe, prefix, bos, eos } = pieces;
    let controls = literals(&vocabulary, Kind::Control, &BTreeMap::new());
    let told = |role: &str| controls.get(settings.role(role)?).map(|literal| literal.id);
    Tokenizer {
        bpe,
        pretokenizer: Pretokenizer::default(),
        sentence: Some(prefix),
        normalizations: Vec::new(),
        added: literals(&vocabulary, Kind::Added, &BTreeMap::new()),
        bos: told("bos_token").or(bos),
        adds_bos: settings.add_bos_token.unwrap_or(true),
        stop: told("eos_token").or(eos).into_iter().collect(),
        names: settings.names(),
        controls: controls.into(),
        vocabulary,
    }
}

/// The stop tokens that the model's configuration names, as far as the vocabulary has them.
pub(crate) fn configured_stops(checkpoint: &Checkpoint, tokens: usize) -> BTreeSet<TokenId> {
    let config = &checkpoint.config;
    let places = [Some(config), config.get("text_config"), checkpoint.generation_config.as_ref()];
    let named = places.into_iter().flatten().filter_map(|config| config.get("eos_token_id"));
    let ids = named.flat_map(|value| match value {
        Value::Array(ids) => ids.iter().collect(),
        id => vec![id],
    });
    let known = |id: &TokenId| usize::try_from(*id).is_ok_and(|id| id < tokens);
    ids.filter_map(|id| TokenId::try_from(id.as_u64()?).ok()).filter(known).collect()
}
