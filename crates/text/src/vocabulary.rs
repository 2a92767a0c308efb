//! The tokens of a model: what bytes each id stands for, and which id a run of bytes has.
//!
//! All bytes lie in one allocation and the index is a table of ids, so that 160,000 tokens take some 3 MB and 4,096
//! take 70 KB. Only tokens that text may become are in the index: looking up bytes can never find a control token.

use std::hash::{BuildHasher, RandomState};

use base::{Error, Quoted, Result, TokenId};

/// The largest id a vocabulary may have; the largest published one has some 262,000 tokens.
const MAX_TOKENS: usize = 1 << 21;
/// The most bytes all tokens may have together: 2^21 tokens of 64 bytes.
const MAX_BYTES: usize = 1 << 27;
/// A free slot of the index.
const FREE: TokenId = TokenId::MAX;

/// What may become a token, and what a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Made from text by merging bytes.
    Text,
    /// Made from text that spells it out, before anything is merged: a word or a run of spaces that was added to a
    /// finished vocabulary.
    Added,
    /// Made from a byte of text that nothing else spells (SentencePiece).
    Byte,
    /// Steers the model. Never made from text.
    Control,
    /// Never made from anything: a hole in the ids, or an entry no byte can spell.
    Unused,
}

/// One token on its way into a [`Vocabulary`].
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub id: TokenId,
    pub bytes: Vec<u8>,
    pub kind: Kind,
}

/// All tokens of a model.
pub(crate) struct Vocabulary {
    bytes: Vec<u8>,
    /// Where the bytes of each token end.
    ends: Vec<u32>,
    kinds: Vec<Kind>,
    /// Ids of text tokens by the hash of their bytes, open addressing; a power of two, at most half full.
    index: Vec<TokenId>,
    hasher: RandomState,
}

impl Vocabulary {
    /// A vocabulary of `entries` in any order. Refuses an empty one, ids that occur twice or are out of any reason,
    /// and two text tokens of the same bytes. Ids nothing is said about are unused and stand for nothing.
    pub fn new(mut entries: Vec<Entry>) -> Result<Self> {
        entries.sort_by_key(|entry| entry.id);
        let last = entries.last().ok_or_else(|| Error::corrupt("the vocabulary has no tokens"))?;
        let count = usize::try_from(last.id).unwrap_or(usize::MAX).saturating_add(1);
        if count > MAX_TOKENS {
            return Err(err_id(last));
        }
        if let Some(twice) = entries.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(err_same_id(&twice[0], &twice[1]));
        }
        if entries
            .iter()
            .try_fold(0usize, |sum, entry| sum.checked_add(entry.bytes.len()))
            .is_none_or(|n| n > MAX_BYTES)
        {
            return Err(Error::corrupt(format!(
                "the tokens of the vocabulary have more than {MAX_BYTES} bytes"
            )));
        }

