//! What the code registers is what the documents list, and the reverse.

use super::Fault;
use super::rust::{braces, tokens, without_tests};
use super::tables::compare;
use super::tree::Tree;

/// Weight formats, families, geometries, eviction policies and commands.
pub fn check(tree: &Tree) -> Vec<Fault> {
    let quants = quant::Quant::ALL.iter().map(|quant| quant.name().to_owned());
    let families = spec::families::ALL.iter().map(|family| family.name.to_owned());
    let geometries = geometry::ALL.iter().map(|geometry| geometry.name.to_owned());
    let policies = experts::policy::POLICIES.iter().map(|policy| policy.name.to_owned());
    let mut faults = compare(tree, "docs/formats.md", "quants", quants);
    faults.extend(compare(tree, "docs/families.md", "families", families));
    faults.extend(compare(tree, "docs/geometries.md", "geometries", geometries));
    faults.extend(compare(tree, "docs/memory.md", "policies", policies));
    faults.extend(compare(tree, "README.md", "commands", commands(tree)));
    faults
}

/// The variants of the command line's `enum Command`, as they are typed.
fn commands(tree: &Tree) -> Vec<String> {
    let source = tokens(tree.text("crates/cli/src/args.rs").unwrap_or_default());
    let source = without_tests(&source);
    let Some(start) = source.windows(2).position(|pair| pair[0].text == "enum" && pair[1].text == "Command")
    else {
        return Vec::new();
    };
    let body = &source[start + 2..];
    let variants = body[..braces(body)]
        .windows(2)
        .filter(|pair| pair[1].text == "(" && pair[0].text.starts_with(char::is_uppercase));
    variants.map(|pair| pair[0].text.to_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_from_the_enum() {
        let source = "/// x\npub enum Command { /// Run\n Run(RunArgs), #[command(flatten)] Chat(ChatArgs), } enum E { A(B) }";
        assert_eq!(commands(&Tree::of(&[("crates/cli/src/args.rs", source)])), ["run", "chat"]);
    }
}
