//! Memory aligned for direct I/O, given back to the system when it is dropped.

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
        let start = memory::take(len).ok_or_else(|| err_allocate(len))?;
        Ok(Self { start, len })
    }
}

/// Large buffers come from the system itself: an allocator may keep what is freed, and a pool that shrinks because
/// memory is short must give it back.
#[cfg(unix)]
mod memory {
    use std::ptr::NonNull;

    /// `len` zero bytes, more than none, on an [`ALIGNMENT`](super::ALIGNMENT) boundary: every system's pages are as large.
    pub fn take(len: usize) -> Option<NonNull<u8>> {
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping of nobody's memory, at a place the system chooses.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED { None } else { NonNull::new(start.cast()) }
    }

    /// # Safety
    /// `start` came from [`take`] with this very `len`, and is used no more.
    pub unsafe fn give_back(start: NonNull<u8>, len: usize) {
        // SAFETY: as promised by the caller.
        unsafe { libc::munmap(start.as_ptr().cast(), len) };
    }
}

/// Elsewhere the allocator decides.
#[cfg(not(unix))]
mod memory {
    use std::alloc::{Layout, alloc_zeroed, dealloc};
    use std::ptr::NonNull;

    /// `len` zero bytes, more than none, on an [`ALIGNMENT`](super::ALIGNMENT) boundary.
    pub fn take(len: usize) -> Option<NonNull<u8>> {
        let layout = Layout::from_size_align(len, super::ALIGNMENT).ok()?;
        // SAFETY: `layout` has a non-zero size.
        NonNull::new(unsafe { alloc_zeroed(layout) })
    }

    /// # Safety
    /// `start` came from [`take`] with this very `len`, and is used no more.
    pub unsafe fn give_back(start: NonNull<u8>, len: usize) {
        if let Ok(layout) = Layout::from_size_align(len, super::ALIGNMENT) {
            // SAFETY: as promised by the caller.
            unsafe { dealloc(start.as_ptr(), layout) }
        }
    }
}

fn err_allocate(len: usize) -> Error {
    Error::new(Kind::Io, format!("the system has no memory for a buffer of {len} bytes"))
}

impl Drop for AlignedBuf {
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: `start` came from `take` with this very length, and is given back once.
            unsafe { memory::give_back(self.start, self.len) }
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