        let mut this = Self {
            bytes: Vec::with_capacity(entries.iter().map(|entry| entry.bytes.len()).sum()),
            ends: Vec::with_capacity(count),
            kinds: Vec::with_capacity(count),
            index: vec![FREE; (2 * count).next_power_of_two()],
            hasher: RandomState::new(),
        };
        for entry in entries {
            while this.ends.len() < entry.id as usize {
                this.push(&[], Kind::Unused);
            }
            this.push(&entry.bytes, entry.kind);
            if entry.kind == Kind::Text {
                this.add_to_index(entry.id)?;
            }
        }
        Ok(this)
    }

    /// How many ids there are, unused ones among them.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of token `id`.
    pub fn bytes(&self, id: TokenId) -> Option<&[u8]> {
        let id = usize::try_from(id).ok()?;
        let end = *self.ends.get(id)?;
        let start = id.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(&self.bytes[start as usize..end as usize])
    }

    /// What token `id` is for.
    pub fn kind(&self, id: TokenId) -> Option<Kind> {
        self.kinds.get(usize::try_from(id).ok()?).copied()
    }

    /// The text token that stands for exactly `bytes`.
    pub fn text_token(&self, bytes: &[u8]) -> Option<TokenId> {
        let id = self.index[self.slot(bytes)];
        (id != FREE).then_some(id)
    }

    /// All tokens of one kind, with their bytes.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = (TokenId, &[u8])> {
        let ids = (0..).zip(&self.kinds).filter(move |(_, found)| **found == kind);
        ids.map(|(id, _)| (id, self.bytes(id).unwrap_or_default()))
    }

    fn push(&mut self, bytes: &[u8], kind: Kind) {
        self.bytes.extend_from_slice(bytes);
        // MAX_BYTES fits.
        self.ends.push(self.bytes.len() as u32);
        self.kinds.push(kind);
    }

    fn add_to_index(&mut self, id: TokenId) -> Result<()> {
        let bytes = self.bytes(id).unwrap_or_default();
        if bytes.is_empty() {
            return Err(Error::corrupt(format!("token {id} of the vocabulary is empty")));
        }
        let slot = self.slot(bytes);
        let before = self.index[slot];
        if before != FREE {
            return Err(err_same_text(before, id, bytes));
        }
        self.index[slot] = id;
        Ok(())
    }

    /// Where in the index `bytes` is, or where it would go.
    fn slot(&self, bytes: &[u8]) -> usize {
        let mask = self.index.len() - 1;
        let mut slot = self.hasher.hash_one(bytes) as usize & mask;
        while self.index[slot] != FREE && self.bytes(self.index[slot]) != Some(bytes) {
            slot = (slot + 1) & mask;
        }
        slot
    }
}

fn err_id(entry: &Entry) -> Error {
    let text = String::from_utf8_lossy(&entry.bytes);
    Error::corrupt(format!("token {} has id {}, expected less than {MAX_TOKENS}", Quoted(&text), entry.id))
}

fn err_same_id(first: &Entry, second: &Entry) -> Error {
    let [one, other] = [first, second].map(|entry| String::from_utf8_lossy(&entry.bytes));
    let id = first.id;
    Error::corrupt(format!("tokens {} and {} both have id {id}", Quoted(&one), Quoted(&other)))
}

fn err_same_text(first: TokenId, second: TokenId, bytes: &[u8]) -> Error {
    let text = String::from_utf8_lossy(bytes);
    Error::corrupt(format!("tokens {first} and {second} of the vocabulary are both {}", Quoted(&text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: TokenId, bytes: &[u8], kind: Kind) -> Entry {
        Entry { id, bytes: bytes.to_vec(), kind }
    }

    #[test]
    fn tokens_are_found_by_id_and_text_tokens_by_bytes() {
        let entries = vec![
            entry(5, b"<|end|>", Kind::Control),
            entry(0, b"a", Kind::Text),
            entry(2, &[0xff, 0xfe], Kind::Text),
        ];
        let vocabulary = Vocabulary::new(entries).unwrap();
        assert_eq!(vocabulary.len(), 6);
        assert_eq!(vocabulary.bytes(2), Some(&[0xff, 0xfe][..]));
        assert_eq!(vocabulary.text_token(&[0xff, 0xfe]), Some(2));
        assert_eq!(vocabulary.text_token(b"<|end|>"), None);
        assert_eq!(vocabulary.kind(3), Some(Kind::Unused));
        assert_eq!((vocabulary.bytes(3), vocabulary.bytes(6)), (Some(&[][..]), None));
        assert_eq!(vocabulary.of_kind(Kind::Control).collect::<Vec<_>>(), [(5, &b"<|end|>"[..])]);
    }

    #[test]
    fn a_vocabulary_that_contradicts_itself_is_refused() {
        let cases = [
            (vec![], "no tokens"),
            (vec![entry(u32::MAX, b"a", Kind::Text)], "has id 4294967295"),
            (vec![entry(1, b"a", Kind::Text), entry(1, b"b", Kind::Text)], "`a` and `b` both have id 1"),
            (
                vec![entry(0, b"a", Kind::Text), entry(1, b"a", Kind::Text)],
                "0 and 1 of the vocabulary are both `a`",
            ),
            (vec![entry(0, b"", Kind::Text)], "token 0 of the vocabulary is empty"),
        ];
        for (entries, expected) in cases {
            let Err(error) = Vocabulary::new(entries) else { panic!("accepted: {expected}") };
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
