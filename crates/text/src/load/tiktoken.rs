//! `tiktoken.model`, as Kimi publishes it: a line for each token, its bytes in base64 and its rank, which is its id.
//!
//! The tokens that steer the model are not in it; `tokenizer_config.json` names them, and the ids between that it
//! does not name are reserved.

use std::collections::BTreeMap;

use base::{Context, Error, Result, TokenId};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::pre::KIMI;
use super::settings::Settings;
use crate::bpe::Bpe;
use crate::control::{Literals, is_control};
use crate::pretokenize::Pretokenizer;
use crate::tokenizer::{Tokenizer, literals};
use crate::vocabulary::{Entry, Kind, Vocabulary};

/// Kimi reserves this many ids after the ranks for tokens that steer the model.
const RESERVED: TokenId = 256;

/// The tokenizer whose ranks are in the file `ranks`.
pub(crate) fn parse(ranks: &[u8], settings: &Settings) -> Result<Tokenizer> {
    let mut entries = parse_ranks(ranks)?;
    let last =
        entries.iter().map(|entry| entry.id).max().ok_or_else(|| Error::corrupt("the file has no tokens"))?;
    let first_reserved = last.saturating_add(1);
    let named = &settings.added_tokens_decoder;
    for id in first_reserved..first_reserved.saturating_add(RESERVED) {
        if !named.contains_key(&id) {
            let bytes = format!("<|reserved_token_{id}|>").into_bytes();
            entries.push(Entry { id, bytes, kind: Kind::Control });
        }
    }
    entries.extend(named.iter().map(|(id, token)| {
        let kind = if is_control(&token.content, token.special) { Kind::Control } else { Kind::Added };
        Entry { id: *id, bytes: token.content.clone().into_bytes(), kind }
    }));

    let vocabulary = Vocabulary::new(entries)?;
    let controls = literals(&vocabulary, Kind::Control, &BTreeMap::new());
    let id = |role| controls.get(settings.role(role)?).map(|literal| literal.id);
    Ok(Tokenizer {
        bpe: Bpe::by_ids(&vocabulary),
        pretokenizer: Pretokenizer::new(&[KIMI])?,
        sentence: None,
        normalizations: Vec::new(),
        added: Literals::new(literals(&vocabulary, Kind::Added, &BTreeMap::new()).iter().cloned()),
        bos: id("bos_token"),
        adds_bos: settings.add_bos_token.unwrap_or(false),
        stop: id("eos_token").into_iter().collect(),
        names: settings.names(),
        controls: controls.into(),
        vocabulary,
    })
}

fn parse_ranks(ranks: &[u8]) -> Result<Vec<Entry>> {
    let lines = ranks.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty());
    lines.map(|(number, line)| parse_line(line).within(|| format!("line {}", number + 1))).collect()
}

fn parse_line(line: &[u8]) -> Result<Entry> {
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(token), Some(rank), None) = (words.next(), words.next(), words.next()) else {
        return Err(Error::corrupt("expected a token in base64, a space and its rank"));
    };
    let bytes =
        STANDARD.decode(token).map_err(|error| Error::corrupt(format!("the token is no base64: {error}")))?;
    let rank = std::str::from_utf8(rank).ok().and_then(|rank| rank.parse().ok());
    let id = rank.ok_or_else(|| Error::corrupt("the rank is no number that fits 32 bits"))?;
    Ok(Entry { id, bytes, kind: Kind::Text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_file_is_refused_in_one_sentence() {
        let cases = [
            ("", "the file has no tokens"),
            ("YQ==", "line 1: expected a token in base64"),
            ("YQ== 0\nYg== 1 2", "line 2: expected a token in base64"),
            ("Y? 0", "line 1: the token is no base64"),
            ("YQ== x", "line 1: the rank is no number"),
            ("YQ== -1", "line 1: the rank is no number"),
            ("YQ== 99999999999", "line 1: the rank is no number"),
            ("YQ== 4294967295", "has id 4294967295"),
            ("YQ== 0\nYg== 0", "`a` and `b` both have id 0"),
            ("YQ== 0\nYQ== 1", "0 and 1 of the vocabulary are both `a`"),
            (" 0", "expected a token in base64"),
        ];
        for (ranks, expected) in cases {
            let error = parse(ranks.as_bytes(), &Settings::default()).err().expect(expected).to_string();
            assert!(error.contains(expected), "{ranks:?}: {error}");
        }
    }
}
