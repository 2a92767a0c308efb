//! What SentencePiece does to text before it merges characters.
//!
//! It spells a space as `▁`, and most of its models put one before a text, so that a word is the same token at the
//! beginning as later. Here vocabularies hold spaces as spaces; a `▁` that somebody typed is one as well, as it is to
//! SentencePiece.

use std::borrow::Cow;

/// The letter that stands for a space.
pub(crate) const SPACE: char = '\u{2581}';

/// Where a space is put before text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prefix {
    Never,
    /// Before the text, unless a control token comes first or it begins with a space.
    First,
    /// Before every stretch of text between control tokens that does not begin with a space.
    Unspaced,
    /// Before every stretch of text between control tokens.
    Always,
}

impl Prefix {
    /// `text` as the vocabulary spells it; `first` says that nothing precedes it.
    pub fn apply(self, text: &str, first: bool) -> String {
        let text =
            if text.contains(SPACE) { Cow::Owned(text.replace(SPACE, " ")) } else { Cow::Borrowed(text) };
        let spaced = match self {
            Self::Never => false,
            Self::First => first && !text.starts_with(' '),
            Self::Unspaced => !text.starts_with(' '),
            Self::Always => true,
        };
        match spaced && !text.is_empty() {
            true => format!(" {text}"),
            false => text.into_owned(),
        }
    }
}

/// The bytes of a token as files spell it.
pub(crate) fn bytes_of(spelling: &str) -> Vec<u8> {
    spelling.replace(SPACE, " ").into_bytes()
}

/// The byte that `<0x0A>` stands for.
pub(crate) fn byte_of(spelling: &str) -> Option<u8> {
    let digits = spelling.strip_prefix("<0x")?.strip_suffix('>')?;
    let hexadecimal = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if hexadecimal { u8::from_str_radix(digits, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_space_comes_first_where_it_is_wanted() {
        for (prefix, text, first, expected) in [
            (Prefix::Always, "a b", false, " a b"),
            (Prefix::Always, " a", true, "  a"),
            (Prefix::Always, "", true, ""),
            (Prefix::First, "a", true, " a"),
            (Prefix::First, "▁a", true, " a"),
            (Prefix::Unspaced, "a", false, " a"),
            (Prefix::First, "a", false, "a"),
            (Prefix::Never, "a▁b", true, "a b"),
        ] {
            assert_eq!(prefix.apply(text, first), expected, "{prefix:?} {text:?}");
        }
        assert_eq!((byte_of("<0x0A>"), byte_of("<0xff>")), (Some(10), Some(255)));
        assert_eq!((byte_of("<0x0>"), byte_of("0x0A"), byte_of("<0x+1>")), (None, None, None));
    }
}
