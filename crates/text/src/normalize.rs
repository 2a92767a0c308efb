//! Unicode normalization before splitting, where a tokenizer asks for it.
//!
//! Text that is already in the wanted form, which is nearly all text, is passed on as it is.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick, is_nfd_quick};
use unicode_normalization::{is_nfkc_quick, is_nfkd_quick};

/// A Unicode normalization form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Normalization {
    Nfc,
    Nfd,
    Nfkc,
    Nfkd,
}

impl Normalization {
    /// The form `name` is the name of, as `tokenizer.json` spells it.
    pub fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "NFC" => Self::Nfc,
            "NFD" => Self::Nfd,
            "NFKC" => Self::Nfkc,
            "NFKD" => Self::Nfkd,
            _ => return None,
        })
    }

    /// `text` in this form.
    pub fn apply<'t>(self, text: Cow<'t, str>) -> Cow<'t, str> {
        let letters = text.chars();
        let already = match self {
            Self::Nfc => is_nfc_quick(letters),
            Self::Nfd => is_nfd_quick(letters),
            Self::Nfkc => is_nfkc_quick(letters),
            Self::Nfkd => is_nfkd_quick(letters),
        };
        if already == IsNormalized::Yes {
            return text;
        }
        Cow::Owned(match self {
            Self::Nfc => text.nfc().collect(),
            Self::Nfd => text.nfd().collect(),
            Self::Nfkc => text.nfkc().collect(),
            Self::Nfkd => text.nfkd().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_the_one_it_is_named_after() {
        let cases = [("NFC", "é"), ("NFD", "e\u{301}"), ("NFKC", "é"), ("NFKD", "e\u{301}")];
        for (name, expected) in cases {
            let form = Normalization::by_name(name).unwrap();
            assert_eq!(form.apply("e\u{301}".into()), expected);
            assert!(matches!(form.apply("abc".into()), Cow::Borrowed("abc")));
        }
        assert_eq!(Normalization::Nfkc.apply("ﬁ".into()), "fi");
        assert_eq!(Normalization::by_name("Lowercase"), None);
    }
}
