//! Byte-pair encoding: a word's bytes are merged, best pair first, until no pair is known. In a vocabulary of
//! SentencePiece it is characters that are merged, and bytes stand only for characters that are no token.
//!
//! "Best" is the place of the pair in the list of merges or, for vocabularies that have no such list (tiktoken, some
//! GGUF files), the id of the token it becomes. Both are exact: a list of merges made up from the ranks is not,
//! because it has to order two ways of making the same token where the ranks leave that to the position.
//! Equal ranks merge leftmost first.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::ops::Range;

use base::{Error, Quoted, Result, TokenId};

use crate::vocabulary::{Kind, Vocabulary};

/// How a word becomes tokens.
pub(crate) struct Bpe {
    order: Order,
    /// The token of each single byte.
    bytes: [Option<TokenId>; 256],
    /// Whether whole characters are merged; each that is no token is spelled in bytes.
    characters: bool,
    /// Stands for a character that is no token, where bytes are none either.
    unknown: Option<TokenId>,
    /// Whether a word that is a token is taken as it is, before merging.
    pub whole_words: bool,
}

/// Which pair is merged first, and into what.
enum Order {
    /// Rank and merged token of each pair in the list of merges.
    Merges(HashMap<(TokenId, TokenId), (u32, TokenId)>),
    /// Any pair whose bytes are a token; the smallest id first.
    Ids,
    /// Any pair whose bytes are a token; by the rank of each token.
    Ranks(Vec<u32>),
}

/// Working memory of [`Bpe::encode`], kept from word to word.
#[derive(Default)]
pub(crate) struct Scratch {
    symbols: Vec<Symbol>,
    pairs: BinaryHeap<Reverse<Pair>>,
}

/// A stretch of the word that is one token so far, linked to its neighbours by their places in the list.
#[derive(Clone, Copy)]
struct Symbol {
    id: TokenId,
    start: usize,
    end: usize,
    previous: usize,
    next: usize,
}

/// No neighbour.
const NONE: usize = usize::MAX;

/// A merge that was possible when it was queued. Ordered by rank, then by place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    rank: u32,
    left: usize,
    ids: (TokenId, TokenId),
    merged: TokenId,
}

impl Bpe {
    /// Merges in the order of `merges`, pairs of byte strings. `is_control` says of a merged token whether it is one
    /// that text must not become; such merges are left out. Refuses a merge that names no token.
    pub fn by_merges(
        vocabulary: &Vocabulary,
        merges: impl Iterator<Item = Result<(Vec<u8>, Vec<u8>)>>,
        is_control: impl Fn(&[u8]) -> bool,
    ) -> Result<Self> {
        let mut order = HashMap::with_capacity(merges.size_hint().0.min(vocabulary.len()));
        for (rank, merge) in (0..).zip(merges) {
            let (left, right) = merge?;
            let merged = [&left[..], &right].concat();
            let tokens = [&left, &right, &merged].map(|bytes| vocabulary.text_token(bytes));
            if let [Some(left), Some(right), Some(merged)] = tokens {
                order.insert((left, right), (rank, merged));
                continue;
            }
            let unknown = [&left, &right, &merged].into_iter().zip(tokens).find(|(_, token)| token.is_none());
            if let Some((bytes, _)) = unknown.filter(|(bytes, _)| !is_control(bytes)) {
                return Err(err_merge(rank, bytes));
            }
        }
        order.shrink_to_fit();
        Ok(Self::new(vocabulary, Order::Merges(order)))
    }

    /// Merges whatever becomes the token of the smallest id.
    pub fn by_ids(vocabulary: &Vocabulary) -> Self {
        Self { whole_words: true, ..Self::new(vocabulary, Order::Ids) }
    }

    /// Merges whatever becomes the token of the highest score; `scores` has one for each token.
    pub fn by_scores(vocabulary: &Vocabulary, scores: &[f64]) -> Self {
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        let mut ranks = vec![u32::MAX; vocabulary.len()];
        // Tokens of one score are of one rank.
        for (rank, same) in (0..).zip(order.chunk_by(|a, b| scores[*a] == scores[*b])) {
            same.iter().for_each(|id| ranks[*id] = rank);
        }
        Self::new(vocabulary, Order::Ranks(ranks))
    }

    fn new(vocabulary: &Vocabulary, order: Order) -> Self {
        let bytes = std::array::from_fn(|byte| vocabulary.text_token(&[byte as u8]));
        Self { order, bytes, characters: false, unknown: None, whole_words: false }
    }

    /// Merges characters, as SentencePiece does: one that is no token is spelled in the vocabulary's bytes, or is `unknown`.
    #[must_use]
    pub fn of_characters(mut self, vocabulary: &Vocabulary, unknown: Option<TokenId>) -> Self {
        self.bytes = [None; 256];
        for (id, byte) in vocabulary.of_kind(Kind::Byte) {
            if let [byte] = byte {
                self.bytes[usize::from(*byte)] = Some(id);
            }
        }
        Self { characters: true, unknown, ..self }
    }

