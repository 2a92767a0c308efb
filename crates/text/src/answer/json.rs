//! JSON checked letter by letter, as it is written.
//!
//! One leniency, because models do it: a line break or tab inside a string, which JSON wants escaped, is passed on escaped.

/// How deep arguments may be nested.
const MAX_DEPTH: usize = 128;

/// Where a JSON object stands that is being written.
#[derive(Debug)]
pub(super) struct JsonScan {
    stack: Vec<Level>,
    at: At,
}

/// What a letter did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The object goes on.
    Within,
    /// This letter ended it.
    Whole,
    /// This letter cannot stand here.
    Broken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Object,
    Array,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Start,
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    Colon,
    /// After a value.
    Comma,
    Text {
        key: bool,
    },
    Escape {
        key: bool,
    },
    Hex {
        key: bool,
        left: u8,
    },
    Number(Number),
    Word(&'static str),
    Whole,
}

/// The parts of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Minus,
    Zero,
    Digits,
    Point,
    Fraction,
    Exponent,
    Sign,
    Power,
}

impl JsonScan {
    /// Before the first letter of an object.
    pub fn new() -> Self {
        Self { stack: Vec::new(), at: At::Start }
    }

    /// Takes the next letter and appends it to `out`, escaped if it has to be.
    pub fn push(&mut self, letter: char, out: &mut String) -> Step {
        match self.after(letter) {
            Some(at) => self.at = at,
            None => return Step::Broken,
        }
        match letter {
            '\n' if self.in_text() => out.push_str("\\n"),
            '\r' if self.in_text() => out.push_str("\\r"),
            '\t' if self.in_text() => out.push_str("\\t"),
            letter => out.push(letter),
        }
        if self.at == At::Whole { Step::Whole } else { Step::Within }
    }

    /// Whether the last letter belongs to a key of the object itself.
    pub fn in_key(&self) -> bool {
        let key =
            matches!(self.at, At::Text { key: true } | At::Escape { key: true } | At::Hex { key: true, .. });
        key && self.stack.len() == 1
    }

    /// Whether a value of the object itself has begun and goes on.
    pub fn in_value(&self) -> bool {
        let scalar = match self.at {
            At::Text { key } | At::Escape { key } | At::Hex { key, .. } => !key,
            At::Number(_) | At::Word(_) => true,
            _ => false,
        };
        self.stack.len() > 1 || scalar
    }

    /// Whether a value of the object itself is a number that goes on: what ends it is no part of it.
    pub fn in_number(&self) -> bool {
        matches!(self.at, At::Number(_)) && self.stack.len() == 1
    }

    fn in_text(&self) -> bool {
        matches!(self.at, At::Text { .. })
    }

    fn after(&mut self, letter: char) -> Option<At> {
        let space = matches!(letter, ' ' | '\n' | '\r' | '\t');
        match self.at {
            At::Text { key } => Some(match letter {
                '"' if key => At::Colon,
                '"' => At::Comma,
                '\\' => At::Escape { key },
                '\n' | '\r' | '\t' => At::Text { key },
                letter if letter < ' ' => return None,
                _ => At::Text { key },
            }),
            At::Escape { key } => match letter {
                '"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't' => Some(At::Text { key }),
                'u' => Some(At::Hex { key, left: 4 }),
                _ => None,
            },
            At::Hex { key, left } if letter.is_ascii_hexdigit() => {
                Some(if left > 1 { At::Hex { key, left: left - 1 } } else { At::Text { key } })
            }
            At::Word(rest) => {
                let rest = rest.strip_prefix(letter)?;
                Some(if rest.is_empty() { At::Comma } else { At::Word(rest) })
            }
            At::Number(part) => match part.after(letter) {
                Some(part) => Some(At::Number(part)),
                None if !part.may_end() => None,
                None if space => Some(At::Comma),
                None => self.after_value(letter),
            },
            at if space && at != At::Whole => Some(at),
            At::Start => (letter == '{').then(|| self.open(Level::Object)).flatten(),
            At::Value => self.value(letter),
            At::ValueOrEnd if letter == ']' => Some(self.close()),
            At::ValueOrEnd => self.value(letter),
            At::KeyOrEnd if letter == '}' => Some(self.close()),
            At::Key | At::KeyOrEnd => (letter == '"').then_some(At::Text { key: true }),
            At::Colon => (letter == ':').then_some(At::Value),
            At::Comma => self.after_value(letter),
            At::Hex { .. } | At::Whole => None,
        }
    }

