//! Tables in the documents that are held against the code, marked by a comment in the line above.

use std::collections::BTreeSet;

use super::Fault;
use super::tree::Tree;

/// The rows of the table behind `<!-- tidy: NAME -->`, without its heading.
pub fn marked(tree: &Tree, path: &str, name: &str) -> Result<Vec<Vec<String>>, Fault> {
    let text = tree.text(path).ok_or_else(|| format!("{path} is missing"))?;
    let mark = format!("<!-- tidy: {name} -->");
    let lines = text.lines().skip_while(|line| line.trim() != mark).skip(1);
    let table = lines.skip_while(|line| line.trim().is_empty()).take_while(|line| line.starts_with('|'));
    let rows: Vec<_> = table.skip(2).map(cells).collect();
    if rows.is_empty() { Err(format!("{path}: no table is marked {mark}")) } else { Ok(rows) }
}

fn cells(row: &str) -> Vec<String> {
    row.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// The names in a cell, separated by commas, with or without backticks; none for `-`.
pub fn names(cell: &str) -> Vec<&str> {
    let names = cell.split(',').map(|name| name.trim().trim_matches('`'));
    names.filter(|name| !name.is_empty() && *name != "-").collect()
}

/// Holds the first column of a table against what the code has.
pub fn compare(
    tree: &Tree,
    path: &str,
    name: &str,
    registered: impl IntoIterator<Item = String>,
) -> Vec<Fault> {
    let rows = match marked(tree, path, name) {
        Ok(rows) => rows,
        Err(fault) => return vec![fault],
    };
    let told: BTreeSet<String> =
        rows.iter().filter_map(|row| row.first()).flat_map(|cell| names(cell)).map(str::to_owned).collect();
    let registered: BTreeSet<String> = registered.into_iter().collect();
    let silent = registered.difference(&told).map(|one| format!("{path}: the table of {name} lacks {one}"));
    let idle = told
        .difference(&registered)
        .map(|one| format!("{path}: the code has no {one}, of the table of {name}"));
    silent.chain(idle).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_and_a_register_are_compared_both_ways() {
        let text = "x\n<!-- tidy: fruits -->\n\n| name | taste |\n|---|---|\n| `apple`, `pear` | good |\n| fig | - |\n\n| a |";
        let tree = Tree::of(&[("a.md", text)]);
        let compare =
            |code: &[&str]| compare(&tree, "a.md", "fruits", code.iter().map(|name| (*name).to_owned()));
        assert_eq!(compare(&["apple", "fig", "pear"]), Vec::<Fault>::new());
        let faults = compare(&["apple", "kiwi", "pear"]);
        assert_eq!(
            faults,
            ["a.md: the table of fruits lacks kiwi", "a.md: the code has no fig, of the table of fruits"]
        );
        assert_eq!(
            marked(&tree, "a.md", "nuts").unwrap_err(),
            "a.md: no table is marked <!-- tidy: nuts -->"
        );
    }
}
