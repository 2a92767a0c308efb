//! As much of Rust's grammar as the checks need: words and signs without comments and strings, `use` trees, and
//! which of it is only compiled for tests.

/// A word, `::`, or a single sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    pub text: &'a str,
    /// Counted from 1.
    pub line: usize,
}

/// The tokens of a source file. Strings, characters, comments and lifetimes are left out.
pub fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while let Some(first) = source[at..].chars().next() {
        let rest = &source[at..];
        let len = match first {
            _ if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            _ if rest.starts_with("/*") => comment(rest),
            '"' => string(rest),
            '\'' => character(rest),
            _ if rest.starts_with("::") => word(&mut tokens, &rest[..2], line),
            _ if is_word(first) => {
                let len = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                match raw_string(&rest[..len], &rest[len..]) {
                    Some(more) => len + more,
                    None => word(&mut tokens, &rest[..len], line),
                }
            }
            _ if first.is_whitespace() => first.len_utf8(),
            _ => word(&mut tokens, &rest[..first.len_utf8()], line),
        };
        line += rest[..len].matches('\n').count();
        at += len;
    }
    tokens
}

fn word<'a>(tokens: &mut Vec<Token<'a>>, text: &'a str, line: usize) -> usize {
    tokens.push(Token { text, line });
    text.len()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Length of a comment between `/*` and its `*/`, which nest.
fn comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let step = &rest.as_bytes()[at..];
        let (change, len) = match step {
            [b'/', b'*', ..] => (1, 2),
            [b'*', b'/', ..] => (-1, 2),
            _ => (0, 1),
        };
        depth += change;
        at += len;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// Length of a string literal, its quotes included.
fn string(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Length of what follows the prefix of a raw string (`r`, `br`, `cr`); `None` when this is none.
fn raw_string(prefix: &str, rest: &str) -> Option<usize> {
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    if !matches!(prefix, "r" | "br" | "cr") || !rest[hashes..].starts_with('"') {
        return None;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let body = hashes + 1;
    Some(rest[body..].find(&end).map_or(rest.len(), |at| body + at + end.len()))
}

/// Length of a character literal or of a lifetime.
fn character(rest: &str) -> usize {
    let mut inside = rest.char_indices().skip(1);
    match inside.next() {
        Some((_, '\\')) => {
            rest[2..].char_indices().skip(1).find(|(_, c)| *c == '\'').map_or(rest.len(), |(at, _)| at + 3)
        }
        Some((_, c)) => match inside.next() {
            Some((at, '\'')) => at + 1,
            _ => 1 + if is_word(c) { rest[1..].find(|c| !is_word(c)).unwrap_or(rest.len() - 1) } else { 0 },
        },
        None => rest.len(),
    }
}

/// Leaves out modules that are compiled for tests only.
pub fn without_tests<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match test_module(&tokens[at..]) {
            Some(len) => at += len,
            None => {
                kept.push(tokens[at]);
                at += 1;
            }
        }
    }
    kept
}

