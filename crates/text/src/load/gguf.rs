//! The vocabulary inside a GGUF file: `tokenizer.ggml.*`.

use std::collections::{BTreeMap, BTreeSet};

use base::{Context, Error, Quoted, Result, TokenId};
use formats::gguf::{Metadata, Strings};

use super::pre;
use crate::bpe::Bpe;
use crate::byte_level::bytes_of;
use crate::control::is_control;
use crate::pretokenize::Pretokenizer;
use crate::sentence::{self, Prefix};
use crate::tokenizer::{Tokenizer, literals};
use crate::vocabulary::{Entry, Kind, Vocabulary};

const MODEL: &str = "tokenizer.ggml.model";
const PRE: &str = "tokenizer.ggml.pre";
const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";
const MERGES: &str = "tokenizer.ggml.merges";
const SCORES: &str = "tokenizer.ggml.scores";
const SPACE_PREFIX: &str = "tokenizer.ggml.add_space_prefix";
const ADD_BOS: &str = "tokenizer.ggml.add_bos_token";

/// The tokens with a role: the key of the id, and the name templates know the token by.
const ROLES: [(&str, Option<&str>); 6] = [
    ("tokenizer.ggml.bos_token_id", Some("bos_token")),
    ("tokenizer.ggml.eos_token_id", Some("eos_token")),
    ("tokenizer.ggml.eot_token_id", None),
    ("tokenizer.ggml.eom_token_id", None),
    ("tokenizer.ggml.unknown_token_id", Some("unk_token")),
    ("tokenizer.ggml.padding_token_id", Some("pad_token")),
];
/// Those of [`ROLES`] that end an answer.
const STOPS: [&str; 3] =
    ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"];

/// The tokenizer that `metadata` describes.
pub(crate) fn parse(metadata: &Metadata) -> Result<Tokenizer> {
    let sentence = is_sentence(metadata)?;
    let pre = if sentence { &pre::SENTENCE } else { pre::by_name(metadata.str(PRE)?.unwrap_or("default"))? };
    let tokens = metadata.strings(TOKENS)?.ok_or_else(|| Error::corrupt(format!("{TOKENS} is missing")))?;
    let types = metadata.integers(TYPES)?;
    if let Some(types) = types.as_ref().filter(|types| types.len() != tokens.len()) {
        return Err(err_lengths(types.len(), tokens.len()));
    }
    let roles = roles(metadata, tokens.len())?;
    let vocabulary =
        Vocabulary::new(entries(tokens, types.as_deref(), &roles, sentence)?).within(|| TOKENS)?;
    let controls = literals(&vocabulary, Kind::Control, &BTreeMap::new());

    let unknown = roles.get("tokenizer.ggml.unknown_token_id").copied();
    let mut bpe = match metadata.strings(MERGES)? {
        _ if sentence => by_scores(&vocabulary, metadata)?.of_characters(&vocabulary, unknown),
        Some(merges) => by_merges(&vocabulary, merges).within(|| MERGES)?,
        None => Bpe::by_ids(&vocabulary),
    };
    bpe.whole_words |= pre.whole_words;
    let name = |(key, role): &(&str, Option<&str>)| {
        let text = tokens.get(*roles.get(key)? as usize)?;
        Some(((*role)?.to_owned(), text.to_owned()))
    };
    Ok(Tokenizer {
        bpe,
        pretokenizer: Pretokenizer::new(pre.splits)?,
        sentence: match metadata.bool(SPACE_PREFIX)? {
            _ if !sentence => None,
            Some(false) => Some(Prefix::Never),
            Some(true) | None => Some(Prefix::Always),
        },
        normalizations: pre.normalization.into_iter().collect(),
        added: literals(&vocabulary, Kind::Added, &BTreeMap::new()),
        bos: roles.get(ROLES[0].0).copied(),
        adds_bos: metadata.bool(ADD_BOS)?.unwrap_or(pre.adds_bos),
        stop: STOPS.iter().filter_map(|key| roles.get(key).copied()).collect(),
        names: ROLES.iter().filter_map(name).collect(),
        controls: controls.into(),
        vocabulary,
    })
}

/// Whether the vocabulary is one of SentencePiece. Refuses what is neither that nor byte-level.
fn is_sentence(metadata: &Metadata) -> Result<bool> {
    match metadata.str(MODEL)? {
        Some("gpt2") => Ok(false),
        Some("llama") => Ok(true),
        Some(model) => {
            Err(Error::unsupported(format!("{MODEL} is {}, expected `gpt2` or `llama`", Quoted(model))))
        }
        None => Err(Error::input(format!("has no tokenizer: {MODEL} is missing"))),
    }
}

