//! The crates, and who may import whom.
//!
//! The table in ARCHITECTURE.md is the law; the manifests are held against it, and it is held against itself.

use std::collections::{BTreeMap, BTreeSet};

use super::tables;
use super::tree::Tree;
use super::{Fault, rust};

/// What a manifest says.
pub struct Crate {
    pub name: String,
    /// `[dependencies]`, of this workspace or not.
    pub uses: BTreeSet<String>,
    /// `[dev-dependencies]`.
    pub uses_in_tests: BTreeSet<String>,
}

impl Crate {
    fn manifest(&self) -> String {
        format!("crates/{}/Cargo.toml", self.name)
    }
}

/// Every crate of the workspace.
pub fn all(tree: &Tree) -> Vec<Crate> {
    let manifests = tree.ending("/Cargo.toml").filter_map(|file| {
        let name = file.path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml")?;
        let manifest: toml::Table = file.text.parse().ok()?;
        let keys = |section: &str| {
            let table = manifest.get(section).and_then(toml::Value::as_table);
            table.into_iter().flat_map(|table| table.keys().cloned()).collect()
        };
        Some(Crate {
            name: name.to_owned(),
            uses: keys("dependencies"),
            uses_in_tests: keys("dev-dependencies"),
        })
    });
    manifests.collect()
}

/// Crates beside the house: they may import anything, and nothing in the house imports them but its tests.
pub const BESIDE: &[&str] = &["testkit", "xtask"];

/// The table, and the manifests against it.
pub fn imports(tree: &Tree) -> Vec<Fault> {
    let crates = all(tree);
    let table = match table(tree) {
        Ok(table) => table,
        Err(fault) => return vec![fault],
    };
    let known: BTreeSet<&str> = crates.iter().map(|one| one.name.as_str()).collect();
    let mut faults = Vec::new();
    for (name, imports) in &table {
        for stranger in imports.iter().chain([name]).filter(|name| !known.contains(name.as_str())) {
            faults.push(format!("ARCHITECTURE.md: the import table names {stranger}, which is no crate"));
        }
    }
    for one in &crates {
        let allowed = match table.get(&one.name) {
            _ if BESIDE.contains(&one.name.as_str()) => continue,
            Some(allowed) => allowed,
            None => {
                faults.push(format!("ARCHITECTURE.md: the import table has no row for {}", one.name));
                continue;
            }
        };
        for import in one.uses.iter().filter(|name| known.contains(name.as_str()) && !allowed.contains(*name))
        {
            faults.push(format!(
                "{}: {} may not import {import}; see ARCHITECTURE.md",
                one.manifest(),
                one.name
            ));
        }
    }
    faults.extend(
        cycle(&table).map(|circle| format!("ARCHITECTURE.md: the import table goes in a circle: {circle}")),
    );
    faults
}

/// A row may stand for several crates.
fn table(tree: &Tree) -> Result<BTreeMap<String, BTreeSet<String>>, Fault> {
    let mut table = BTreeMap::new();
    for row in tables::marked(tree, "ARCHITECTURE.md", "imports")? {
        let [crates, imports] = row.as_slice() else {
            return Err("ARCHITECTURE.md: a row of the import table has two columns".to_owned());
        };
        let names = |cell: &str| tables::names(cell).into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
        for name in names(crates) {
            table.insert(name, names(imports));
        }
    }
    Ok(table)
}

/// A circle, if there is one: takes away crates that import nothing which is left, until none does.
fn cycle(table: &BTreeMap<String, BTreeSet<String>>) -> Option<String> {
    let mut left = table.clone();
    loop {
        let bottom = left.iter().find(|(_, imports)| imports.iter().all(|name| !left.contains_key(name)));
        match bottom.map(|(name, _)| name.clone()) {
            Some(name) => left.remove(&name),
            None if left.is_empty() => return None,
            None => return Some(left.into_keys().collect::<Vec<_>>().join(", ")),
        };
    }
}

/// Dependencies that no source of their crate names.
pub fn unused(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for one in all(tree) {
        let folder = format!("crates/{}/", one.name);
        let sources = || tree.ending(".rs").filter(|file| file.path.starts_with(&folder));
        let named = |product: bool| -> BTreeSet<&str> {
            let sources = sources().filter(|file| !product || file.path[folder.len()..].starts_with("src/"));
            sources.flat_map(|file| named(&file.text)).collect()
        };
        for (uses, product) in [(&one.uses, true), (&one.uses_in_tests, false)] {
            let named = named(product);
            for name in uses.iter().filter(|name| !named.contains(name.replace('-', "_").as_str())) {
                faults.push(format!("{}: {name} is listed, but nothing uses it", one.manifest()));
            }
        }
    }
    faults
}

/// What a source may have from elsewhere: words before `::`, or alone behind `use`.
fn named(source: &str) -> Vec<&str> {
    let tokens = rust::tokens(source);
    let pairs = tokens.windows(2);
    let named = pairs.filter_map(|pair| match [pair[0].text, pair[1].text] {
        [name, "::"] | ["use", name] => Some(name),
        _ => None,
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn house(table: &str, manifest: &str) -> Vec<Fault> {
        let table = format!("<!-- tidy: imports -->\n| crate | may import |\n|---|---|\n{table}\n");
        let manifest = format!("[dependencies]\n{manifest}");
        imports(&Tree::of(&[
            ("ARCHITECTURE.md", &table),
            ("crates/a/Cargo.toml", ""),
            ("crates/b/Cargo.toml", &manifest),
        ]))
    }

    #[test]
    fn only_what_the_table_allows_is_imported() {
        let cases = [
            ("| a | - |\n| b | a |", "a = {}\nserde = {}", ""),
            ("| a | - |\n| b | - |", "a = {}", "b may not import a"),
            ("| a | - |", "", "no row for b"),
            ("| a, b | - |\n| c | a |", "", "names c, which is no crate"),
            ("| a | b |\n| b | a |", "", "circle: a, b"),
        ];
        for (table, manifest, expected) in cases {
            let faults = house(table, manifest).join("; ");
            assert!(
                faults.contains(expected) && faults.is_empty() == expected.is_empty(),
                "{table}: {faults}"
            );
        }
    }

    #[test]
    fn a_dependency_nobody_names_is_refused() {
        let manifest = "[dependencies]\nused-one = {}\nidle = {}\n[dev-dependencies]\nin-tests = {}";
        let tree = Tree::of(&[
            ("crates/a/Cargo.toml", manifest),
            ("crates/a/src/lib.rs", "use used_one::A; struct B { idle: C } // idle::D"),
            ("crates/a/tests/b.rs", "in_tests::c();"),
        ]);
        assert_eq!(unused(&tree), ["crates/a/Cargo.toml: idle is listed, but nothing uses it"]);
    }
}
