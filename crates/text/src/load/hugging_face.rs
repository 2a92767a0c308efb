//! `tokenizer.json`, as the library `tokenizers` writes it.
//!
//! Byte-level BPE is what nearly every model of the supported families uses, and Mixtral a vocabulary of SentencePiece; these
//! are read exactly. Any other step is refused by its name rather than skipped, because skipping one gives other ids.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use base::{Context, Error, Quoted, Result, TokenId};
use serde::Deserialize;
use serde_json::Value;

use super::lists::{Merge, Vocab};
use super::settings::{AddedToken, Settings};
use crate::bpe::Bpe;
use crate::byte_level::bytes_of;
use crate::control::{Literal, is_control};
use crate::files::err_json;
use crate::normalize::Normalization;
use crate::pretokenize::{GPT2, Pretokenizer};
use crate::sentence::{self, Prefix, SPACE};
use crate::tokenizer::{Tokenizer, literals};
use crate::vocabulary::{Entry, Kind, Vocabulary};

#[derive(Deserialize)]
struct File<'j> {
    #[serde(default)]
    added_tokens: Vec<NumberedToken>,
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    #[serde(borrow)]
    model: Model<'j>,
}

#[derive(Deserialize)]
struct NumberedToken {
    id: TokenId,
    #[serde(flatten)]
    token: AddedToken,
}

#[derive(Deserialize)]
struct Model<'j> {
    /// Old files leave it out.
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    dropout: Option<f64>,
    #[serde(default)]
    continuing_subword_prefix: Option<String>,
    #[serde(default)]
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    unk_token: Option<String>,
    #[serde(default)]
    ignore_merges: bool,
    #[serde(borrow)]
    vocab: Vocab<'j>,
    #[serde(borrow, default)]
    merges: Vec<Merge<'j>>,
}

/// The tokenizer that the file `json` describes.
pub(crate) fn parse(json: &[u8], settings: &Settings) -> Result<Tokenizer> {
    let file: File<'_> = serde_json::from_slice(json).map_err(|error| err_json(&error))?;
    check_model(&file.model)?;
    let sentence = prefix(&file)?;
    let mut added: BTreeMap<TokenId, AddedToken> = settings.added_tokens_decoder.clone();
    added.extend(file.added_tokens.into_iter().map(|numbered| (numbered.id, numbered.token)));
    let how: BTreeMap<TokenId, Literal> =
        added.iter().map(|(id, token)| (*id, literal(*id, token))).collect();

    let vocabulary = Vocabulary::new(entries(&file.model, &added, settings, sentence.is_some())?)?;
    let controls = literals(&vocabulary, Kind::Control, &how);
    let merges = file
        .model
        .merges
        .iter()
        .enumerate()
        .map(|(rank, merge)| merge_bytes(rank, merge, sentence.is_some()));
    let mut bpe = Bpe::by_merges(&vocabulary, merges, |bytes| {
        std::str::from_utf8(bytes).is_ok_and(|text| controls.get(text).is_some())
    })?;
    bpe.whole_words = file.model.ignore_merges;

    let mut normalizations = Vec::new();
    let mut pretokenizer = Pretokenizer::default();
    if sentence.is_some() {
        let unknown = file.model.unk_token.as_ref().and_then(|text| controls.get(text));
        bpe = bpe.of_characters(&vocabulary, unknown.map(|literal| literal.id));
    } else {
        push_normalizer(&file.normalizer, &mut normalizations).within(|| "normalizer")?;
        let steps = &file.pre_tokenizer;
        if !push_pre_tokenizer(steps, &mut pretokenizer).within(|| "pre_tokenizer")? {
            return Err(Error::unsupported("the pre_tokenizer has no `ByteLevel`, and bytes are no tokens"));
        }
    }
    let id = |role| controls.get(settings.role(role)?).map(|literal| literal.id);
    let first =
        starts_with(&file.post_processor).and_then(|text| controls.get(text)).map(|literal| literal.id);
    let bos = id("bos_token").or(first);
    Ok(Tokenizer {
        bpe,
        pretokenizer,
        sentence,
        normalizations,
        added: literals(&vocabulary, Kind::Added, &how),
        bos,
        adds_bos: settings.add_bos_token.unwrap_or(first.is_some() && first == bos),
        stop: id("eos_token").into_iter().collect(),
        names: settings.names(),
        controls: controls.into(),
        vocabulary,
    })
}

