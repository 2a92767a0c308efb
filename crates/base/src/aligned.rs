//! Memory aligned for direct I/O. The crate's only `unsafe`.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use crate::{Error, Kind, Result};

/// Alignment of [`AlignedBuf`], and of offsets and lengths of direct reads: the largest block a drive asks for.
pub const ALIGNMENT: usize = 4096;

/// A zeroed, owned run of bytes that starts on an [`ALIGNMENT`] boundary.
#[derive(Debug)]
pub struct AlignedBuf {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the buffer owns its allocation exclusively; `&AlignedBuf` gives only shared byte access.
unsafe impl Send for AlignedBuf {}
// SAFETY: as above; there is no interior mutability.
unsafe impl Sync for AlignedBuf {}

impl AlignedBuf {
    /// `len` zero bytes. Fails, rather than aborting, when the system has no memory for them.
    pub fn zeroed(len: usize) -> Result<Self> {
        if len == 0 {
            return Ok(Self { start: NonNull::dangling(), len });
        }
        let layout = layout(len).ok_or_else(|| err_allocate(len))?;
        // SAFETY: `layout` has a non-zero size.
        let start = unsafe { alloc_zeroed(layout) };
        let start = NonNull::new(start).ok_or_else(|| err_allocate(len))?;
        Ok(Self { start, len })
    }
}

fn layout(len: usize) -> Option<Layout> {
    Layout::from_size_align(len, ALIGNMENT).ok()
}

fn err_allocate(len: usize) -> Error {
    Error::new(Kind::Io, format!("the system has no memory for a buffer of {len} bytes"))
}

impl Drop for AlignedBuf {
    fn drop(&mut self) {
        if let Some(layout) = layout(self.len).filter(|_| self.len > 0) {
            // SAFETY: `start` came from `alloc_zeroed` with this very layout, and is freed once.
            unsafe { dealloc(self.start.as_ptr(), layout) }
        }
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `start` is valid for `len` initialised bytes, or dangling with `len` 0.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and `&mut self` makes the access unique.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_aligned_zeroed_and_writable() {
        for len in [0, 1, 4096, 100_000] {
            let mut buffer = AlignedBuf::zeroed(len).unwrap();
            assert!(buffer.iter().all(|b| *b == 0));
            assert!(len == 0 || (buffer.as_ptr() as usize).is_multiple_of(ALIGNMENT));
            buffer.fill(7);
            assert_eq!(buffer.len(), len);
        }
    }

    #[test]
    fn an_impossible_length_is_an_error() {
        assert!(AlignedBuf::zeroed(usize::MAX).is_err());
    }
}
