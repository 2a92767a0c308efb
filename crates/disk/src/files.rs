//! The files of one model, opened for positioned reads.
//!
//! One handle a file, buffered or direct for the whole set. Size and time of the last change are recorded at opening: an
//! extent past the end is refused before the read, and bytes of a file that changed under us are refused after it. A
//! file that was replaced by another of its name is no such case: the handle keeps the one that was opened.

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use base::{ALIGNMENT, AlignedBuf, ByteSize, Context, Error, Extent, FileId, Kind, Result};

use crate::layout::{Part, Piece, Run, runs};
use crate::{Io, direct};

/// The opened files of one model, in the order of their [`FileId`]s.
#[derive(Debug)]
pub struct Files {
    files: Vec<OpenFile>,
    io: Io,
    io_note: Option<String>,
    /// Drives as the system numbers them.
    drives: Vec<u64>,
}

#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    file: File,
    len: u64,
    /// `None` where the system does not tell.
    changed: Option<SystemTime>,
    /// Index into [`Files::drives`].
    drive: usize,
}

/// Bytes of the page-aligned buffer through which [`Files::read_exact`] reads direct files.
const BOUNCE_BYTES: usize = 4 << 20;

impl Files {
    /// Opens `paths`; file i is `FileId(i)`.
    ///
    /// Where direct reads are wanted and one of the files does not take them, all are read buffered and
    /// [`Files::io_note`] says why. Fails with [`Kind::Input`] when a path is no readable file.
    pub fn open(paths: &[PathBuf], want: Io) -> Result<Self> {
        let mut opened = Self { files: Vec::new(), io: Io::Buffered, io_note: None, drives: Vec::new() };
        for path in paths {
            let file = OpenFile::open(path, &mut opened.drives)?;
            opened.files.push(file);
        }
        if want == Io::Direct {
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
        match self.io {
            Io::Buffered => self.read_run(&run, out)?,
            Io::Direct => self.read_through_bounce(&run, out)?,
        }
        self.file(extent.file)?.check_unchanged()
    }

    /// How many drives the files lie on, as far as the system tells.
    pub fn drives(&self) -> usize {
        self.drives.len()
    }

    /// The drive of a file, below [`Files::drives`]; the first for a file there is not.
    pub(crate) fn drive(&self, file: FileId) -> usize {
        self.file(file).map_or(0, |file| file.drive)
    }

    /// Tells the system not to read ahead: rows of a few kilobytes, anywhere in a file, are all that is wanted.
    pub fn expect_scattered_reads(&self) {
        self.files.iter().for_each(|file| direct::expect_scattered_reads(&file.file));
    }

    /// Gives up what the page cache holds of the files, as far as the system follows.
    pub fn forget_cached(&self) {
        self.files.iter().for_each(|file| direct::forget_cached(&file.file));
    }

    /// Whether the files are still those that were opened, byte for byte, as size and time of change tell.
    pub(crate) fn check_unchanged(&self, pieces: &[Piece]) -> Result<()> {
        let mut last = None;
        for FileId(id) in pieces.iter().map(|piece| piece.extent.file) {
            if last.replace(id) != Some(id) {
                self.file(FileId(id))?.check_unchanged()?;
            }
        }
        Ok(())
    }

    /// The reads that fill `pieces` in a buffer of `buffer_bytes`, of about `chunk_bytes` each. They share no byte of
    /// the buffer.
    pub(crate) fn parts(
        &self,
        pieces: &[Piece],
        buffer_bytes: usize,
        chunk_bytes: usize,
    ) -> Result<Vec<Part>> {
        for piece in pieces {
            self.run_of(piece)?;
        }
        let mut parts = Vec::new();
        for run in runs(pieces, buffer_bytes)? {
            for run in run.chunks(chunk_bytes) {
                parts.push(self.part(&run)?);
            }
        }
        Ok(parts)
    }

    /// A run as the system is asked for it: widened to whole pages when reads are direct.
    fn part(&self, run: &Run) -> Result<Part> {
        let asked = match self.io {
            Io::Buffered => Some(*run),
            Io::Direct => run.widened(),
        };
        let part = asked.and_then(|asked| {
            let (len, needed) = (asked.len()?, usize::try_from(run.end - asked.offset).ok()?);
            Some(Part { file: run.file, offset: asked.offset, at: asked.at, len, needed })
        });
        part.ok_or_else(|| err_room(run)).within(|| self.place(run.file))
    }

    /// The handle of a file, for a ring.
    #[cfg(target_os = "linux")]
    pub(crate) fn handle(&self, file: FileId) -> Result<&File> {
        self.file(file).map(|file| &file.file)
    }

    /// The granularity to which reads keep that are continued.
    pub(crate) fn step(&self) -> usize {
        match self.io {
            Io::Buffered => 1,
            Io::Direct => ALIGNMENT,
        }
    }

    /// Fills `target` as `part` says, on the calling thread.
    pub(crate) fn read_part(&self, part: &Part, target: &mut [u8]) -> Result<()> {
        let file = self.file(part.file)?;
        let filled = fill(&file.file, target, part.offset, part.needed, self.step());
        filled.map_err(|error| self.explain(part.file, error))
    }

    /// What to say of a read that failed: that the file changed, if it did.
    pub(crate) fn explain(&self, file: FileId, error: Error) -> Error {
        let Ok(file) = self.file(file) else { return error };
        file.check_unchanged().err().unwrap_or_else(|| error.within(file.path.display()))
    }

    fn place(&self, file: FileId) -> String {
        self.file(file).map_or_else(|error| error.to_string(), |file| file.path.display().to_string())
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

    /// One read to `buffer[run.at..]`, tried once more when the system fails it.
    fn read_run(&self, run: &Run, buffer: &mut [u8]) -> Result<()> {
        let part = self.part(run)?;
        let end = part.at.checked_add(part.len);
        let target = end.and_then(|end| buffer.get_mut(part.at..end));
        let target = target.ok_or_else(|| err_room(run)).within(|| self.place(run.file))?;
        match self.read_part(&part, target) {
            Err(error) if error.kind() == Kind::Io => self.read_part(&part, target),
            read => read,
        }
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
    fn open(path: &Path, drives: &mut Vec<u64>) -> Result<Self> {
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
        let (metadata, file) = opened.map_err(|error| err_open(path, &error))?;
        if !metadata.is_file() {
            return Err(Error::input("is not a file").within(path.display()));
        }
        let number = direct::drive(&metadata);
        let drive = drives.iter().position(|drive| *drive == number).unwrap_or_else(|| {
            drives.push(number);
            drives.len() - 1
        });
        let changed = changed(&metadata);
        Ok(Self { path: path.to_owned(), file, len: metadata.len(), changed, drive })
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

    /// [`Kind::Corrupt`] when the file was written to, or cut, since it was opened.
    fn check_unchanged(&self) -> Result<()> {
        let place = || self.path.display();
        let now =
            self.file.metadata().map_err(|error| Error::io("looking at the file", &error)).within(place)?;
        if now.len() != self.len {
            return Err(err_resized(self.len, now.len())).within(place);
        }
        if changed(&now) != self.changed { Err(err_rewritten()).within(place) } else { Ok(()) }
    }
}

/// When the file was last written to, where the system tells.
fn changed(metadata: &Metadata) -> Option<SystemTime> {
    metadata.modified().ok()
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

pub(crate) fn err_read(wanted: usize, offset: u64, error: &io::Error) -> Error {
    Error::io(format!("reading {wanted} bytes at offset {offset}"), error)
}

pub(crate) fn err_short(wanted: usize, offset: u64, got: usize) -> Error {
    Error::new(Kind::Io, format!("reading {wanted} bytes at offset {offset} gave only {got}"))
}

fn err_resized(opened: u64, now: u64) -> Error {
    let sizes = (ByteSize(opened), ByteSize(now));
    Error::corrupt(format!(
        "the file changed while in use: {opened} bytes ({}) when opened, {now} ({}) now",
        sizes.0, sizes.1
    ))
}

fn err_rewritten() -> Error {
    Error::corrupt("the file changed while in use: it was written to since it was opened")
}
