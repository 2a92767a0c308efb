//! Short measurements of this machine: what memory and a drive deliver, so that speeds have a ceiling beside them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::{AlignedBuf, Error, Extent, FileId, LayerId, Result};
use disk::{Files, Io, Setting, Walk, measure};
use kernels::Threads;
use tidemill::{Opened, machine};

use crate::terminal::{BYTES, progress};

/// More than the last-level cache of any machine this runs on would be best; this is what fits next to a model.
pub const MEMORY_BYTES: usize = 256 << 20;
/// Threads take memory in this many parts.
const MEMORY_PARTS: usize = 64;
/// The best of this many passes counts: a neighbour can only slow one down.
const MEMORY_PASSES: usize = 5;
/// How long a drive is read.
const DRIVE_TIME: Duration = Duration::from_millis(400);
/// Models below this tell nothing about a drive.
const MODEL_MIN: u64 = 1 << 30;

/// Bytes a second that `threads` threads read from memory together.
pub fn memory(threads: usize) -> Result<u64> {
    let threads = Threads::new(threads)?;
    let part = memory_bytes(machine::memory_limit()) / MEMORY_PARTS;
    let mut buffer = AlignedBuf::zeroed(part * MEMORY_PARTS)?;
    buffer.fill(1);
    let mut best = Duration::MAX;
    for _ in 0..MEMORY_PASSES {
        let start = Instant::now();
        read(&threads, &buffer);
        best = best.min(start.elapsed());
    }
    Ok((buffer.len() as f64 / best.as_secs_f64()) as u64)
}

/// Reads every byte once, all threads together.
pub fn read(threads: &Threads, bytes: &[u8]) {
    let part = bytes.len().div_ceil(MEMORY_PARTS).next_multiple_of(256);
    let parts: Vec<&[u8]> = bytes.chunks(part).collect();
    threads.run(parts.len(), &|i| {
        std::hint::black_box(sum(parts[i]));
    });
}

/// How much memory is read: at most a quarter of what the machine or the cgroup has, in parts that [`sum`] takes whole.
fn memory_bytes(limit: Option<u64>) -> usize {
    const WHOLE: usize = 256 * MEMORY_PARTS;
    let quarter = limit.map_or(MEMORY_BYTES, |limit| usize::try_from(limit / 4).unwrap_or(MEMORY_BYTES));
    (quarter.min(MEMORY_BYTES) / WHOLE * WHOLE).max(WHOLE)
}

/// Thirty-two sums at once, so that additions do not wait for each other and loads set the pace.
fn sum(bytes: &[u8]) -> u64 {
    let mut sums = [0u64; 32];
    for block in bytes.as_chunks::<256>().0 {
        for (sum, word) in sums.iter_mut().zip(block.as_chunks::<8>().0) {
            *sum = sum.wrapping_add(u64::from_le_bytes(*word));
        }
    }
    sums.iter().fold(0, |all, sum| all.wrapping_add(*sum))
}

/// How a drive was read, and what it gave.
pub struct Drive {
    pub read_size: u64,
    pub depth: usize,
    pub bytes_per_second: u64,
    /// Whether the bytes came from a drive, by the kernel's count.
    pub proven: bool,
}

/// What the drive under an opened model gives for reads of its experts, past the page cache: the best of the usual
/// setting and of the one given, because a ceiling is what no setting exceeds. `None` when that would measure the page
/// cache instead, or the model is too small to tell.
pub fn model_drive(opened: &Opened, chosen: Option<Setting>) -> Result<Option<u64>> {
    let manifest = &opened.manifest;
    let layers = (0..manifest.spec.layers.len() as u32).filter_map(|layer| manifest.experts(LayerId(layer)));
    let records: Vec<Vec<Extent>> = layers
        .flat_map(|layer| (0..layer.count() as u32).map(|e| layer.extents(base::ExpertId(e)).to_vec()))
        .collect();
    if manifest.expert_bytes() < MODEL_MIN {
        return Ok(None);
    }
    let whole = whole_reads(Io::Direct, 8);
    let mut best = None;
    for setting in chosen.filter(|setting| setting.io == Io::Direct).into_iter().chain([whole]) {
        let files = Files::open(&manifest.files, Io::Direct)?;
        if files.io() != Io::Direct {
            return Ok(None);
        }
        best = best.max(Some(drive(files, &records, &setting)?.bytes_per_second));
    }
    Ok(best)
}

