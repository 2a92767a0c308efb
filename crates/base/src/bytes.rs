//! Byte sizes that parse and print.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// A number of bytes. Parses `8GiB`, `8GB`, `8G` (= GiB), `512M`, `1.5GiB`, `4096`; prints in binary units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// Unit names in lower case, longest first so that `gib` is not read as `b`.
const UNITS: &[(&str, u64)] = &[
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("k", 1 << 10),
    ("m", 1 << 20),
    ("g", 1 << 30),
    ("t", 1 << 40),
    ("b", 1),
];

impl FromStr for ByteSize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let lower = text.trim().to_ascii_lowercase();
        let (number, unit) = UNITS
            .iter()
            .find_map(|(name, unit)| lower.strip_suffix(name).map(|number| (number.trim(), *unit)))
            .unwrap_or((lower.as_str(), 1));
        let plain = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let value: f64 = number.parse().ok().filter(|_| plain).ok_or_else(|| err_size(text))?;
        let bytes = value * unit as f64;
        if bytes >= u64::MAX as f64 {
            return Err(err_size(text));
        }
        Ok(Self(bytes as u64))
    }
}

fn err_size(text: &str) -> Error {
    Error::input(format!("`{text}` is not a size; expected a number and a unit, as in 8GiB, 512MiB or 24G"))
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0 as f64;
        for (name, unit) in [("TiB", 1u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
            if self.0 >= unit {
                return write!(f, "{:.1} {name}", bytes / unit as f64);
            }
        }
        write!(f, "{} B", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_parse_as_people_type_them() {
        let cases = [
            ("8GiB", 8 << 30),
            ("8G", 8 << 30),
            ("8gb", 8_000_000_000),
            ("1.5 GiB", 3 << 29),
            ("512m", 512 << 20),
            ("100", 100),
            ("7b", 7),
        ];
        for (text, bytes) in cases {
            assert_eq!(text.parse::<ByteSize>().unwrap(), ByteSize(bytes), "{text}");
        }
        for text in ["", "GiB", "-1G", "1e9", "inf", "nan", "8 bytes", "99999999TiB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_print_in_binary_units() {
        assert_eq!(ByteSize(3 << 29).to_string(), "1.5 GiB");
        assert_eq!(ByteSize(12).to_string(), "12 B");
    }
}