fn check_model(model: &Model<'_>) -> Result<()> {
    let kind = model.kind.as_deref().unwrap_or("BPE");
    if kind != "BPE" {
        return Err(Error::unsupported(format!("the model is {}, expected `BPE`", Quoted(kind))));
    }
    let affixes = [&model.continuing_subword_prefix, &model.end_of_word_suffix];
    let has_affix = affixes.into_iter().flatten().any(|affix| !affix.is_empty());
    let odd = [
        (model.dropout.is_some_and(|dropout| dropout != 0.0), "dropout"),
        (has_affix, "continuing_subword_prefix or end_of_word_suffix"),
    ];
    match odd.iter().find(|(found, _)| *found) {
        Some((_, what)) => Err(Error::unsupported(format!("the model uses {what}, which is not supported"))),
        None => Ok(()),
    }
}

/// Where a vocabulary of SentencePiece puts a space before text; `None` for a byte-level one. In files of old that is a
/// normalizer (`Prepend` and `Replace`), in later ones a pre-tokenizer (`Metaspace`).
fn prefix(file: &File<'_>) -> Result<Option<Prefix>> {
    if !file.model.byte_fallback {
        return Ok(None);
    }
    let space = SPACE.to_string();
    let mut found = Prefix::Never;
    let steps = match kind(&file.normalizer)? {
        None => Vec::new(),
        Some("Sequence") => list(&file.normalizer, "normalizers")?.iter().collect(),
        Some(_) => vec![&file.normalizer],
    };
    for step in steps {
        match kind(step)? {
            Some("Prepend") if step["prepend"] == space => found = Prefix::Always,
            Some("Replace") if step["pattern"]["String"] == " " && step["content"] == space => {}
            name => return Err(err_step(name.unwrap_or("null"))).within(|| "normalizer"),
        }
    }
    let step = &file.pre_tokenizer;
    match kind(step)? {
        None => Ok(Some(found)),
        Some("Metaspace") if step["replacement"] == space && step["split"] == false => {
            match step["prepend_scheme"].as_str().unwrap_or("always") {
                "always" => Ok(Some(Prefix::Unspaced)),
                "first" => Ok(Some(Prefix::First)),
                "never" => Ok(Some(found)),
                scheme => Err(err_step(&format!("Metaspace with prepend_scheme {scheme}"))),
            }
        }
        Some("Metaspace") => Err(err_step("Metaspace with split")).within(|| "pre_tokenizer"),
        Some(name) => Err(err_step(name)).within(|| "pre_tokenizer"),
    }
}

/// The vocabulary and the tokens that were added to it, which may or may not be in it as well.
fn entries(
    model: &Model<'_>,
    added: &BTreeMap<TokenId, AddedToken>,
    settings: &Settings,
    of_sentence: bool,
) -> Result<Vec<Entry>> {
    let vocab: &Vocab<'_> = &model.vocab;
    let mut entries = Vec::with_capacity(vocab.0.len() + added.len());
    let ids: HashMap<&str, TokenId> = added.iter().map(|(id, token)| (token.content.as_str(), *id)).collect();
    let special: Vec<&str> = settings.special().collect();
    for (text, id) in &vocab.0 {
        match ids.get(text.as_ref()) {
            Some(other) if other == id => continue, // said below
            Some(other) => return Err(err_two_ids(text, *id, *other)),
            None => {}
        }
        let (bytes, kind) = match bytes_of(text) {
            _ if special.contains(&text.as_ref()) => (text.as_bytes().to_vec(), Kind::Control),
            _ if of_sentence && sentence::byte_of(text).is_some() => {
                (sentence::byte_of(text).into_iter().collect(), Kind::Byte)
            }
            _ if of_sentence && !text.is_empty() => (sentence::bytes_of(text), Kind::Text),
            Some(bytes) if !bytes.is_empty() => (bytes, Kind::Text),
            _ => (text.as_bytes().to_vec(), Kind::Unused),
        };
        entries.push(Entry { id: *id, bytes, kind });
    }
    entries.extend(added.iter().map(|(id, token)| {
        let kind = if is_control(&token.content, token.special) { Kind::Control } else { Kind::Added };
        Entry { id: *id, bytes: token.content.clone().into_bytes(), kind }
    }));
    Ok(entries)
}

/// The two tokens of a merge, as bytes.
fn merge_bytes(rank: usize, merge: &Merge<'_>, of_sentence: bool) -> Result<(Vec<u8>, Vec<u8>)> {
    let pair = match merge {
        Merge(left, Some(right)) => Some((left.as_ref(), right.as_ref())),
        Merge(both, None) => both.split_once(' '),
    };
    let bytes = |text: &str| if of_sentence { Some(sentence::bytes_of(text)) } else { bytes_of(text) };
    let bytes = pair.and_then(|(left, right)| Some((bytes(left)?, bytes(right)?)));
    bytes.ok_or_else(|| err_merge(rank, &merge.0))
}