/// Number of tokens of the test module that begins here, if one does.
fn test_module(tokens: &[Token<'_>]) -> Option<usize> {
    if !follows(tokens, &["#", "[", "cfg", "(", "test", ")", "]", "mod"]) {
        return None;
    }
    match tokens.get(9)?.text {
        ";" => Some(10),
        _ => Some(9 + braces(&tokens[9..])),
    }
}

/// Number of tokens from a `{` to its `}`, both included.
pub fn braces(tokens: &[Token<'_>]) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        match token.text {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

/// Whether the tokens begin with these words.
pub fn follows(tokens: &[Token<'_>], words: &[&str]) -> bool {
    tokens.len() >= words.len() && tokens.iter().zip(words).all(|(token, word)| token.text == *word)
}

/// A path that a file names, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    pub path: Vec<String>,
    /// What the file calls it; `None` outside of `use`, and for all that `*` stands for.
    pub name: Option<String>,
    pub line: usize,
}

/// Every path of every `use`, and every other path that begins with `crate` or `super`.
pub fn imports(tokens: &[Token<'_>]) -> Vec<Import> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at].text {
            "use" => {
                at += 1;
                use_tree(tokens, &mut at, &[], &mut found);
            }
            "crate" | "super" if follows(&tokens[at + 1..], &["::"]) => {
                let path = path(tokens, &mut at);
                found.push(Import { path, name: None, line: tokens[at - 1].line });
            }
            _ => at += 1,
        }
    }
    found
}

/// Words joined by `::`, as far as they go.
fn path(tokens: &[Token<'_>], at: &mut usize) -> Vec<String> {
    let mut path = Vec::new();
    while let Some(token) = tokens.get(*at).filter(|token| token.text.starts_with(is_word)) {
        path.push(token.text.to_owned());
        *at += 1;
        if !follows(&tokens[*at..], &["::"]) {
            break;
        }
        *at += 1;
    }
    path
}

/// One branch of a `use`, up to the sign behind it.
fn use_tree(tokens: &[Token<'_>], at: &mut usize, before: &[String], found: &mut Vec<Import>) {
    let line = tokens.get(*at).map_or(0, |token| token.line);
    if follows(&tokens[*at..], &["::"]) {
        *at += 1;
    }
    let mut whole = before.to_vec();
    whole.extend(path(tokens, at));
    match tokens.get(*at).map(|token| token.text) {
        Some("{") => {
            while !matches!(tokens.get(*at).map(|token| token.text), None | Some("}")) {
                *at += 1; // the brace, or the comma before the next branch
                if !follows(&tokens[*at..], &["}"]) {
                    use_tree(tokens, at, &whole, found);
                }
            }
            *at += 1;
        }
        Some("*") => {
            *at += 1;
            found.push(Import { path: whole, name: None, line });
        }
        _ => {
            if whole.last().is_some_and(|last| last == "self") {
                whole.pop();
            }
            let mut name = whole.last().cloned();
            if let [Token { text: "as", .. }, alias, ..] = &tokens[*at..] {
                name = Some(alias.text.to_owned());
                *at += 2;
            }
            found.push(Import { path: whole, name, line });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<&str> {
        tokens(source).iter().map(|token| token.text).collect()
    }

    #[test]
    fn comments_strings_characters_and_lifetimes_are_no_tokens() {
        let cases: &[(&str, &[&str])] = &[
            ("a::b // c\nd", &["a", "::", "b", "d"]),
            ("a /* b /* c */ d */ e", &["a", "e"]),
            (r#"a "b \" c" d"#, &["a", "d"]),
            (r##"a r#"b " c"# d"##, &["a", "d"]),
            (r"'a' b '\'' c '\u{1f}' d", &["b", "c", "d"]),
            ("fn f<'a>(x: &'a str)", &["fn", "f", "<", ">", "(", "x", ":", "&", "str", ")"]),
            ("'ß' x", &["x"]),
        ];
        for (source, expected) in cases {
            assert_eq!(words(source), *expected, "{source}");
        }
    }

    #[test]
    fn modules_for_tests_are_left_out() {
        let source = "use a; #[cfg(test)] mod tests { mod b { use c; } } #[cfg(test)] mod d; fn e() {}";
        let all = tokens(source);
        let kept: Vec<_> = without_tests(&all).iter().map(|token| token.text).collect();
        assert_eq!(kept, ["use", "a", ";", "fn", "e", "(", ")", "{", "}"]);
    }

    #[test]
    fn use_trees_are_taken_apart() {
        let source = "pub(crate) use crate::a::{self, b::C, d::*, E as F};\nlet x = super::g::h(i::j);";
        let found = imports(&tokens(source));
        let told: Vec<_> = found
            .iter()
            .map(|import| (import.path.join("::"), import.name.as_deref().unwrap_or("-"), import.line))
            .collect();
        let expected = [
            ("crate::a", "a", 1),
            ("crate::a::b::C", "C", 1),
            ("crate::a::d", "-", 1),
            ("crate::a::E", "F", 1),
            ("super::g::h", "-", 2),
        ];
        assert_eq!(told, expected.map(|(path, name, line)| (path.to_owned(), name, line)));
    }
}
