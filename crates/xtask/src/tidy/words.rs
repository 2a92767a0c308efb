//! What a file may contain: a head paragraph, no marks of unfinished work, no path of somebody's machine, and not
//! more bytes than a repository should carry.

use super::tree::{BLOB_MAX, Tree};
use super::{Fault, rust};

/// Files that may be larger than [`BLOB_MAX`].
const LARGE: &[&str] = &["crates/tidemill/demo/demo.gguf", "crates/tidemill/demo/demo-qwen.gguf"];

/// Every source file begins by saying what it is for.
pub fn heads(tree: &Tree) -> Vec<Fault> {
    let headless = tree.ending(".rs").filter(|file| !file.text.starts_with("//! "));
    headless.map(|file| format!("{}:1: no head paragraph (`//! What this is for.`)", file.path)).collect()
}

/// No file is too large.
pub fn sizes(tree: &Tree) -> Vec<Fault> {
    let large =
        tree.files.iter().filter(|file| file.bytes > BLOB_MAX && !LARGE.contains(&file.path.as_str()));
    let faults =
        large.map(|file| format!("{}: {} bytes; expected at most {BLOB_MAX}", file.path, file.bytes));
    faults.collect()
}

/// Words that say somebody meant to come back.
const UNFINISHED: &[&str] = &[concat!("FIX", "ME"), concat!("X", "XX"), concat!("TO", "DO")];

/// The first folders of paths that exist on one machine only.
const MACHINES: &[&str] = &["work", "root", "home", "tmp", "Users", "mnt"];

/// No unfinished work, and no path of somebody's machine outside of tests.
pub fn words(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in tree.files.iter().filter(|file| is_ours(&file.path)) {
        let tests = file.path.contains("/tests/") || file.path.ends_with("tests.rs");
        let tests_from = test_module(&file.text);
        for (line, text) in (1..).zip(file.text.lines()) {
            let fault = |what: &str| format!("{}:{line}: {what}", file.path);
            faults.extend(UNFINISHED.iter().filter(|word| has_word(text, word)).map(|word| fault(word)));
            if !tests && line < tests_from {
                faults.extend(
                    machine_path(text).map(|path| fault(&format!("{path} is a path of one machine"))),
                );
            }
        }
    }
    faults
}

/// Files whose words are ours; lock files and recorded data are not.
fn is_ours(path: &str) -> bool {
    [".rs", ".md", ".toml", ".py", "justfile", ".ci/run"].iter().any(|ending| path.ends_with(ending))
}

/// The line on which a file's inner test module begins.
fn test_module(source: &str) -> usize {
    let tokens = rust::tokens(source);
    let starts = tokens
        .windows(8)
        .find(|window| rust::follows(window, &["#", "[", "cfg", "(", "test", ")", "]", "mod"]));
    starts.map_or(usize::MAX, |window| window[0].line)
}

fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let part = |c: char| c.is_alphanumeric() || c == '_';
        !text[..at].ends_with(part) && !text[at + word.len()..].starts_with(part)
    })
}

/// A path from the root of a file system into a folder that is only somebody's.
fn machine_path(text: &str) -> Option<&str> {
    let ends = |c: char| !(c.is_alphanumeric() || "/._-".contains(c));
    text.match_indices('/').find_map(|(at, _)| {
        let before = text[..at].chars().next_back();
        let path = &text[at..];
        let path = &path[..path.find(ends).unwrap_or(path.len())];
        let (first, rest) = path[1..].split_once('/')?;
        let starts = before.is_none_or(|c| c.is_whitespace() || "\"'`(=:".contains(c));
        (starts && !rest.is_empty() && MACHINES.contains(&first)).then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_machine_paths_are_found() {
        let mark = UNFINISHED[0];
        let cases = [
            ("a.rs", format!("//! A.\n// {mark}: later"), Some(format!("a.rs:2: {mark}"))),
            ("a.rs", format!("//! {mark}S and A{mark}"), None),
            (
                "a.md",
                "see `/home/ann/x.md`".to_owned(),
                Some("a.md:1: /home/ann/x.md is a path of one machine".to_owned()),
            ),
            ("a.md", "see <https://a.b/home/ann>, docs/tmp/x and /proc/self".to_owned(), None),
            ("tests/a.rs", "//! A.\nlet x = \"/tests/tmp/x\";".to_owned(), None),
            ("a.rs", "//! A.\n#[cfg(test)]\nmod tests { const X: &str = \"/tmp/x\"; }".to_owned(), None),
            ("a.bin", mark.to_owned(), None),
        ];
        for (path, text, expected) in cases {
            assert_eq!(words(&Tree::of(&[(path, &text)])), Vec::from_iter(expected), "{path}: {text}");
        }
    }

    #[test]
    fn a_file_without_a_head_is_refused() {
        assert_eq!(heads(&Tree::of(&[("a.rs", "//! A.\n")])), Vec::<Fault>::new());
        assert_eq!(heads(&Tree::of(&[("a.rs", "use b;\n")])).len(), 1);
    }
}
