//! Text to ids and back.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use base::{Context, Result, TokenId};
use formats::gguf::Metadata;
use formats::{Checkpoint, Format};

use crate::bpe::{Bpe, Scratch};
use crate::chat::{self, Part, Rendered};
use crate::control::{Literal, Literals, Piece};
use crate::detokenize::Detokenizer;
use crate::load::{self, Settings};
use crate::normalize::Normalization;
use crate::pretokenize::Pretokenizer;
use crate::sentence::Prefix;
use crate::vocabulary::{Kind, Vocabulary};

/// The tokenizer of a model.
///
/// Ids of ordinary text are those of the model's own tokenizer (Hugging Face `tokenizers`, tiktoken). The one
/// deliberate difference: spellings of control tokens inside text, such as `<|im_end|>`, stay text.
///
/// Decoding what was encoded gives the text back, except that a tokenizer which normalizes (Qwen's do: NFC) gives the
/// normalized text.
pub struct Tokenizer {
    pub(crate) vocabulary: Vocabulary,
    pub(crate) bpe: Bpe,
    pub(crate) pretokenizer: Pretokenizer,
    /// Of a vocabulary of SentencePiece: where it puts a space before text.
    pub(crate) sentence: Option<Prefix>,
    /// Applied to text in this order, before it is split.
    pub(crate) normalizations: Vec<Normalization>,
    /// Recognised in what a template writes, never in what a user writes.
    pub(crate) controls: Arc<Literals>,
    /// Recognised in any text.
    pub(crate) added: Literals,
    pub(crate) bos: Option<TokenId>,
    pub(crate) adds_bos: bool,
    pub(crate) stop: BTreeSet<TokenId>,
    /// `bos_token`, `eos_token` and so on, as templates know them.
    pub(crate) names: BTreeMap<String, String>,
}

