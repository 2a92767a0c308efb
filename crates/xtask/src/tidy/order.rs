//! Reading order inside a crate: a module imports only modules that its parent lists above it.
//!
//! A parent may use what is inside it, and a child what its parents define. A name that a parent passes on
//! (`pub use`) counts as an import of where it comes from. Tests may import anything.

use std::collections::{BTreeMap, BTreeSet};

use super::Fault;
use super::rust::{Import, Token, follows, imports, tokens, without_tests};
use super::tree::Tree;

/// Exceptions: a list that may only shrink.
const RATCHET: &str = "crates/xtask/module-order.txt";

/// A module, from the crate's name downwards.
type Path = Vec<String>;

/// The modules of one crate, and what each names.
#[derive(Default)]
struct House {
    /// Modules in the order their parent lists them.
    children: BTreeMap<Path, Vec<String>>,
    imports: BTreeMap<Path, Vec<Import>>,
}

/// Reading order in every crate, but for the listed exceptions.
pub fn check(tree: &Tree) -> Vec<Fault> {
    let listed: BTreeSet<&str> =
        tree.text(RATCHET).unwrap_or_default().lines().filter(|line| is_entry(line)).collect();
    let found = violations(tree);
    let fresh = found.iter().filter(|(entry, _)| !listed.contains(entry.as_str()));
    let mut faults: Vec<Fault> =
        fresh.map(|(entry, place)| format!("{place}: {entry}, which is listed below it")).collect();
    let healed = listed.iter().filter(|entry| !found.contains_key(**entry));
    faults.extend(healed.map(|entry| format!("{RATCHET}: `{entry}` holds no more; take the line out")));
    faults
}

fn is_entry(line: &str) -> bool {
    !line.is_empty() && !line.starts_with('#')
}

/// Imports against the order, each with a place where it is made.
fn violations(tree: &Tree) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for root in tree.files.iter().filter(|file| is_root(&file.path)) {
        let name = root.path.split('/').nth(1).unwrap_or_default();
        let mut house = House::default();
        let mut files = BTreeMap::new();
        house.read(tree, &root.path, vec![name.to_owned()], &mut files);
        for (module, imports) in &house.imports {
            for import in imports {
                let Some(target) = house.target(module, import) else { continue };
                if !house.allows(module, &target) {
                    let entry = format!("{} imports {}", module.join("::"), target.join("::"));
                    found.entry(entry).or_insert(format!("{}:{}", files[module], import.line));
                }
            }
        }
    }
    found
}

fn is_root(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(parts.as_slice(), ["crates", _, "src", "lib.rs" | "main.rs"])
}

impl House {
    /// Reads the module in `file` and all below it.
    fn read(&mut self, tree: &Tree, file: &str, module: Path, files: &mut BTreeMap<Path, String>) {
        let source = tokens(tree.text(file).unwrap_or_default());
        let source = without_tests(&source);
        let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
        let inside = match name {
            "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
            _ => file.trim_end_matches(".rs").to_owned(),
        };
        let children = declared(&source);
        for child in &children {
            let places = [format!("{inside}/{child}.rs"), format!("{inside}/{child}/mod.rs")];
            if let Some(place) = places.iter().find(|place| tree.text(place).is_some()) {
                let path = module.iter().chain([child]).cloned().collect();
                self.read(tree, place, path, files);
            }
        }
        self.imports.insert(module.clone(), imports(&source));
        self.children.insert(module.clone(), children);
        files.insert(module, file.to_owned());
    }

    fn has_child(&self, module: &Path, name: &str) -> bool {
        self.children.get(module).is_some_and(|children| children.iter().any(|child| child == name))
    }

    /// The module that an import leads to; `None` for another crate's.
    fn target(&self, module: &Path, import: &Import) -> Option<Path> {
        let whole = self.absolute(module, &import.path)?;
        Some(self.resolve(&whole, 0))
    }

