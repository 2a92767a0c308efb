//! How a disk reads, as its caller or a probe chose, and the disk that reads so.

use std::sync::Arc;

use base::{Kind, Result};

use crate::{Disk, Files, Io, ThreadedDisk};

/// Who hands reads to the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Positioned reads, a thread for each that is in flight.
    Threads,
    /// io_uring, a thread for each drive. Linux only.
    Ring,
}

impl Way {
    /// Every way there is.
    pub const ALL: &[Way] = &[Way::Threads, Way::Ring];

    /// `threads` or `uring`.
    pub fn name(self) -> &'static str {
        match self {
            Way::Threads => "threads",
            Way::Ring => "uring",
        }
    }
}

/// How a disk reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Past the page cache or through it.
    pub io: Io,
    /// Who hands reads to the system.
    pub way: Way,
    /// Reads in flight at each drive.
    pub depth: usize,
    /// Longer reads are cut in chunks of about this size.
    pub chunk_bytes: usize,
}

impl Setting {
    /// What reads well on any drive measured so far: 4 to 32 reads in flight of 1 to 25 MB saturate NVMe drives.
    pub fn usual(io: Io) -> Self {
        Self { io, way: Way::Threads, depth: 8, chunk_bytes: 4 << 20 }
    }
}

/// A disk that reads `files` as the setting says, `io` apart, which the files have decided. Where the kernel refuses
/// rings, threads read, and the sentence beside the disk says why.
pub fn start(files: Arc<Files>, setting: &Setting) -> Result<(Arc<dyn Disk>, Option<String>)> {
    let Setting { way, depth, chunk_bytes, .. } = *setting;
    let note = match way {
        Way::Threads => None,
        Way::Ring => match ring(files.clone(), depth, chunk_bytes) {
            Ok(disk) => return Ok((disk, None)),
            Err(error) if error.kind() == Kind::Unsupported => Some(format!("{error}, so threads read")),
            Err(error) => return Err(error),
        },
    };
    Ok((Arc::new(ThreadedDisk::new(files, depth, chunk_bytes)?), note))
}

#[cfg(target_os = "linux")]
fn ring(files: Arc<Files>, depth: usize, chunk_bytes: usize) -> Result<Arc<dyn Disk>> {
    Ok(Arc::new(crate::RingDisk::new(files, depth, chunk_bytes)?))
}

#[cfg(not(target_os = "linux"))]
fn ring(_: Arc<Files>, _: usize, _: usize) -> Result<Arc<dyn Disk>> {
    Err(base::Error::unsupported("this system has no io_uring"))
}
