//! Links in the documents: a relative one leads to a file, and to a heading if it names one.

use super::Fault;
use super::tree::Tree;

/// Every relative link of every document.
pub fn check(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in tree.ending(".md") {
        for (line, link) in links(&file.text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { file.path.clone() } else { joined(&file.path, path) };
            let missing = !tree.has(&target);
            let headless = || {
                !heading.is_empty()
                    && !headings(tree.text(&target).unwrap_or_default()).any(|one| one == heading)
            };
            if missing || headless() {
                faults.push(format!("{}:{line}: the link {link} leads nowhere", file.path));
            }
        }
    }
    faults
}

/// What stands in `](…)`, outside of code.
fn links(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    let prose = (1..).zip(text.lines()).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fence && !fenced
    });
    prose.flat_map(|(number, line)| {
        let links = line.match_indices("](").filter(|(at, _)| line[..*at].matches('`').count() % 2 == 0);
        links.filter_map(move |(at, _)| Some((number, line[at + 2..].split_once(')')?.0)))
    })
}

/// `path` as seen from the folder of `from`.
fn joined(from: &str, path: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The names by which headings are linked to.
fn headings(text: &str) -> impl Iterator<Item = String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_from_the_folder_of_their_document() {
        let cases = [
            ("[a](../A.md), [b](b.md#two-words), [c](https://x.y), [d](../docs)", true),
            ("[a](A.md)", false),
            ("[b](b.md#three)", false),
            ("```\n[a](A.md)\n```\n`[a](A.md)`", true),
        ];
        for (text, good) in cases {
            let tree = Tree::of(&[("A.md", ""), ("docs/a.md", text), ("docs/b.md", "# Two *words*\n")]);
            assert_eq!(check(&tree).is_empty(), good, "{text}: {:?}", check(&tree));
        }
    }
}
