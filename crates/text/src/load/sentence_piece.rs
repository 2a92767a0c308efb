//! `tokenizer.model`, as SentencePiece writes it: pieces with their scores and kinds, in the wire format of protocol buffers.
//!
//! Vocabularies that merge by score are read (Llama 2, Mixtral). What is chosen by probability over a whole text (Unigram), or
//! normalizes by a table, is refused by its name.

use base::{Context, Error, Result, TokenId};

use super::gguf::token;
use super::settings::Settings;
use crate::bpe::Bpe;
use crate::control::is_control;
use crate::sentence::Prefix;
use crate::vocabulary::{Entry, Kind, Vocabulary};

/// What the file says of a tokenizer.
pub(crate) struct Pieces {
    pub vocabulary: Vocabulary,
    pub bpe: Bpe,
    pub prefix: Prefix,
    pub bos: Option<TokenId>,
    pub eos: Option<TokenId>,
}

/// What of the file matters, with what SentencePiece takes where it is silent.
struct Model {
    pieces: Vec<Piece>,
    /// 1 Unigram, 2 BPE, 3 words, 4 characters.
    kind: u64,
    unknown: u64,
    bos: u64,
    eos: u64,
    has_table: bool,
    adds_space: bool,
    joins_spaces: bool,
}

#[derive(Default)]
struct Piece {
    text: String,
    score: f64,
    /// As GGUF numbers kinds, too.
    kind: i64,
}

/// One field of a message.
enum Field<'b> {
    Number(u64),
    Float(f32),
    Bytes(&'b [u8]),
}

/// The pieces in the file `model`, and the tokens that `settings` add to them.
pub(crate) fn parse(model: &[u8], settings: &Settings) -> Result<Pieces> {
    let model = read(model)?;
    check(&model)?;
    let mut entries = Vec::with_capacity(model.pieces.len());
    for (id, piece) in (0..).zip(&model.pieces) {
        let (bytes, kind) = token(&piece.text, piece.kind, true).within(|| format!("piece {id}"))?;
        entries.push(Entry { id, bytes, kind });
    }
    let added = &settings.added_tokens_decoder;
    entries.retain(|entry| !added.contains_key(&entry.id));
    entries.extend(added.iter().map(|(id, token)| {
        let kind = if is_control(&token.content, token.special) { Kind::Control } else { Kind::Added };
        Entry { id: *id, bytes: token.content.clone().into_bytes(), kind }
    }));

    let vocabulary = Vocabulary::new(entries)?;
    let mut scores: Vec<f64> = model.pieces.iter().map(|piece| piece.score).collect();
    scores.resize(vocabulary.len(), f64::NEG_INFINITY);
    let control =
        |id: u64| TokenId::try_from(id).ok().filter(|id| vocabulary.kind(*id) == Some(Kind::Control));
    let bpe = Bpe::by_scores(&vocabulary, &scores).of_characters(&vocabulary, control(model.unknown));
    let (bos, eos) = (control(model.bos), control(model.eos));
    let prefix = if model.adds_space { Prefix::Always } else { Prefix::Never };
    Ok(Pieces { vocabulary, bpe, prefix, bos, eos })
}

fn check(model: &Model) -> Result<()> {
    let odd = [
        (model.kind == 1, "chooses pieces by probability (Unigram)"),
        (model.kind != 2, "makes no pieces by merging"),
        (model.has_table, "normalizes by a table"),
        (model.joins_spaces, "drops spaces"),
    ];
    match odd.iter().find(|(found, _)| *found) {
        Some((_, what)) => Err(Error::unsupported(format!("the model {what}, which is not supported"))),
        None => Ok(()),
    }
}

