//! The files of one model, opened for positioned reads.
//!
//! One handle a file, buffered or direct for the whole set. Sizes are recorded at opening: an extent past the end is
//! refused before the read, and a read that fails says whether the file changed under us.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use base::{ALIGNMENT, AlignedBuf, ByteSize, Context, Error, Extent, FileId, Kind, Result};

use crate::layout::{Piece, Run, runs};
use crate::{Io, direct};

/// How the caller would like files to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoChoice {
    /// Direct when the files together are larger than `memory`, the bytes of memory that the page cache could use;
    /// else buffered. Sizes only: measuring the drive and choosing by that is a later step.
    Auto {
        /// Bytes of memory to compare with.
        memory: u64,
    },
    /// Past the page cache where the file system allows it.
    Direct,
    /// Through the page cache.
    Buffered,
}

/// The opened files of one model, in the order of their [`FileId`]s.
#[derive(Debug)]
pub struct Files {
    files: Vec<OpenFile>,
    io: Io,
    io_note: Option<String>,
}

#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    file: File,
    len: u64,
}

/// Bytes of the page-aligned buffer through which [`Files::read_exact`] reads direct files.
const BOUNCE_BYTES: usize = 4 << 20;

impl Files {
    /// Opens `paths`; file i is `FileId(i)`.
    ///
    /// Where direct reads are wanted and one of the files does not take them, all are read buffered and
    /// [`Files::io_note`] says why. Fails with [`Kind::Input`] when a path is no readable file.
    pub fn open(paths: &[PathBuf], want: IoChoice) -> Result<Self> {
        let files = paths.iter().map(|path| OpenFile::open(path)).collect::<Result<Vec<_>>>()?;
        let total = files.iter().fold(0u64, |sum, file| sum.saturating_add(file.len));
        let mut opened = Self { files, io: Io::Buffered, io_note: None };
        let want_direct = match want {
            IoChoice::Auto { memory } => total > memory,
            IoChoice::Direct => true,
            IoChoice::Buffered => false,
        };
        if want_direct {
            opened.bypass_page_cache();
        }
        Ok(opened)
    }

    /// The way reads go.
    pub fn io(&self) -> Io {
        self.io
    }

    /// Why reads are buffered although direct ones were wanted; `None` when wish and fact agree.
    pub fn io_note(&self) -> Option<&str> {
        self.io_note.as_deref()
    }

    /// Where the file was opened.
    pub fn path(&self, file: FileId) -> Option<&Path> {
        self.file(file).ok().map(|file| file.path.as_path())
    }

    /// The file's bytes, as of its opening.
    pub fn len(&self, file: FileId) -> Option<u64> {
        self.file(file).ok().map(|file| file.len)
    }

    /// Bytes of all files together.
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.len))
    }

    /// Whether there are no files at all.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Fills `out` with the extent's bytes, on the calling thread; `out.len()` must equal `extent.len`. For what is
    /// read once, at start-up; direct files are read through a small aligned buffer.
    pub fn read_exact(&self, extent: Extent, out: &mut [u8]) -> Result<()> {
        assert_eq!(extent.len, out.len() as u64, "the extent and the output differ in length");
        let run = self.run_of(&Piece { extent, at: 0 })?;
        if self.io == Io::Buffered {
            return self.read_run(&run, out).map(drop);
        }
        self.read_through_bounce(&run, out)
    }

    /// Fills `buffer` as `pieces` say; answers with the bytes asked of the system.
    pub(crate) fn read_pieces(&self, pieces: &[Piece], buffer: &mut AlignedBuf) -> Result<u64> {
        for piece in pieces {
            self.run_of(piece)?;
        }
        let mut system_bytes = 0;
        for run in runs(pieces, buffer.len())? {
            system_bytes += self.read_run(&run, buffer)?;
        }
        Ok(system_bytes)
    }

    /// The read of one piece alone; its extent lies inside its file.
    fn run_of(&self, piece: &Piece) -> Result<Run> {
        let Extent { file, offset, len } = piece.extent;
        let opened = self.file(file)?;
        let end = piece.extent.end().filter(|end| *end <= opened.len);
        let end =
            end.ok_or_else(|| err_past_end(offset, len, opened.len)).within(|| opened.path.display())?;
        Ok(Run { file, offset, end, at: piece.at })
    }

    /// One read to `buffer[run.at..]`, widened to whole pages when reads are direct.
    fn read_run(&self, run: &Run, buffer: &mut [u8]) -> Result<u64> {
        let file = self.file(run.file)?;
        let (asked, step) = match self.io {
            Io::Buffered => (Some(*run), 1),
            Io::Direct => (run.widened(), ALIGNMENT),
        };
        let asked = asked.and_then(|asked| Some((asked, asked.at.checked_add(asked.len()?)?)));
        let target = asked.and_then(|(asked, end)| Some((asked, buffer.get_mut(asked.at..end)?)));
        let (asked, target) = target.ok_or_else(|| err_room(run)).within(|| file.path.display())?;
        let needed = (run.end - asked.offset) as usize; // <= target.len(), a usize
        file.fill(target, asked.offset, needed, step).within(|| file.path.display())?;
        Ok(target.len() as u64)
    }

    fn read_through_bounce(&self, run: &Run, out: &mut [u8]) -> Result<()> {
        let lead = (run.offset % ALIGNMENT as u64) as usize;
        let mut bounce =
            AlignedBuf::zeroed((lead + out.len()).next_multiple_of(ALIGNMENT).min(BOUNCE_BYTES))?;
        let mut offset = run.offset;
        let mut rest = out;
        while offset < run.end {
            let at = (offset % ALIGNMENT as u64) as usize;
            let len = rest.len().min(bounce.len() - at);
            let end = offset + len as u64;
            self.read_run(&Run { offset, end, at, ..*run }, &mut bounce)?;
            let (now, later) = rest.split_at_mut(len);
            now.copy_from_slice(&bounce[at..at + len]);
            (offset, rest) = (end, later);
        }
        Ok(())
    }

    /// Exchanges every handle for a direct one, or none and says why.
    fn bypass_page_cache(&mut self) {
        match self.files.iter().map(OpenFile::direct).collect::<Result<Vec<File>, String>>() {
            Ok(handles) => {
                for (file, handle) in self.files.iter_mut().zip(handles) {
                    file.file = handle;
                }
                self.io = Io::Direct;
            }
            Err(note) => self.io_note = Some(note),
        }
    }

    fn file(&self, file: FileId) -> Result<&OpenFile> {
        self.files.get(file.0 as usize).ok_or_else(|| err_no_file(file, self.files.len()))
    }
}

