//! Bypassing the page cache, and what else each system spells its own way.

use std::fs::{File, Metadata};
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

/// Opens `path` for reads that bypass the page cache.
#[cfg(windows)]
pub(crate) fn open(path: &Path) -> io::Result<File> {
    use std::os::windows::fs::OpenOptionsExt;
    const FILE_FLAG_NO_BUFFERING: u32 = 0x2000_0000;
    File::options().read(true).custom_flags(FILE_FLAG_NO_BUFFERING).open(path)
}

/// Refuses: this system's way past the page cache is not known here.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "macos", windows)))]
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

/// A number for the drive a file lies on.
#[cfg(unix)]
pub(crate) fn drive(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::dev(metadata)
}

/// A number for the drive a file lies on: not told here, so all count as one.
#[cfg(not(unix))]
pub(crate) fn drive(_: &Metadata) -> u64 {
    0
}

/// Tells the system not to read ahead in the file.
pub(crate) fn expect_scattered_reads(file: &File) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    advise(file, libc::POSIX_FADV_RANDOM);
    let _ = file;
}

/// Gives up what the page cache holds of the file.
pub(crate) fn forget_cached(file: &File) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    advise(file, libc::POSIX_FADV_DONTNEED);
    let _ = file;
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn advise(file: &File, advice: libc::c_int) {
    use std::os::fd::AsRawFd;
    // SAFETY: the descriptor is open for as long as `file` lives; the call touches no memory of ours. It is advice:
    // whether it was taken changes no byte.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, advice) };
}
