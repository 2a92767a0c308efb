//! Splitting text into the words that are merged one by one.
//!
//! Every published byte-level tokenizer splits with a few regular expressions, one after the other, and nearly all
//! of them end in `|\s+(?!\S)|\s+`: a run of spaces leaves its last one to the word that follows. That is the only
//! look-ahead among them. It is done by hand here, so that the rest is regular and splitting takes linear time
//! whatever the text is.

use base::{Error, Quoted, Result};
use regex_automata::Input;
use regex_automata::meta::Regex;

/// The split GPT-2 made, which is also what `ByteLevel` means by `use_regex`.
pub(crate) const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// The longest expression that is compiled; the longest published one has some 800 bytes.
const MAX_PATTERN_BYTES: usize = 16 << 10;
/// What a compiled expression may take; the published ones take 0.2 MiB.
const MAX_REGEX_BYTES: usize = 8 << 20;
/// States that are remembered while searching; half of it is never reached by the published expressions.
const CACHE_BYTES: usize = 512 << 10;

/// Splits, applied one after the other.
#[derive(Default)]
pub(crate) struct Pretokenizer {
    splits: Vec<Split>,
}

/// One expression, and which pieces go on: what it matches, what lies between, or both.
struct Split {
    regex: Regex,
    keep_matches: bool,
    keep_gaps: bool,
}

/// The pattern of [`Split::regex`] that matches a run of spaces and leaves the last one.
const SPACES: u32 = 1;

impl Pretokenizer {
    /// Splits by `patterns`, each keeping what it matches and what lies between.
    pub fn new(patterns: &[&str]) -> Result<Self> {
        let mut this = Self::default();
        for pattern in patterns {
            this.push(pattern, true, true)?;
        }
        Ok(this)
    }

    /// Adds a split. Refuses an expression that is malformed or not regular.
    pub fn push(&mut self, pattern: &str, keep_matches: bool, keep_gaps: bool) -> Result<()> {
        self.splits.push(Split { regex: compile(pattern)?, keep_matches, keep_gaps });
        Ok(())
    }

    /// Calls `word` for each word of `text`, in order.
    pub fn split<'t>(&self, text: &'t str, word: &mut dyn FnMut(&'t str) -> Result<()>) -> Result<()> {
        split(&self.splits, text, word)
    }
}

fn split<'t>(splits: &[Split], text: &'t str, word: &mut dyn FnMut(&'t str) -> Result<()>) -> Result<()> {
    let Some((first, rest)) = splits.split_first() else {
        return if text.is_empty() { Ok(()) } else { word(text) };
    };
    let mut done = 0;
    while let Some((start, end)) = first.find(text, done) {
        if first.keep_gaps && done < start {
            split(rest, &text[done..start], word)?;
        }
        if first.keep_matches {
            split(rest, &text[start..end], word)?;
        }
        done = end;
    }
    if first.keep_gaps && done < text.len() {
        split(rest, &text[done..], word)?;
    }
    Ok(())
}

impl Split {
    /// The next match at or after `from` that is not empty.
    fn find(&self, text: &str, mut from: usize) -> Option<(usize, usize)> {
        loop {
            let found = self.regex.search(&Input::new(text).range(from..))?;
            let (start, mut end) = (found.start(), found.end());
            if found.pattern().as_u32() == SPACES && end < text.len() {
                let last = text[start..end].chars().next_back().map_or(0, char::len_utf8);
                // A single space has nothing to leave behind.
                end = if start < end - last { end - last } else { end };
            }
            if start < end {
                return Some((start, end));
            }
            from = end + text[end..].chars().next()?.len_utf8();
        }
    }
}

fn compile(pattern: &str) -> Result<Regex> {
    if pattern.len() > MAX_PATTERN_BYTES {
        let found = pattern.len();
        return Err(Error::corrupt(format!(
            "a split of {found} bytes, expected at most {MAX_PATTERN_BYTES}"
        )));
    }
    let head = [r"|\s+(?!\S)|\s+", r"|\s+(?!\S)"].iter().find_map(|tail| pattern.strip_suffix(tail));
    let config = Regex::config()
        .onepass(false)
        .dfa(false)
        .backtrack(false)
        .hybrid_cache_capacity(CACHE_BYTES)
        .nfa_size_limit(Some(MAX_REGEX_BYTES));
    let mut builder = Regex::builder();
    builder.configure(config);
    let built = match head {
        Some(head) => builder.build_many(&[head, r"\s+"]),
        None => builder.build(pattern),
    };
    built.map_err(|error| err_pattern(pattern, &error))
}

fn err_pattern(pattern: &str, error: &regex_automata::meta::BuildError) -> Error {
    let reason = match error.syntax_error() {
        // The parser's own message draws the pattern over several lines.
        Some(error) => error.to_string().lines().last().unwrap_or_default().replace("error: ", ""),
        None => error.to_string(),
    };
    Error::unsupported(format!("the split {} is not an expression known here: {reason}", Quoted(pattern)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words<'t>(pretokenizer: &Pretokenizer, text: &'t str) -> Vec<&'t str> {
        let mut words = Vec::new();
        pretokenizer
            .split(text, &mut |word| {
                words.push(word);
                Ok(())
            })
            .unwrap();
        words
    }

    #[test]
    fn a_run_of_spaces_leaves_its_last_one_to_the_next_word() {
        let cases: [(&str, &[&str]); 7] = [
            ("a   b", &["a", "  ", " b"]),
            ("a b", &["a", " b"]),
            ("a  ", &["a", "  "]),
            (" \t", &[" \t"]),
            ("\t1", &["\t", "1"]),
            ("\u{3000}\u{3000}x", &["\u{3000}", "\u{3000}", "x"]),
            ("", &[]),
        ];
        let pretokenizer = Pretokenizer::new(&[GPT2]).unwrap();
        for (text, expected) in cases {
            assert_eq!(words(&pretokenizer, text), expected, "{text:?}");
        }
    }

    #[test]
    fn splits_follow_each_other_and_keep_what_they_are_told() {
        let mut pretokenizer = Pretokenizer::new(&[r"\p{N}{1,3}"]).unwrap();
        assert_eq!(words(&pretokenizer, "ab12345c"), ["ab", "123", "45", "c"]);
        pretokenizer.push("b", true, false).unwrap();
        assert_eq!(words(&pretokenizer, "ab12b"), ["b", "b"]);
    }

    #[test]
    fn an_expression_that_is_not_regular_is_refused_in_one_line() {
        for pattern in [r"(?=a)b", "(", r"(a)\1", "a{1000}{1000}{1000}", &"a".repeat(20_000)] {
            let error = Pretokenizer::new(&[pattern]).err().expect(pattern).to_string();
            assert!(!error.contains('\n') && error.len() < 300, "{error}");
        }
    }
}
