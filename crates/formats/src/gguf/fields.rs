//! Reading the fields of a GGUF header one after the other, with every count held against the bytes that are left.

use std::io::{BufReader, Read};

use base::{Error, Quoted, Result};

use super::value::Strings;

/// The longest header that is read: five times what the largest vocabularies need, and three times 500,000 tensors.
/// What a header fills in memory is a small multiple of its bytes, so this bounds it for a file of any size.
const MAX_HEADER_BYTES: u64 = 128 << 20;

/// A header being read.
pub(super) struct Fields<R> {
    source: BufReader<R>,
    /// The next byte to read, from the start of the file.
    at: u64,
    /// One past the last byte that may belong to the header.
    end: u64,
    file_bytes: u64,
}

impl<R: Read> Fields<R> {
    /// Reads from the start of a file of `file_bytes` bytes.
    pub(super) fn new(source: R, file_bytes: u64) -> Self {
        let source = BufReader::with_capacity(64 << 10, source);
        Self { source, at: 0, end: file_bytes.min(MAX_HEADER_BYTES), file_bytes }
    }

    /// The next byte to read, from the start of the file.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The next `N` bytes.
    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.advance(N as u64)?;
        let mut bytes = [0; N];
        self.source.read_exact(&mut bytes).map_err(|error| err_read(&error))?;
        Ok(bytes)
    }

    /// A 32-bit number.
    pub(super) fn u32(&mut self) -> Result<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    /// A 64-bit number.
    pub(super) fn u64(&mut self) -> Result<u64> {
        self.bytes().map(u64::from_le_bytes)
    }

    /// A truth value: one byte, 0 or 1.
    pub(super) fn bool(&mut self) -> Result<bool> {
        match self.bytes()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(Error::corrupt(format!("byte {other} is no truth value, expected 0 or 1"))),
        }
    }

    /// A length and that many bytes of UTF-8.
    pub(super) fn string(&mut self) -> Result<String> {
        let len = self.u64()?;
        let len = self.claim(len, 1, "bytes of a string")? as u64;
        self.advance(len)?;
        let mut bytes = Vec::new(); // grows with what is really there
        let read =
            self.source.by_ref().take(len).read_to_end(&mut bytes).map_err(|error| err_read(&error))?;
        if read as u64 != len {
            return Err(Error::corrupt("the file ends inside a string"));
        }
        String::from_utf8(bytes).map_err(|error| err_utf8(error.as_bytes()))
    }

    /// `count` numbers of `N` bytes each.
    pub(super) fn numbers<T, const N: usize>(
        &mut self,
        count: usize,
        number: fn([u8; N]) -> T,
    ) -> Result<Vec<T>> {
        (0..count).map(|_| self.bytes().map(number)).collect()
    }

    /// `count` strings.
    pub(super) fn strings(&mut self, count: usize) -> Result<Strings> {
        let mut strings = Strings::default();
        for _ in 0..count {
            strings.push(&self.string()?);
        }
        Ok(strings)
    }

    /// Believes a count of `what` only if that many, of `least_bytes` each, can follow.
    pub(super) fn claim(&self, count: u64, least_bytes: u64, what: &str) -> Result<usize> {
        let fits = count.checked_mul(least_bytes).is_some_and(|bytes| bytes <= self.end - self.at);
        match usize::try_from(count) {
            Ok(count) if fits => Ok(count),
            _ => Err(err_claim(count, what, self.end - self.at)),
        }
    }

    fn advance(&mut self, bytes: u64) -> Result<()> {
        if bytes > self.end - self.at {
            return Err(self.err_end());
        }
        self.at += bytes;
        Ok(())
    }

    fn err_end(&self) -> Error {
        if self.end < self.file_bytes {
            return Error::corrupt(format!("the header is longer than {MAX_HEADER_BYTES} bytes"));
        }
        Error::corrupt(format!("the file ends at byte {}, in the middle of its header", self.file_bytes))
    }
}

fn err_claim(count: u64, what: &str, left: u64) -> Error {
    Error::corrupt(format!("claims {count} {what}, but only {left} bytes of header can follow"))
}

fn err_utf8(bytes: &[u8]) -> Error {
    Error::corrupt(format!("the string {} is not UTF-8", Quoted(&String::from_utf8_lossy(bytes))))
}

fn err_read(error: &std::io::Error) -> Error {
    Error::io("the header cannot be read", error)
}
