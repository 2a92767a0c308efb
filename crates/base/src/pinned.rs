//! Bytes that the system may not take out of memory.
//!
//! What every token reads costs dearly when it is paged out and in again, and looks like slow arithmetic: pinning made
//! up to 3.8 times of it. How much may be pinned is the system's to say (`ulimit -l`); what may not be stays as it is.

use std::ops::{Deref, Range};

/// An owned run of bytes, pinned as far as the system allowed when it was made.
#[derive(Debug, Default)]
pub struct Pinned {
    bytes: Vec<u8>,
    /// Its whole pages, if they are pinned; pages at its ends may hold other things as well.
    pages: Option<Range<usize>>,
}

/// Shorter runs are not worth a call.
const LEAST: usize = 64 << 10;
/// No system this runs on has smaller pages; where they are larger, the system rounds outwards.
const PAGE: usize = 4096;

impl Pinned {
    /// The bytes, not pinned.
    pub fn not(bytes: Vec<u8>) -> Self {
        Self { bytes, pages: None }
    }

    /// The bytes, pinned if they are many and the system allows it.
    pub fn new(bytes: Vec<u8>) -> Self {
        let start = bytes.as_ptr() as usize;
        let pages = start.next_multiple_of(PAGE)..(start + bytes.len()) / PAGE * PAGE;
        let pinned = bytes.len() >= LEAST && memory::pin(&pages);
        Self { bytes, pages: pinned.then_some(pages) }
    }

    /// How many bytes are pinned.
    pub fn pinned_bytes(&self) -> usize {
        self.pages.as_ref().map_or(0, Range::len)
    }
}

impl Deref for Pinned {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if let Some(pages) = &self.pages {
            memory::unpin(pages);
        }
    }
}

#[cfg(unix)]
mod memory {
    use std::ops::Range;

    /// Whether the pages are pinned now.
    pub fn pin(pages: &Range<usize>) -> bool {
        // SAFETY: the pages belong to a vector that its owner keeps; pinning changes no byte of them.
        unsafe { libc::mlock(pages.start as *const libc::c_void, pages.len()) == 0 }
    }

    pub fn unpin(pages: &Range<usize>) {
        // SAFETY: as above, and the vector is not given back before.
        unsafe { libc::munlock(pages.start as *const libc::c_void, pages.len()) };
    }
}

/// Elsewhere nothing is pinned.
#[cfg(not(unix))]
mod memory {
    use std::ops::Range;

    pub fn pin(_: &Range<usize>) -> bool {
        false
    }

    pub fn unpin(_: &Range<usize>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinned_bytes_are_the_bytes_and_no_more_than_they_are() {
        for len in [0, 1, LEAST - 1, LEAST, LEAST + 5000] {
            let bytes: Vec<u8> = (0..len).map(|at| at as u8).collect();
            let pinned = Pinned::new(bytes.clone());
            assert_eq!(*pinned, bytes[..]);
            assert!(pinned.pinned_bytes() <= len && (len >= LEAST || pinned.pinned_bytes() == 0));
            assert_eq!(Pinned::not(bytes).pinned_bytes(), 0);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_system_counts_what_is_pinned_and_what_no_longer_is() {
        let pinned = Pinned::new(vec![1; 1 << 20]);
        let locked = || {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find(|line| line.starts_with("VmLck:")).unwrap().to_owned();
            line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
        };
        // Where the limit allows none, there is none to count.
        assert!(locked() >= pinned.pinned_bytes());
        let before = locked();
        let bytes = pinned.pinned_bytes();
        drop(pinned);
        assert!(locked() + bytes <= before + (LEAST + 2 * PAGE)); // the other test's may come beside it
    }
}
