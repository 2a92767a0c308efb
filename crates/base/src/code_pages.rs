//! Giving back the memory of code that ran once, and of constants that were used once.
//!
//! Parsing arguments, headers, tokenizer and template touches megabytes of machine code that generating never runs
//! again. The system counts those pages as ours until it runs short; given back, they are read again from the page
//! cache if they are needed after all.

use std::ops::Range;

/// Drops the resident pages of this program and its libraries that hold code and constants. Does nothing where the
/// system does not list them.
pub fn release_code_pages() {
    for mapping in clean_mappings() {
        release(mapping);
    }
}

/// Drops the resident pages that lie wholly inside a constant of this program. Does nothing for other memory.
pub fn release_constant(bytes: &'static [u8]) {
    let start = (bytes.as_ptr() as usize).next_multiple_of(PAGE);
    let end = (bytes.as_ptr() as usize + bytes.len()) / PAGE * PAGE;
    if start < end && clean_mappings().iter().any(|mapping| mapping.start <= start && end <= mapping.end) {
        release(start..end);
    }
}

/// No system this runs on has smaller pages, and multiples of the true size are all the call takes.
const PAGE: usize = 4096;

/// `range` must come from [`clean_mappings`], or lie within what does.
#[cfg(target_os = "linux")]
fn release(range: Range<usize>) {
    // SAFETY: the range is mapped from a file, cannot be written, and holds no page that ever was (`clean_mapping`), so
    // the system reads the same bytes again at the next touch. Were it no multiple of pages, the call would fail and
    // change nothing.
    unsafe { libc::madvise(range.start as *mut libc::c_void, range.len(), libc::MADV_DONTNEED) };
}

#[cfg(not(target_os = "linux"))]
fn release(_: Range<usize>) {}

/// This process's read-only mappings of files that hold no page of its own; none where the system does not list them.
fn clean_mappings() -> Vec<Range<usize>> {
    let maps = if cfg!(target_os = "linux") {
        std::fs::read_to_string("/proc/self/smaps")
    } else {
        Ok(String::new())
    };
    let maps = maps.unwrap_or_default();
    let mut mappings = Vec::new();
    let mut lines = maps.lines().peekable();
    while let Some(head) = lines.next() {
        // A mapping's fields follow its head and begin with capitals; heads begin with an address.
        let mut own_pages = None;
        while let Some(field) =
            lines.next_if(|line| line.starts_with(|first: char| first.is_ascii_uppercase()))
        {
            if let Some(size) = field.strip_prefix("Anonymous:") {
                own_pages = Some(size.trim() != "0 kB");
            }
        }
        mappings.extend(clean_mapping(head).filter(|_| own_pages == Some(false)));
    }
    mappings
}

/// The range of a mapping's head, if it is of a file and cannot be written.
fn clean_mapping(head: &str) -> Option<Range<usize>> {
    let mut fields = head.split_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let (permissions, path) = (fields.next()?, fields.nth(3)?);
    let range = usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?;
    let fixed = permissions == "r-xp" || permissions == "r--p";
    (fixed && path.starts_with('/') && range.start < range.end).then_some(range)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_mapped_from_files_and_cannot_be_written_is_given_back() {
        let cases = [
            ("55a0-55b0 r-xp 00001000 fe:00 123    /usr/bin/cat", Some(0x55a0..0x55b0)),
            ("55a0-55b0 r--p 00001000 fe:00 123    /usr/bin/cat", Some(0x55a0..0x55b0)),
            ("55a0-55b0 rw-p 00001000 fe:00 123    /usr/bin/cat", None),
            ("55a0-55b0 r--s 00001000 fe:00 123    /usr/bin/cat", None),
            ("55a0-55b0 rwxp 00001000 fe:00 123    /usr/bin/cat", None),
            ("55a0-55b0 r-xp 00000000 00:00 0      [vdso]", None),
            ("55a0-55b0 r-xp 00000000 00:00 0 ", None),
            ("nonsense", None),
        ];
        for (line, expected) in cases {
            assert_eq!(clean_mapping(line), expected, "{line}");
        }
    }

    #[test]
    fn code_still_runs_after_its_pages_are_gone() {
        for _ in 0..3 {
            release_code_pages();
            assert_eq!("b,a".split(',').rev().collect::<String>(), "ab");
        }
    }

    #[test]
    fn constants_and_other_memory_read_the_same_after_their_pages_are_gone() {
        static CONSTANT: [u8; 3 * PAGE] = [7; 3 * PAGE];
        release_constant(&CONSTANT);
        assert!(CONSTANT.iter().all(|byte| *byte == 7));
        let leaked: &'static [u8] = Box::leak(vec![9; 3 * PAGE].into_boxed_slice());
        release_constant(leaked);
        assert!(leaked.iter().all(|byte| *byte == 9));
    }
}
