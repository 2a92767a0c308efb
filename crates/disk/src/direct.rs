//! Bypassing the page cache, as each system spells it. The crate's only `unsafe`.

use std::fs::File;
use std::io;
use std::path::Path;

/// Opens `path` for reads that bypass the page cache.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options().read(true).custom_flags(libc::O_DIRECT).open(path)
}

/// Opens `path` for reads that bypass the page cache.
#[cfg(target_os = "macos")]
pub(crate) fn open(path: &Path) -> io::Result<File> {
    use std::os::fd::AsRawFd;
    let file = File::open(path)?;
    // SAFETY: the descriptor is open for as long as `file` lives, and F_NOCACHE takes an int.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_NOCACHE, 1) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(file),
    }
}

/// Refuses: this system's way past the page cache is not known here.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "macos")))]
pub(crate) fn open(_: &Path) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Reads at `offset` without moving a cursor; may read less than `buffer` holds.
#[cfg(unix)]
pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

/// Reads at `offset`; may read less than `buffer` holds.
#[cfg(windows)]
pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}