    /// A path as written in `module`, from the crate downwards.
    fn absolute(&self, module: &Path, written: &[String]) -> Option<Path> {
        let first = written.first()?;
        let ups = written.iter().take_while(|word| *word == "super").count();
        let (start, rest) = match first.as_str() {
            "crate" => (&module[..1], &written[1..]),
            "self" => (&module[..], &written[1..]),
            "super" => (&module[..module.len().saturating_sub(ups).max(1)], &written[ups..]),
            child if self.has_child(module, child) => (&module[..], written),
            _ => return None,
        };
        Some(start.iter().chain(rest).cloned().collect())
    }

    /// Walks down a path as far as it names modules, through names that are passed on.
    fn resolve(&self, whole: &[String], passed: usize) -> Path {
        let mut at: Path = whole[..1].to_vec();
        for (depth, word) in whole.iter().enumerate().skip(1) {
            if self.has_child(&at, word) {
                at.push(word.clone());
                continue;
            }
            let mut known = self.imports.get(&at).into_iter().flatten();
            let from = known.find(|import| import.name.as_ref() == Some(word));
            return match from.and_then(|import| self.absolute(&at, &import.path)) {
                // A name that is passed on in a circle would not compile; the bound is for half-written code.
                Some(mut from) if passed < 8 => {
                    from.extend_from_slice(&whole[depth + 1..]);
                    self.resolve(&from, passed + 1)
                }
                _ => at,
            };
        }
        at
    }

    /// Whether `target` may be imported by `module`: it is above or below it in the tree, or listed before it.
    fn allows(&self, module: &Path, target: &Path) -> bool {
        let shared = module.iter().zip(target).take_while(|(a, b)| a == b).count();
        let (Some(own), Some(other)) = (module.get(shared), target.get(shared)) else { return true };
        let order = &self.children[&module[..shared]];
        let place = |name: &String| order.iter().position(|child| child == name);
        place(other) < place(own)
    }
}

/// The modules a file lists, in order.
fn declared(source: &[Token<'_>]) -> Vec<String> {
    let lists = source.windows(3).filter(|window| follows(window, &["mod"]) && window[2].text == ";");
    lists.map(|window| window[1].text.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn house(ratchet: &str, low: &str, high: &str) -> Vec<Fault> {
        check(&Tree::of(&[
            ("crates/a/src/lib.rs", "mod low; mod high; pub use high::inner::Deep; pub struct Top;"),
            ("crates/a/src/low.rs", low),
            ("crates/a/src/high/mod.rs", high),
            ("crates/a/src/high/inner.rs", "use super::Sibling; use std::fmt;"),
            (RATCHET, ratchet),
        ]))
    }

    #[test]
    fn a_module_imports_what_is_listed_above_it() {
        let downwards = "crates/a/src/low.rs:1: a::low imports a::high::inner, which is listed below it";
        let cases = [
            ("use crate::Top;", "mod inner; use crate::low::B; use inner::C; struct Sibling;", ""),
            ("use crate::high::inner::C;", "mod inner;", downwards),
            ("use crate::Deep;", "mod inner;", downwards),
            ("fn f() { crate::high::inner::g() }", "mod inner;", downwards),
            ("#[cfg(test)] mod tests { use crate::Deep; }", "mod inner;", ""),
            ("// use crate::Deep;", "mod inner;", ""),
        ];
        for (low, high, expected) in cases {
            assert_eq!(house("", low, high).join("; "), expected, "{low}");
        }
    }

    #[test]
    fn the_list_of_exceptions_only_shrinks() {
        let entry = "# why\na::low imports a::high::inner\n";
        assert_eq!(house(entry, "use crate::Deep;", "mod inner;"), Vec::<Fault>::new());
        let healed = house(entry, "", "mod inner;").join("; ");
        assert_eq!(
            healed,
            format!("{RATCHET}: `a::low imports a::high::inner` holds no more; take the line out")
        );
    }
}
