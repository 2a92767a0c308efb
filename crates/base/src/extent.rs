//! Where bytes lie: a file of the opened set, an offset, a length.

/// A file of an opened model, by its place in the list of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

/// A run of bytes in one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Extent {
    /// Which file.
    pub file: FileId,
    /// First byte, from the start of the file.
    pub offset: u64,
    /// How many bytes.
    pub len: u64,
}

impl Extent {
    /// One past the last byte; `None` when that does not fit 64 bits.
    pub fn end(&self) -> Option<u64> {
        self.offset.checked_add(self.len)
    }
}
