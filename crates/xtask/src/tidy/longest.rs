//! The longest functions and files: printed, never refused. The tail is what to watch.

use super::tree::Tree;

const SHOWN: usize = 10;

/// The ten longest of each, with their lines.
pub fn report(tree: &Tree) -> String {
    let sources = || tree.ending(".rs");
    let files = sources().map(|file| (file.text.lines().count(), file.path.clone()));
    let functions = sources().flat_map(|file| {
        let path = &file.path;
        functions(&file.text).into_iter().map(move |(lines, name)| (lines, format!("{name} in {path}")))
    });
    table("longest functions", functions.collect()) + &table("longest files", files.collect())
}

fn table(title: &str, mut rows: Vec<(usize, String)>) -> String {
    rows.sort_by(|a, b| b.cmp(a));
    let rows = rows.into_iter().take(SHOWN).map(|(lines, what)| format!("{lines:>6}  {what}\n"));
    format!("{title}:\n{}", rows.collect::<String>())
}

/// Functions and their lines. Formatted code ends a function by a brace that stands as far in as it began.
fn functions(source: &str) -> Vec<(usize, String)> {
    let lines: Vec<&str> = source.lines().collect();
    let mut found = Vec::new();
    for (first, line) in lines.iter().enumerate() {
        let Some(name) = function(line) else { continue };
        let indent = line.len() - line.trim_start().len();
        let end = format!("{}}}", &line[..indent]);
        if let Some(len) = lines[first..].iter().position(|line| *line == end) {
            found.push((len + 1, name.to_owned()));
        }
    }
    found
}

/// The name of the function whose body begins on or after this line.
fn function(line: &str) -> Option<&str> {
    let (before, after) = line.trim_start().split_once("fn ").filter(|_| !line.ends_with([';', '}']))?;
    let words = ["pub", "const", "unsafe", "pub(crate)", "pub(super)"];
    let name = after.split(['(', '<']).next()?;
    before.split_whitespace().all(|word| words.contains(&word)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_measured_from_name_to_brace() {
        let source = "pub fn a(\n    x: u8,\n) {\n    b();\n}\n\nimpl C {\n    fn d<T>() {\n    }\n}\nfn e() {}\n// a fn f\n";
        assert_eq!(functions(source), [(5, "a".to_owned()), (2, "d".to_owned())]);
    }
}