fn by_scores(vocabulary: &Vocabulary, metadata: &Metadata) -> Result<Bpe> {
    let scores = metadata.floats(SCORES)?.ok_or_else(|| Error::corrupt(format!("{SCORES} is missing")))?;
    if scores.len() != vocabulary.len() {
        let (found, tokens) = (scores.len(), vocabulary.len());
        return Err(Error::corrupt(format!(
            "{SCORES} has {found} entries, expected one for each of {tokens} tokens"
        )));
    }
    Ok(Bpe::by_scores(vocabulary, &scores))
}

/// The ids of the tokens that have a role, by key.
fn roles(metadata: &Metadata, tokens: usize) -> Result<BTreeMap<&'static str, TokenId>> {
    let mut roles = BTreeMap::new();
    for (key, _) in ROLES {
        if let Some(id) = id_of_key(metadata, key, tokens)? {
            roles.insert(key, id);
        }
    }
    Ok(roles)
}

/// The token id that `key` gives. Refuses one that is past the vocabulary.
fn id_of_key(metadata: &Metadata, key: &str, tokens: usize) -> Result<Option<TokenId>> {
    let Some(id) = metadata.u64(key)? else { return Ok(None) };
    let known = usize::try_from(id).is_ok_and(|id| id < tokens);
    let id = TokenId::try_from(id).ok().filter(|_| known).ok_or_else(|| err_id(key, id, tokens))?;
    Ok(Some(id))
}

fn entries(
    tokens: &Strings,
    types: Option<&[i64]>,
    roles: &BTreeMap<&str, TokenId>,
    sentence: bool,
) -> Result<Vec<Entry>> {
    let with_role: BTreeSet<TokenId> = roles.values().copied().collect();
    let entry = |(id, text): (TokenId, &str)| {
        let kind = if with_role.contains(&id) { 3 } else { types.map_or(1, |types| types[id as usize]) };
        let (bytes, kind) = token(text, kind, sentence).within(|| format!("token {id}"))?;
        Ok(Entry { id, bytes, kind })
    };
    (0..).zip(tokens.iter()).map(entry).collect()
}

/// The bytes a token stands for. Merged ones are spelled in the letters of [`bytes_of`] or as SentencePiece does, added ones
/// as they are.
pub(super) fn token(text: &str, kind: i64, of_sentence: bool) -> Result<(Vec<u8>, Kind)> {
    let as_it_is = text.as_bytes().to_vec();
    Ok(match kind {
        1 if of_sentence => {
            (sentence::bytes_of(text), if text.is_empty() { Kind::Unused } else { Kind::Text })
        }
        1 => match bytes_of(text).filter(|bytes| !bytes.is_empty()) {
            Some(bytes) => (bytes, Kind::Text),
            None => (as_it_is, Kind::Unused),
        },
        2 | 3 => (as_it_is, Kind::Control),
        4 => {
            let kind = if is_control(text, false) { Kind::Control } else { Kind::Added };
            (as_it_is, kind)
        }
        5 => (as_it_is, Kind::Unused),
        6 => match sentence::byte_of(text) {
            Some(byte) => (vec![byte], if of_sentence { Kind::Byte } else { Kind::Text }),
            None => {
                return Err(Error::corrupt(format!(
                    "{} is no byte, expected `<0x00>` to `<0xFF>`",
                    Quoted(text)
                )));
            }
        },
        _ => return Err(Error::corrupt(format!("its type is {kind}, expected 1 to 6"))),
    })
}

fn by_merges(vocabulary: &Vocabulary, merges: &Strings) -> Result<Bpe> {
    let pairs = (0..).zip(merges.iter()).map(|(rank, merge)| parse_merge(rank, merge));
    let controls: BTreeSet<&[u8]> = vocabulary.of_kind(Kind::Control).map(|(_, bytes)| bytes).collect();
    Bpe::by_merges(vocabulary, pairs, |bytes| controls.contains(bytes))
}

/// A merge is two spellings with a space between; a space in a spelling would be `Ġ`.
fn parse_merge(rank: u32, merge: &str) -> Result<(Vec<u8>, Vec<u8>)> {
    let pair = merge.split_once(' ').and_then(|(left, right)| Some((bytes_of(left)?, bytes_of(right)?)));
    pair.ok_or_else(|| Error::corrupt(format!("merge {rank} is {}, expected two tokens", Quoted(merge))))
}

fn err_lengths(types: usize, tokens: usize) -> Error {
    Error::corrupt(format!("{TYPES} has {types} entries, expected one for each of {tokens} tokens"))
}

fn err_id(key: &str, id: u64, tokens: usize) -> Error {
    Error::corrupt(format!("{key} is {id}, past the vocabulary of {tokens} tokens"))
}
