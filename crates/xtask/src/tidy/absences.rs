//! What the code does not do: the invariants of ARCHITECTURE.md that a search can hold.

use super::Fault;
use super::rust::{follows, tokens, without_tests};
use super::tree::Tree;

/// Words that may stand only in some places.
struct Absence {
    words: &'static [&'static str],
    what: &'static str,
    /// Beginnings of the paths where they may stand.
    allowed: &'static [&'static str],
}

/// Sources beside the product.
const TOOLS: &[&str] = &["crates/xtask/", "crates/testkit/"];

const ABSENCES: &[Absence] = &[
    Absence {
        words: &["unsafe"],
        what: "unsafe code",
        allowed: &[
            "crates/base/src/aligned.rs",
            "crates/base/src/code_pages.rs",
            "crates/base/src/pinned.rs",
            "crates/disk/src/direct.rs",
            "crates/disk/src/filling.rs",
            "crates/disk/src/ring.rs",
            "crates/kernels/src/",
        ],
    },
    Absence { words: &["async"], what: "asynchronous code", allowed: &["crates/server/"] },
    Absence { words: &["env", "::", "var"], what: "an environment variable", allowed: &[] },
    Absence { words: &["env", "::", "var_os"], what: "an environment variable", allowed: &[] },
    Absence { words: &["process", "::", "exit"], what: "an exit", allowed: &["crates/cli/src/"] },
    Absence {
        words: &["fs"],
        what: "access to files",
        allowed: &[
            "crates/base/src/code_pages.rs",
            "crates/disk/",
            "crates/formats/",
            "crates/text/",
            "crates/tidemill/",
            "crates/cli/",
        ],
    },
];

/// Each absence, in all that is compiled into the product.
pub fn check(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in tree.ending(".rs").filter(|file| is_product(&file.path)) {
        let source = tokens(&file.text);
        let source = without_tests(&source);
        for absence in ABSENCES.iter().filter(|absence| !begins_with(&file.path, absence.allowed)) {
            let found = (0..source.len()).filter(|at| follows(&source[*at..], absence.words));
            faults.extend(
                found.map(|at| {
                    format!("{}:{}: {} has no place here", file.path, source[at].line, absence.what)
                }),
            );
        }
        if is_library(&file.path) && !file.text.contains("#![forbid(unsafe_code)]") {
            faults.push(format!("{}: `#![forbid(unsafe_code)]` is missing", file.path));
        }
    }
    faults
}

fn is_product(path: &str) -> bool {
    path.starts_with("crates/")
        && path.contains("/src/")
        && !path.ends_with("tests.rs")
        && !begins_with(path, TOOLS)
}

/// The front page of a crate that has no unsafe code.
fn is_library(path: &str) -> bool {
    let unsafe_crates = ["crates/base/", "crates/disk/", "crates/kernels/"];
    (path.ends_with("/src/lib.rs") || path.ends_with("/src/main.rs")) && !begins_with(path, &unsafe_crates)
}

fn begins_with(path: &str, beginnings: &[&str]) -> bool {
    beginnings.iter().any(|beginning| path.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_absence_is_noticed_where_it_does_not_hold() {
        let cases = [
            ("crates/kv/src/a.rs", "unsafe { x() }", 1),
            ("crates/kv/src/a.rs", "// unsafe\n#[cfg(test)] mod tests { use std::fs; }", 0),
            ("crates/kernels/src/a.rs", "unsafe { x() }", 0),
            ("crates/model/src/a.rs", "use std::fs::File; std::env::var(\"A\")", 2),
            ("crates/cli/src/a.rs", "std::process::exit(1); async fn f() {}", 1),
            ("crates/xtask/src/a.rs", "std::process::exit(1)", 0),
            ("crates/kv/src/lib.rs", "", 1),
            ("crates/kv/src/lib.rs", "#![forbid(unsafe_code)]", 0),
        ];
        for (path, text, count) in cases {
            assert_eq!(check(&Tree::of(&[(path, text)])).len(), count, "{path}: {text}");
        }
    }
}