    fn value(&mut self, letter: char) -> Option<At> {
        Some(match letter {
            '{' => return self.open(Level::Object),
            '[' => return self.open(Level::Array),
            '"' => At::Text { key: false },
            't' => At::Word("rue"),
            'f' => At::Word("alse"),
            'n' => At::Word("ull"),
            '-' => At::Number(Number::Minus),
            '0' => At::Number(Number::Zero),
            '1'..='9' => At::Number(Number::Digits),
            _ => return None,
        })
    }

    fn after_value(&mut self, letter: char) -> Option<At> {
        match (letter, self.stack.last()?) {
            (',', Level::Object) => Some(At::Key),
            (',', Level::Array) => Some(At::Value),
            ('}', Level::Object) | (']', Level::Array) => Some(self.close()),
            _ => None,
        }
    }

    fn open(&mut self, level: Level) -> Option<At> {
        self.stack.push(level);
        let at = if level == Level::Object { At::KeyOrEnd } else { At::ValueOrEnd };
        (self.stack.len() <= MAX_DEPTH).then_some(at)
    }

    fn close(&mut self) -> At {
        self.stack.pop();
        if self.stack.is_empty() { At::Whole } else { At::Comma }
    }
}

impl Number {
    fn after(self, letter: char) -> Option<Self> {
        Some(match (self, letter) {
            (Self::Minus, '0') => Self::Zero,
            (Self::Minus, '1'..='9') | (Self::Digits, '0'..='9') => Self::Digits,
            (Self::Zero | Self::Digits, '.') => Self::Point,
            (Self::Point | Self::Fraction, '0'..='9') => Self::Fraction,
            (Self::Zero | Self::Digits | Self::Fraction, 'e' | 'E') => Self::Exponent,
            (Self::Exponent, '+' | '-') => Self::Sign,
            (Self::Exponent | Self::Sign | Self::Power, '0'..='9') => Self::Power,
            _ => return None,
        })
    }

    fn may_end(self) -> bool {
        matches!(self, Self::Zero | Self::Digits | Self::Fraction | Self::Power)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What of `text` is taken, and how it ended.
    fn scan(text: &str) -> (String, Step) {
        let (mut scan, mut out) = (JsonScan::new(), String::new());
        for letter in text.chars() {
            match scan.push(letter, &mut out) {
                Step::Within => {}
                end => return (out, end),
            }
        }
        (out, Step::Within)
    }

    #[test]
    fn what_json_allows_is_taken_and_nothing_else() {
        for (text, expected) in [
            (r#"{}"#, Step::Whole),
            (r#" { "a" : [ 1 , -0.5e+7, {"b": null}, [] , "é\"\u00e9" ] , "c":true}"#, Step::Whole),
            (r#"{"a": 1"#, Step::Within),
            ("{\"a\": \"two\nlines\"}", Step::Whole),
            (r#"[1]"#, Step::Broken),
            (r#"{"a" 1}"#, Step::Broken),
            (r#"{"a": 01}"#, Step::Broken),
            (r#"{"a": 1.}"#, Step::Broken),
            (r#"{"a": tru}"#, Step::Broken),
            (r#"{"a": 1,}"#, Step::Broken),
            (r#"{"a": [1}"#, Step::Broken),
            (r#"{"a": "\x"}"#, Step::Broken),
            (r#"{'a': 1}"#, Step::Broken),
            ("{\"a\": \"\u{1}\"}", Step::Broken),
        ] {
            let (out, found) = scan(text);
            assert_eq!(found, expected, "{text}");
            let valid = serde_json::from_str::<serde_json::Value>(&out).is_ok();
            assert_eq!(valid, expected == Step::Whole, "{text}");
        }
        let deep = format!("{{\"a\": {}", "[".repeat(1000));
        assert_eq!(scan(&deep).1, Step::Broken);
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_parser(text in r#"\{("[a\\"é]*"|[\[\]{}:,0-9eE.+\- tf]|true|null){0,12}\}"#) {
            let (out, found) = scan(&text);
            let whole = found == Step::Whole && out.len() == text.len();
            prop_assert_eq!(whole, serde_json::from_str::<serde_json::Value>(&text).is_ok());
        }
    }
}