/// What the drive under a folder gives for reads of this size, from a file written there for the purpose. `None` when
/// that would measure the page cache instead.
pub fn folder_drive(folder: &Path, read_bytes: u64, quiet: bool) -> Result<Option<u64>> {
    let bar = progress("writing a file to read", quiet, BYTES);
    bar.set_length(SCRATCH_BYTES);
    let scratch = ScratchFile::create(folder, &mut |done| bar.set_position(done));
    bar.finish_and_clear();
    let scratch = scratch?;
    let files = Files::open(std::slice::from_ref(&scratch.path), Io::Direct)?;
    if files.io() != Io::Direct {
        return Ok(None);
    }
    let records = ScratchFile::records(read_bytes.clamp(1, SCRATCH_BYTES / 8));
    drive(files, &records, &whole_reads(Io::Direct, 8)).map(|drive| Some(drive.bytes_per_second))
}

/// Reads as long as records, so many in flight.
pub fn whole_reads(io: Io, depth: usize) -> Setting {
    Setting { depth, chunk_bytes: usize::MAX, ..Setting::usual(io) }
}

/// Reads records in shuffled order for a while, as many at once as the setting has reads in flight; fewer when they are
/// so large that they would take more memory than [`memory`] does.
pub fn drive(files: Files, records: &[Vec<Extent>], setting: &Setting) -> Result<Drive> {
    let read_size: u64 = records[0].iter().map(|extent| extent.len).sum();
    let fit = MEMORY_BYTES as u64 / read_size.max(1);
    let depth = setting.depth.min(usize::try_from(fit).unwrap_or(usize::MAX)).max(1);
    let (disk, _) = disk::start(Arc::new(files), setting)?;
    let measured = measure(disk.as_ref(), &mut Walk::new(records), depth, DRIVE_TIME)?;
    let bytes_per_second = measured.bytes_per_second();
    Ok(Drive { read_size, depth: setting.depth, bytes_per_second, proven: measured.is_proven() })
}

/// A file of its own to read, removed in the end.
pub struct ScratchFile {
    pub path: PathBuf,
}

/// Large enough to keep a drive busy for the time of one measurement, small enough to be written in seconds.
pub const SCRATCH_BYTES: u64 = 512 << 20;

impl ScratchFile {
    /// Writes it into `folder`, with content that no drive can compress away. A folder that takes no file is bad input.
    pub fn create(folder: &Path, progress: &mut dyn FnMut(u64)) -> Result<Self> {
        use std::io::Write;
        let path = folder.join(format!(".tidemill-doctor-{}", std::process::id()));
        let mut file = File::create(&path).map_err(|error| {
            Error::input(format!("{}: no file can be made here: {error}", folder.display()))
        })?;
        let failed = |error| Error::io(format!("{}: writing a file to read", folder.display()), &error);
        let scratch = Self { path: path.clone() };
        let (mut block, mut state) = (vec![0u8; 4 << 20], 1u64);
        for start in (0..SCRATCH_BYTES).step_by(block.len()) {
            for word in block.chunks_exact_mut(8) {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                word.copy_from_slice(&state.to_le_bytes());
            }
            file.write_all(&block).map_err(failed)?;
            progress(start + block.len() as u64);
        }
        file.sync_all().map_err(failed)?;
        Ok(scratch)
    }

    /// It, cut in records of `size` bytes.
    pub fn records(size: u64) -> Vec<Vec<Extent>> {
        (0..SCRATCH_BYTES / size)
            .map(|i| vec![Extent { file: FileId(0), offset: i * size, len: size }])
            .collect()
    }
}

impl Drop for ScratchFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use base::Kind;

    use super::*;

    #[test]
    fn a_quarter_of_a_small_machine_is_read() {
        let cases = [
            (None, MEMORY_BYTES),
            (Some(u64::MAX), MEMORY_BYTES),
            (Some(64 << 30), MEMORY_BYTES),
            (Some(256 << 20), 64 << 20),
            (Some((1 << 20) + 4), 1 << 18),
            (Some(0), 256 * MEMORY_PARTS),
        ];
        for (limit, expected) in cases {
            assert_eq!(memory_bytes(limit), expected, "{limit:?}");
        }
    }

    #[test]
    fn a_folder_that_takes_no_file_is_bad_input() {
        let error = ScratchFile::create(Path::new("/no/such/folder"), &mut |_| ()).err().unwrap();
        assert_eq!(error.kind(), Kind::Input);
        assert!(error.to_string().starts_with("/no/such/folder: "), "{error}");
    }
}
