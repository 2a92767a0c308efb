//! House rules that no compiler holds, as one command and one test.
//!
//! `cargo run -p xtask -- tidy` prints every fault, and the longest functions and files; `cargo test` fails on a
//! fault. What is checked: the import table of ARCHITECTURE.md, reading order inside crates, dependencies nobody
//! uses, head paragraphs, sizes, words that have no place, links, the documents' tables, and what the code must not do.

mod tree;

mod rust;

mod tables;

mod absences;
mod crates;
mod links;
mod longest;
mod order;
mod registers;
mod words;

use std::path::Path;

use base::{Error, Result};

use tree::Tree;

/// What is wrong: where, and what was expected.
type Fault = String;

const CHECKS: &[fn(&Tree) -> Vec<Fault>] = &[
    crates::imports,
    crates::unused,
    order::check,
    absences::check,
    words::heads,
    words::words,
    words::sizes,
    links::check,
    registers::check,
];

/// Checks the repository this tool was built from, and tells what it found.
pub fn run(tell: &mut dyn FnMut(&str)) -> Result<()> {
    let tree = Tree::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))?;
    tell(&longest::report(&tree));
    let faults: Vec<Fault> = CHECKS.iter().flat_map(|check| check(&tree)).collect();
    faults.iter().for_each(|fault| tell(fault));
    match faults.len() {
        0 => Ok(()),
        count => Err(Error::input(format!("{count} faults in {} files; expected none", tree.files.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_is_tidy() {
        let mut told = String::new();
        let done = run(&mut |line| told = format!("{told}\n{line}"));
        assert!(done.is_ok(), "{told}");
    }
}