impl OpenFile {
    fn open(path: &Path) -> Result<Self> {
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
        let (metadata, file) = opened.map_err(|error| err_open(path, &error))?;
        if !metadata.is_file() {
            return Err(Error::input("is not a file").within(path.display()));
        }
        Ok(Self { path: path.to_owned(), file, len: metadata.len() })
    }

    /// A direct handle that has proven itself by reading the file's last page, the one that is rarely whole.
    fn direct(&self) -> Result<File, String> {
        let note = |error: &dyn std::fmt::Display| {
            format!("{}: direct reads are refused ({error}), so reads are buffered", self.path.display())
        };
        let file = direct::open(&self.path).map_err(|error| note(&error))?;
        if self.len > 0 {
            let mut page = AlignedBuf::zeroed(ALIGNMENT).map_err(|error| note(&error))?;
            let start = (self.len - 1) / ALIGNMENT as u64 * ALIGNMENT as u64;
            let needed = (self.len - start) as usize;
            fill(&file, &mut page, start, needed, ALIGNMENT).map_err(|error| note(&error))?;
        }
        Ok(file)
    }

    /// [`fill`], whose failure is told with the file's size when that explains it.
    fn fill(&self, target: &mut [u8], offset: u64, needed: usize, step: usize) -> Result<()> {
        fill(&self.file, target, offset, needed, step).map_err(|error| match self.file.metadata() {
            Ok(now) if now.len() != self.len => err_resized(self.len, now.len()),
            _ => error,
        })
    }
}

/// Reads from `offset` until the first `needed` bytes of `target` are filled. A read cut short is continued from the
/// last multiple of `step`, the granularity that direct reads keep to.
fn fill(file: &File, target: &mut [u8], offset: u64, needed: usize, step: usize) -> Result<()> {
    let mut filled = 0;
    loop {
        let got = match direct::read_at(file, &mut target[filled..], offset + filled as u64) {
            Ok(got) => filled + got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(err_read(needed, offset, &error)),
        };
        if got >= needed {
            return Ok(());
        }
        let next = got - got % step;
        if next == filled {
            return Err(err_short(needed, offset, got));
        }
        filled = next;
    }
}

fn err_open(path: &Path, error: &io::Error) -> Error {
    Error::input(format!("cannot be opened: {error}")).within(path.display())
}

fn err_no_file(file: FileId, count: usize) -> Error {
    Error::input(format!("file {} is not one of the {count} opened", file.0))
}

fn err_past_end(offset: u64, len: u64, file_len: u64) -> Error {
    Error::corrupt(format!(
        "{len} bytes at offset {offset} lie past the end of the file, which has {file_len}"
    ))
}

fn err_room(run: &Run) -> Error {
    Error::input(format!("the buffer has no room for bytes {} to {} at byte {}", run.offset, run.end, run.at))
}

fn err_read(wanted: usize, offset: u64, error: &io::Error) -> Error {
    Error::io(format!("reading {wanted} bytes at offset {offset}"), error)
}

fn err_short(wanted: usize, offset: u64, got: usize) -> Error {
    Error::new(Kind::Io, format!("reading {wanted} bytes at offset {offset} gave only {got}"))
}

fn err_resized(opened: u64, now: u64) -> Error {
    let sizes = (ByteSize(opened), ByteSize(now));
    Error::corrupt(format!(
        "the file changed while in use: {opened} bytes ({}) when opened, {now} ({}) now",
        sizes.0, sizes.1
    ))
}