fn literal(id: TokenId, token: &AddedToken) -> Literal {
    Literal {
        id,
        text: token.content.clone(),
        strips_left: token.lstrip,
        strips_right: token.rstrip,
        single_word: token.single_word,
    }
}

fn push_normalizer(step: &Value, forms: &mut Vec<Normalization>) -> Result<()> {
    match kind(step)? {
        None => Ok(()),
        Some("Sequence") => {
            list(step, "normalizers")?.iter().try_for_each(|step| push_normalizer(step, forms))
        }
        Some(name) => {
            forms.push(Normalization::by_name(name).ok_or_else(|| err_step(name))?);
            Ok(())
        }
    }
}

/// Adds the splits of `step`; whether there is a `ByteLevel` among its steps.
fn push_pre_tokenizer(step: &Value, splits: &mut Pretokenizer) -> Result<bool> {
    let flag = |name| step.get(name).and_then(Value::as_bool);
    match kind(step)? {
        None => Ok(false),
        Some("Sequence") => {
            let mut byte_level = false;
            for step in list(step, "pretokenizers")? {
                if byte_level {
                    return Err(Error::unsupported("a step follows `ByteLevel`, expected it to be the last"));
                }
                byte_level = push_pre_tokenizer(step, splits)?;
            }
            Ok(byte_level)
        }
        Some("ByteLevel") => {
            if flag("add_prefix_space").unwrap_or(true) {
                return Err(Error::unsupported(
                    "`ByteLevel` adds a space before the text, which is not supported",
                ));
            }
            if flag("use_regex").unwrap_or(true) {
                splits.push(GPT2, true, true)?;
            }
            Ok(true)
        }
        Some("Digits") => {
            let pattern = if flag("individual_digits").unwrap_or(false) { r"\p{N}" } else { r"\p{N}+" };
            splits.push(pattern, true, true).map(|()| false)
        }
        Some("Split") => push_split(step, splits).map(|()| false),
        Some(name) => Err(err_step(name)),
    }
}

fn push_split(step: &Value, splits: &mut Pretokenizer) -> Result<()> {
    let text = |name: &str| step.get("pattern").and_then(|pattern| pattern.get(name)).and_then(Value::as_str);
    let pattern: Cow<'_, str> = match (text("Regex"), text("String")) {
        (Some(regex), _) => regex.into(),
        (None, Some(string)) => literally(string).into(),
        (None, None) => return Err(Error::corrupt("a `Split` has no pattern")),
    };
    let inverted = step.get("invert").and_then(Value::as_bool).unwrap_or(false);
    match step.get("behavior").and_then(Value::as_str) {
        Some("Isolated") => splits.push(&pattern, true, true),
        Some("Removed") => splits.push(&pattern, inverted, !inverted),
        other => Err(err_step(&format!("Split with behavior {}", other.unwrap_or("missing")))),
    }
}

/// An expression that matches exactly `text`.
fn literally(text: &str) -> String {
    text.chars().map(|letter| format!(r"\x{{{:x}}}", u32::from(letter))).collect()
}

/// The token a post-processor puts before the text.
fn starts_with(step: &Value) -> Option<&str> {
    match step.get("type")?.as_str()? {
        "Sequence" => step.get("processors")?.as_array()?.iter().find_map(starts_with),
        "TemplateProcessing" => step.get("single")?.get(0)?.get("SpecialToken")?.get("id")?.as_str(),
        _ => None,
    }
}

/// The type of a step; `None` for no step at all.
fn kind(step: &Value) -> Result<Option<&str>> {
    match step {
        Value::Null => Ok(None),
        step => {
            let kind = step.get("type").and_then(Value::as_str);
            kind.map(Some).ok_or_else(|| Error::corrupt("a step has no type"))
        }
    }
}

fn list<'v>(step: &'v Value, name: &str) -> Result<&'v [Value]> {
    let list = step.get(name).and_then(Value::as_array);
    list.map(Vec::as_slice).ok_or_else(|| Error::corrupt(format!("a `Sequence` has no {name}")))
}

fn err_step(name: &str) -> Error {
    Error::unsupported(format!("the step {} is not supported", Quoted(name)))
}

fn err_two_ids(text: &str, vocab: TokenId, added: TokenId) -> Error {
    Error::corrupt(format!(
        "token {} has id {vocab} in the vocabulary and {added} among the added tokens",
        Quoted(text)
    ))
}

fn err_merge(rank: usize, merge: &str) -> Error {
    Error::corrupt(format!("merge {rank} is {}, expected two tokens", Quoted(merge)))
}
