//! The spelling of bytes as printable characters that GPT-2 introduced and every byte-level vocabulary uses.
//!
//! Printable Latin-1 stands for itself; the other 68 bytes are U+0100 and up, in order. A space is `Ġ`.

/// The byte `letter` stands for, if it stands for one.
pub(crate) fn byte_of(letter: char) -> Option<u8> {
    match u32::from(letter) {
        code @ (0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff) => u8::try_from(code).ok(),
        code @ 0x100..=0x120 => u8::try_from(code - 0x100).ok(),
        code @ 0x121..=0x142 => u8::try_from(code - 0x121 + 0x7f).ok(),
        0x143 => Some(0xad),
        _ => None,
    }
}

/// The bytes `spelling` stands for; `None` when a character of it stands for no byte.
pub(crate) fn bytes_of(spelling: &str) -> Option<Vec<u8>> {
    spelling.chars().map(byte_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_exactly_one_letter() {
        let mut seen = [0; 256];
        for letter in '\0'..'\u{2000}' {
            if let Some(byte) = byte_of(letter) {
                seen[usize::from(byte)] += 1;
            }
        }
        assert_eq!(seen, [1; 256]);
    }

    #[test]
    fn spellings_are_those_of_gpt_2() {
        assert_eq!(bytes_of("Ġthe").unwrap(), b" the");
        assert_eq!(bytes_of("Ċ").unwrap(), b"\n");
        assert_eq!(bytes_of("Ŀŀ").unwrap(), [0x9d, 0x9e]);
        assert_eq!(bytes_of("Ń").unwrap(), [0xad]);
        assert_eq!(bytes_of("ġ").unwrap(), [0x7f]);
        assert_eq!(bytes_of("ł").unwrap(), [0xa0]);
        assert_eq!(bytes_of("é").unwrap(), [0xe9]);
        assert_eq!(bytes_of("▁a"), None);
    }
}