    /// Appends the tokens of `word` to `ids`.
    pub fn encode(
        &self,
        vocabulary: &Vocabulary,
        word: &[u8],
        scratch: &mut Scratch,
        ids: &mut Vec<TokenId>,
    ) -> Result<()> {
        let whole = if self.whole_words { vocabulary.text_token(word) } else { None };
        if let Some(id) = whole {
            ids.push(id);
            return Ok(());
        }
        let Scratch { symbols, pairs } = scratch;
        self.start(vocabulary, word, symbols)?;
        pairs.clear();
        for left in 0..symbols.len() {
            pairs.extend(self.pair_at(vocabulary, word, symbols, left).map(Reverse));
        }

        while let Some(Reverse(pair)) = pairs.pop() {
            let Some(right) = mergeable(symbols, &pair) else { continue };
            let Symbol { end, next, .. } = symbols[right];
            symbols[right].end = symbols[right].start; // gone
            let left = &mut symbols[pair.left];
            (left.id, left.end, left.next) = (pair.merged, end, next);
            let previous = left.previous;
            if next != NONE {
                symbols[next].previous = pair.left;
            }
            pairs.extend(self.pair_at(vocabulary, word, symbols, pair.left).map(Reverse));
            if previous != NONE {
                pairs.extend(self.pair_at(vocabulary, word, symbols, previous).map(Reverse));
            }
        }

        ids.extend(symbols.iter().filter(|symbol| symbol.start < symbol.end).map(|symbol| symbol.id));
        Ok(())
    }

    /// One symbol a byte, or a character.
    fn start(&self, vocabulary: &Vocabulary, word: &[u8], symbols: &mut Vec<Symbol>) -> Result<()> {
        symbols.clear();
        if self.characters {
            // Words are pieces of text, so these are all of its characters.
            for chunk in word.utf8_chunks() {
                let mut start = chunk.valid().as_ptr() as usize - word.as_ptr() as usize;
                for letter in chunk.valid().chars() {
                    let end = start + letter.len_utf8();
                    self.character(vocabulary, word, start..end, symbols)?;
                    start = end;
                }
            }
        } else {
            for (place, byte) in word.iter().enumerate() {
                let id = self.bytes[usize::from(*byte)].ok_or_else(|| err_byte(*byte))?;
                symbols.push(Symbol { id, start: place, end: place + 1, previous: NONE, next: NONE });
            }
        }
        let count = symbols.len();
        for (place, symbol) in symbols.iter_mut().enumerate() {
            symbol.previous = place.checked_sub(1).unwrap_or(NONE);
            symbol.next = if place + 1 < count { place + 1 } else { NONE };
        }
        Ok(())
    }

    /// The symbols of one character: its token, its bytes, or the unknown token.
    fn character(
        &self,
        vocabulary: &Vocabulary,
        word: &[u8],
        place: Range<usize>,
        symbols: &mut Vec<Symbol>,
    ) -> Result<()> {
        let symbol = |id, start, end| Symbol { id, start, end, previous: NONE, next: NONE };
        if let Some(id) = vocabulary.text_token(&word[place.clone()]) {
            symbols.push(symbol(id, place.start, place.end));
            return Ok(());
        }
        let bytes: Option<Vec<TokenId>> =
            word[place.clone()].iter().map(|byte| self.bytes[usize::from(*byte)]).collect();
        match (bytes, self.unknown) {
            (Some(ids), _) => {
                symbols.extend((place.start..).zip(ids).map(|(start, id)| symbol(id, start, start + 1)));
            }
            // Unknown characters in a row are one token.
            (None, Some(unknown)) => match symbols.last_mut() {
                Some(last) if last.id == unknown => last.end = place.end,
                _ => symbols.push(symbol(unknown, place.start, place.end)),
            },
            (None, None) => return Err(err_byte(word[place.start])),
        }
        Ok(())
    }

    /// The merge of symbol `left` with its right neighbour, if they merge.
    fn pair_at(&self, vocabulary: &Vocabulary, word: &[u8], symbols: &[Symbol], left: usize) -> Option<Pair> {
        let (a, b) = (symbols[left], *symbols.get(symbols[left].next)?);
        let ids = (a.id, b.id);
        let (rank, merged) = match &self.order {
            Order::Merges(merges) => *merges.get(&ids)?,
            Order::Ids => vocabulary.text_token(&word[a.start..b.end]).map(|id| (id, id))?,
            Order::Ranks(ranks) => {
                let merged = vocabulary.text_token(&word[a.start..b.end])?;
                (ranks[merged as usize], merged)
            }
        };
        Some(Pair { rank, left, ids, merged })
    }
}

/// The right symbol of `pair`, if both sides are still what they were when it was queued.
fn mergeable(symbols: &[Symbol], pair: &Pair) -> Option<usize> {
    let left = symbols[pair.left];
    let right = symbols.get(left.next)?;
    let unchanged = left.start < left.end && (left.id, right.id) == pair.ids;
    unchanged.then_some(left.next)
}

fn err_merge(rank: u32, bytes: &[u8]) -> Error {
    let text = String::from_utf8_lossy(bytes);
    Error::corrupt(format!("merge {rank} needs {}, which is not in the vocabulary", Quoted(&text)))
}

fn err_byte(byte: u8) -> Error {
    Error::corrupt(format!("the vocabulary has no token for byte 0x{byte:02x}"))
}
