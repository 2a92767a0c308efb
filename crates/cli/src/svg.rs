//! Text in pictures: names come from files, and files may hold anything.

/// A name as XML may hold it.
pub fn escaped(name: &str) -> String {
    let letter = |letter: char| match letter {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        letter if letter.is_control() => "?".to_owned(),
        letter => letter.to_string(),
    };
    name.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_break_out_of_the_picture() {
        assert_eq!(escaped("a<b>&\n\u{1b}c"), "a&lt;b&gt;&amp;??c");
    }
}