impl Tokenizer {
    /// The tokenizer that comes with a model: `tokenizer.json`, else `tiktoken.model`, else
    /// `tokenizer.model`, or the vocabulary inside the GGUF file. Fails when there is none, when it is of a kind that is not supported, and when it contradicts
    /// itself.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self> {
        let mut this = match checkpoint.format {
            Format::Gguf => load::gguf(&checkpoint.metadata).within(|| checkpoint.root.display())?,
            Format::Safetensors => load::folder(&checkpoint.root)?,
        };
        this.stop.extend(load::configured_stops(checkpoint, this.vocabulary.len()));
        this.stop.extend(chat::turn_ends(checkpoint, &this));
        Ok(this)
    }

    /// The tokenizer of the files in `folder` alone, without what a model's configuration says of tokens that end answers.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        load::folder(folder)
    }

    /// The tokenizer that `json`, the text of a `tokenizer.json`, describes by itself.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        load::hugging_face(json, &Settings::default())
    }

    /// The tokenizer that `ranks`, the text of a `tiktoken.model`, describes by itself: no control token has a name.
    pub fn from_ranks(ranks: &[u8]) -> Result<Self> {
        load::tiktoken(ranks, &Settings::default())
    }

    /// The tokenizer that the metadata of a GGUF file describes.
    pub fn from_metadata(metadata: &Metadata) -> Result<Self> {
        load::gguf(metadata)
    }

    /// The ids of `text`, which never contain a control token: their spellings are split like any other text.
    pub fn encode(&self, text: &str) -> Result<Vec<TokenId>> {
        let mut ids = Vec::with_capacity(text.len() / 3);
        self.encode_onto(text, true, &mut ids)?;
        Ok(ids)
    }

    /// As [`Tokenizer::encode`], after the start token if this model wants one: for text to be continued as it is.
    pub fn encode_prompt(&self, text: &str) -> Result<Vec<TokenId>> {
        let mut ids = Vec::with_capacity(text.len() / 3 + 1);
        ids.extend(self.bos.filter(|_| self.adds_bos));
        self.encode_onto(text, true, &mut ids)?;
        Ok(ids)
    }

    /// The ids of a text that spells control tokens on purpose, such as a corpus in which `<|endoftext|>` stands
    /// between documents. Never for what a user typed.
    pub fn encode_trusted(&self, text: &str) -> Result<Vec<TokenId>> {
        let mut ids = Vec::with_capacity(text.len() / 3);
        for piece in self.controls.split(text) {
            match piece {
                Piece::Literal(literal) => ids.push(literal.id),
                Piece::Text(text) => self.encode_onto(text, ids.is_empty(), &mut ids)?,
            }
        }
        Ok(ids)
    }

    /// The ids of a rendered conversation, after the start token if this model wants one and the template did not
    /// write it.
    pub fn encode_rendered(&self, prompt: &Rendered) -> Result<Vec<TokenId>> {
        let mut ids = Vec::new();
        let starts_itself =
            matches!(prompt.parts.first(), Some(Part::Control { id, .. }) if Some(*id) == self.bos);
        ids.extend(self.bos.filter(|_| self.adds_bos && !starts_itself));
        for (place, part) in prompt.parts.iter().enumerate() {
            match part {
                Part::Control { id, .. } => ids.push(*id),
                Part::Text(text) => self.encode_onto(text, place == 0, &mut ids)?,
            }
        }
        Ok(ids)
    }

    /// The text of `ids`, control tokens spelled out. Bytes that are no UTF-8 become U+FFFD; ids the model does not
    /// have stand for nothing.
    pub fn decode(&self, ids: &[TokenId]) -> String {
        let mut bytes: Vec<u8> = ids.iter().filter_map(|id| self.piece(*id)).flatten().copied().collect();
        let spaced = self.sentence.is_some_and(|prefix| prefix != Prefix::Never);
        if spaced && bytes.first() == Some(&b' ') {
            bytes.remove(0); // what encoding put there
        }
        match String::from_utf8_lossy(&bytes) {
            Cow::Borrowed(_) => String::from_utf8(bytes).unwrap_or_default(),
            Cow::Owned(text) => text,
        }
    }

    /// A [`Detokenizer`], for ids that come one at a time.
    pub fn detokenizer(&self) -> Detokenizer<'_> {
        Detokenizer::new(self)
    }

    /// The bytes of one token, which need not be whole characters; `None` for an id the model does not have.
    pub fn piece(&self, id: TokenId) -> Option<&[u8]> {
        self.vocabulary.bytes(id)
    }

    /// The control token spelled `text`.
    pub fn id_of(&self, text: &str) -> Option<TokenId> {
        self.controls.get(text).map(|literal| literal.id)
    }

    /// How many ids there are; all ids are less. The model's output may be wider, as it is often padded.
    pub fn vocab_size(&self) -> usize {
        self.vocabulary.len()
    }

    /// Whether `id` steers the model and is never made from text: what the vocabulary calls special, and also
    /// markers like `<think>`.
    pub fn is_control(&self, id: TokenId) -> bool {
        self.vocabulary.kind(id) == Some(Kind::Control)
    }

    /// The tokens that end an answer: those of `config.json`, `generation_config.json` and the tokenizer, and what
    /// the chat template writes after an answer.
    pub fn stop_tokens(&self) -> &BTreeSet<TokenId> {
        &self.stop
    }

    /// The start token, if there is one.
    pub fn bos(&self) -> Option<TokenId> {
        self.bos
    }

    /// Whether a prompt of this model begins with [`Tokenizer::bos`].
    pub fn adds_bos(&self) -> bool {
        self.adds_bos && self.bos.is_some()
    }

    /// `first` says that nothing precedes `text`.
    fn encode_onto(&self, text: &str, first: bool, ids: &mut Vec<TokenId>) -> Result<()> {
        let mut scratch = Scratch::default();
        for (place, piece) in self.added.split(text).into_iter().enumerate() {
            match piece {
                Piece::Literal(literal) => ids.push(literal.id),
                Piece::Text(text) => self.encode_words(text, first && place == 0, &mut scratch, ids)?,
            }
        }
        Ok(())
    }

    fn encode_words(
        &self,
        text: &str,
        first: bool,
        scratch: &mut Scratch,
        ids: &mut Vec<TokenId>,
    ) -> Result<()> {
        let text = self.normalizations.iter().fold(Cow::Borrowed(text), |text, form| form.apply(text));
        let text = self.sentence.map_or(text.clone(), |prefix| prefix.apply(&text, first).into());
        self.pretokenizer
            .split(&text, &mut |word| self.bpe.encode(&self.vocabulary, word.as_bytes(), scratch, ids))
    }
}

/// The literals of one kind among the tokens of `vocabulary`; `how` gives those that are recognised in a special way.
pub(crate) fn literals(vocabulary: &Vocabulary, kind: Kind, how: &BTreeMap<TokenId, Literal>) -> Literals {
    let plain = |(id, bytes): (TokenId, &[u8])| {
        let text = std::str::from_utf8(bytes).ok()?;
        Some(how.get(&id).cloned().unwrap_or_else(|| Literal::plain(id, text)))
    };
    Literals::new(vocabulary.of_kind(kind).filter_map(plain))
}