fn read(bytes: &[u8]) -> Result<Model> {
    let mut model = Model {
        pieces: Vec::new(),
        kind: 1,
        unknown: 0,
        bos: 1,
        eos: 2,
        has_table: false,
        adds_space: true,
        joins_spaces: true,
    };
    fields(bytes, &mut |number, field| {
        match (number, field) {
            (1, Field::Bytes(piece)) => model.pieces.push(read_piece(piece)?),
            (2, Field::Bytes(trainer)) => fields(trainer, &mut |number, field| {
                match (number, field) {
                    (3, Field::Number(kind)) => model.kind = kind,
                    (40, Field::Number(id)) => model.unknown = id,
                    (41, Field::Number(id)) => model.bos = id,
                    (42, Field::Number(id)) => model.eos = id,
                    _ => {}
                }
                Ok(())
            })?,
            (3, Field::Bytes(normalizer)) => fields(normalizer, &mut |number, field| {
                match (number, field) {
                    (2, Field::Bytes(table)) => model.has_table = !table.is_empty(),
                    (3, Field::Number(flag)) => model.adds_space = flag != 0,
                    (4, Field::Number(flag)) => model.joins_spaces = flag != 0,
                    _ => {}
                }
                Ok(())
            })?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(model)
}

fn read_piece(bytes: &[u8]) -> Result<Piece> {
    let mut piece = Piece { kind: 1, ..Piece::default() };
    fields(bytes, &mut |number, field| {
        match (number, field) {
            (1, Field::Bytes(text)) => {
                let text = std::str::from_utf8(text).map_err(|_| Error::corrupt("a piece is not UTF-8"))?;
                text.clone_into(&mut piece.text);
            }
            (2, Field::Float(score)) => piece.score = score.into(),
            (3, Field::Number(kind)) => piece.kind = i64::try_from(kind).unwrap_or(i64::MAX),
            _ => {}
        }
        Ok(())
    })?;
    Ok(piece)
}

/// Calls `each` with the number and the value of every field of a message.
fn fields<'b>(mut bytes: &'b [u8], each: &mut dyn FnMut(u64, Field<'b>) -> Result<()>) -> Result<()> {
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut bytes)?),
            1 => Field::Bytes(take(&mut bytes, 8)?),
            2 => {
                let length = varint(&mut bytes)?;
                Field::Bytes(take(&mut bytes, usize::try_from(length).unwrap_or(usize::MAX))?)
            }
            5 => Field::Float(f32::from_le_bytes(take(&mut bytes, 4)?.try_into().unwrap_or_default())),
            _ => return Err(err_message()),
        };
        each(tag >> 3, field)?;
    }
    Ok(())
}

fn varint(bytes: &mut &[u8]) -> Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(err_message())
}

fn take<'b>(bytes: &mut &'b [u8], count: usize) -> Result<&'b [u8]> {
    let (taken, rest) = bytes.split_at_checked(count).ok_or_else(err_message)?;
    *bytes = rest;
    Ok(taken)
}

fn err_message() -> Error {
    Error::corrupt("is no model of SentencePiece, or ends early")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_read_exactly_is_refused_in_one_sentence() {
        // The piece `a` of score 1; BPE; no table, spaces kept.
        let piece = [0x0a, 8, 0x0a, 1, b'a', 0x15, 0, 0, 0x80, 0x3f];
        let (merges, keeps) = ([0x12, 2, 0x18, 2], [0x1a, 2, 0x20, 0]);
        let table = [0x1a, 5, 0x12, 1, 7, 0x20, 0];
        let cases: [(Vec<u8>, &str); 7] = [
            (piece.to_vec(), "by probability (Unigram)"),
            ([&piece[..], &[0x12, 2, 0x18, 4]].concat(), "no pieces by merging"),
            ([&piece[..], &merges].concat(), "drops spaces"),
            ([&piece[..], &merges, &table].concat(), "by a table"),
            ([&merges[..], &keeps].concat(), "no tokens"),
            (piece[..9].to_vec(), "ends early"),
            (vec![0xff; 30], "ends early"),
        ];
        for (bytes, expected) in cases {
            let error = parse(&bytes, &Settings::default()).err().expect(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
        let whole = [&piece[..], &merges, &keeps].concat();
        assert!(parse(&whole, &Settings::default()).is_ok());
        for end in 0..whole.len() {
            let _ = parse(&whole[..end], &Settings::default());
        }
    }
}
