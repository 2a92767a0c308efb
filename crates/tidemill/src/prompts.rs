//! What was computed of prompts, kept on a drive: so that a conversation that returns after a restart is not read again.
//!
//! One file an entry: a head that says what it belongs to, the tokens, the attention state, and a checksum of all of it.
//! A file appears whole or not at all, for it is written under another name first; one that was damaged since is found
//! by its checksum and removed. Only the heads are kept in memory. The folder is shared by all models and settings; each
//! finds its own by name.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use base::{Error, Result, TokenId};
use kv::Beginnings;
use sha2::{Digest, Sha256};

/// Kept prompts of one model with one set of settings.
pub struct Prompts {
    folder: PathBuf,
    /// The most bytes that all files of the folder may hold.
    bytes_max: u64,
    /// Of the model and the settings.
    name: [u8; 32],
    entries: Vec<Entry>,
    /// Bytes of all files, whatever model they are of.
    bytes: u64,
    damaged: u64,
    next: u64,
}

/// One kept prompt.
struct Entry {
    path: PathBuf,
    tokens: Vec<TokenId>,
    beginnings: Beginnings,
}

/// An entry that is being written: its attention state goes in by [`Write`]. Dropped before it is complete, nothing is
/// left of it.
pub struct Writing {
    entry: Entry,
    part: PathBuf,
    /// Until it is complete.
    out: Option<Summed>,
}

/// An entry that is whole and on the drive.
pub struct Complete(Entry);

const MAGIC: [u8; 8] = *b"tidemlPR";
/// Raised whenever a file means something else.
const VERSION: u32 = 2;
const ENDING: &str = "prompt";
/// Ending of a file that is being written.
const UNFINISHED: &str = "part";
/// Ending of a note, and the most bytes of one.
const NOTE: &str = "heat";
const NOTE_MAX: u64 = 16 << 20;
/// More tokens than any context has.
const TOKENS_MAX: u64 = 1 << 24;
/// A beginning that saves less than this is not worth a file.
pub const PROMPT_MIN: usize = 64;
const CHECKSUM_BYTES: usize = 32;

impl Prompts {
    /// The prompts kept in `folder` for what `name` tells apart: model, precision, instruction of activations. What an
    /// interrupted run left unfinished is removed.
    pub fn open(folder: &Path, bytes_max: u64, name: &str) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|error| failed("making", folder, &error))?;
        let name: [u8; 32] = Sha256::digest(name).into();
        let mut prompts = Self {
            folder: folder.to_owned(),
            bytes_max,
            name,
            entries: Vec::new(),
            bytes: 0,
            damaged: 0,
            next: 0,
        };
        for path in prompts.files(UNFINISHED) {
            let _ = fs::remove_file(path);
        }
        for path in prompts.files(ENDING) {
            match read_head(&path, &prompts.name) {
                Ok(Some((tokens, beginnings))) => prompts.entries.push(Entry { path, tokens, beginnings }),
                Ok(None) => {}
                Err(_) => prompts.drop_damaged(&path),
            }
        }
        prompts.count();
        Ok(prompts)
    }

    /// The entry of whose beginning most can serve `tokens`, and how many tokens that are.
    pub fn likest(&self, tokens: &[TokenId]) -> Option<(usize, usize)> {
        let shared = |entry: &Entry| {
            let shared = entry.tokens.iter().zip(tokens).take_while(|(a, b)| a == b).count();
            entry.beginnings.usable(shared, entry.tokens.len())
        };
        let best = self.entries.iter().map(shared).enumerate().max_by_key(|(_, shared)| *shared);
        best.filter(|(_, shared)| *shared >= PROMPT_MIN)
    }

    /// The tokens of an entry.
    pub fn tokens(&self, entry: usize) -> &[TokenId] {
        &self.entries[entry].tokens
    }

    /// Hands the attention state of an entry to `restore`. A damaged entry is dropped, and the answer `None`; an error is
    /// that of `restore`.
    pub fn read<T>(
        &mut self,
        entry: usize,
        restore: impl FnOnce(&mut dyn Read) -> Result<T>,
    ) -> Result<Option<T>> {
        let path = self.entries[entry].path.clone();
        if verify(&path).is_err() {
            self.entries.remove(entry);
            self.drop_damaged(&path);
            return Ok(None);
        }
        let open = || -> io::Result<BufReader<File>> {
            let mut file = BufReader::new(File::open(&path)?);
            let skipped = head_bytes(&self.name, &self.entries[entry]).len() as u64;
            io::copy(&mut (&mut file).take(skipped), &mut io::sink())?;
            Ok(file)
        };
        let mut file = open().map_err(|error| failed("reading", &path, &error))?;
        // What was used last is given up last.
        let _ =
            File::options().append(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        restore(&mut file).map(Some)
    }

    /// How many of `tokens` would have to be computed again after a restart.
    pub fn unknown(&self, tokens: &[TokenId]) -> usize {
        tokens.len() - self.likest(tokens).map_or(0, |(_, shared)| shared)
    }

    /// Begins to keep `tokens` with an attention state of `bytes` bytes, of which one can go on from these `beginnings`:
    /// gives up what was used longest ago, as far as the bound asks for it. `None` for an entry beyond the bound.
    pub fn begin(
        &mut self,
        tokens: &[TokenId],
        beginnings: Beginnings,
        bytes: u64,
    ) -> Result<Option<Writing>> {
        self.next += 1;
        let stamp =
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_nanos());
        let stem = format!("{stamp:x}-{}-{}", std::process::id(), self.next);
        let (part, path) = (self.file(&stem, UNFINISHED), self.file(&stem, ENDING));
        let entry = Entry { path, tokens: tokens.to_owned(), beginnings };
        let head = head_bytes(&self.name, &entry);
        let bytes = bytes + (head.len() + CHECKSUM_BYTES) as u64;
        if bytes > self.bytes_max {
            return Ok(None);
        }
        self.make_room(self.bytes_max - bytes);
        let made = File::create(&part).and_then(|file| {
            // The length is the one to be: unfinished files count for the bound.
            file.set_len(bytes)?;
            let mut out = Summed { file: BufWriter::with_capacity(1 << 20, file), sum: Sha256::new() };
            out.write_all(&head).map(|()| out)
        });
        match made {
            Ok(out) => Ok(Some(Writing { entry, part, out: Some(out) })),
            Err(error) => {
                let _ = fs::remove_file(&part);
                Err(failed("writing", &part, &error))
            }
        }
    }

    /// Finds a complete entry from now on, in place of those that it extends.
    pub fn add(&mut self, complete: Complete) {
        let Complete(entry) = complete;
        let (extended, others): (Vec<Entry>, Vec<Entry>) = std::mem::take(&mut self.entries)
            .into_iter()
            .partition(|other| entry.tokens.starts_with(&other.tokens));
        extended.iter().for_each(|entry| drop(fs::remove_file(&entry.path)));
        self.entries = others;
        self.entries.push(entry);
        self.count();
    }

    /// Keeps a note beside the prompts, in place of the former one.
    pub fn note(&self, text: &str) -> Result<()> {
        let (part, path) = (self.file(&self.stem(), UNFINISHED), self.file(&self.stem(), NOTE));
        let written = fs::write(&part, text).and_then(|()| fs::rename(&part, &path));
        written.map_err(|error| failed("writing", &path, &error))
    }

    /// The note of a former run.
    pub fn noted(&self) -> Option<String> {
        let path = self.file(&self.stem(), NOTE);
        (fs::metadata(&path).ok()?.len() <= NOTE_MAX).then(|| fs::read_to_string(path).ok())?
    }

    fn stem(&self) -> String {
        self.name.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Bytes of all files in the folder, whatever model they are of.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn count(&mut self) {
        self.bytes = self.files(ENDING).iter().filter_map(|path| Some(fs::metadata(path).ok()?.len())).sum();
    }

    /// Entries that were damaged, and dropped.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Gives up what was used longest ago, of any model, until all others hold `bytes_max`.
    fn make_room(&mut self, bytes_max: u64) {
        let look = |path: PathBuf| {
            let data = fs::metadata(&path).ok()?;
            Some((data.modified().unwrap_or(SystemTime::UNIX_EPOCH), data.len(), path))
        };
        let mut files: Vec<_> = self.files(ENDING).into_iter().filter_map(look).collect();
        files.sort();
        let unfinished: u64 =
            self.files(UNFINISHED).into_iter().filter_map(look).map(|(_, bytes, _)| bytes).sum();
        let mut bytes: u64 = unfinished + files.iter().map(|(_, bytes, _)| bytes).sum::<u64>();
        for (_, length, path) in files {
            if bytes <= bytes_max {
                break;
            }
            let _ = fs::remove_file(&path);
            self.entries.retain(|entry| entry.path != path);
            bytes -= length;
        }
    }

    fn drop_damaged(&mut self, path: &Path) {
        self.damaged += 1;
        let _ = fs::remove_file(path);
        self.count();
    }

    fn file(&self, stem: &str, ending: &str) -> PathBuf {
        self.folder.join(format!("{stem}.{ending}"))
    }

    fn files(&self, ending: &str) -> Vec<PathBuf> {
        let found = fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|file| file.path());
        found.filter(|path| path.extension().is_some_and(|found| found == ending)).collect()
    }
}

impl Writing {
    /// Ends the file. It takes as long as the drive does to have all of it, and may be done on another thread.
    pub fn complete(mut self) -> Result<Complete> {
        let Some(Summed { mut file, sum }) = self.out.take() else { return Err(Error::cancelled()) };
        let path = self.entry.path.clone();
        let ended = file
            .write_all(sum.finalize().as_slice())
            .and_then(|()| file.flush())
            .and_then(|()| file.get_ref().sync_all())
            .and_then(|()| fs::rename(&self.part, &path));
        if let Err(error) = ended {
            let _ = fs::remove_file(&self.part);
            return Err(failed("writing", &path, &error));
        }
        let Entry { tokens, beginnings, .. } = &mut self.entry;
        Ok(Complete(Entry { path, tokens: std::mem::take(tokens), beginnings: *beginnings }))
    }
}

impl Write for Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.as_mut().map_or(Ok(0), |out| out.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if self.out.is_some() {
            let _ = fs::remove_file(&self.part);
        }
    }
}

/// How the head says that every beginning is of use.
const ANY: u64 = u64::MAX;

/// Everything before the attention state.
fn head_bytes(name: &[u8; 32], entry: &Entry) -> Vec<u8> {
    let mark = match entry.beginnings {
        Beginnings::Any => ANY,
        Beginnings::Marked(mark) => mark as u64,
    };
    let mut head = Vec::from(MAGIC);
    head.extend(VERSION.to_le_bytes());
    head.extend(name);
    head.extend(mark.to_le_bytes());
    head.extend((entry.tokens.len() as u64).to_le_bytes());
    head.extend(entry.tokens.iter().flat_map(|token| token.to_le_bytes()));
    head
}

/// The tokens of an entry, and where it can be gone on from; `None` when it is of another model.
fn read_head(path: &Path, name: &[u8; 32]) -> io::Result<Option<(Vec<TokenId>, Beginnings)>> {
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    let mut file = BufReader::new(File::open(path)?);
    let mut start = [0; MAGIC.len() + 4 + 32 + 8 + 8];
    file.read_exact(&mut start)?;
    let (magic, rest) = start.split_at(MAGIC.len());
    let (version, rest) = rest.split_at(4);
    let (found, rest) = rest.split_at(32);
    let (mark, count) = rest.split_at(8);
    if magic != MAGIC {
        return Err(bad());
    }
    if version != VERSION.to_le_bytes() || found != name {
        return Ok(None);
    }
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    let (mark, count) = (number(mark), number(count));
    let beginnings = if mark == ANY { Beginnings::Any } else { Beginnings::Marked(mark as usize) };
    if count > TOKENS_MAX || count * 4 > fs::metadata(path)?.len() {
        return Err(bad());
    }
    let mut bytes = vec![0; count as usize * 4];
    file.read_exact(&mut bytes)?;
    let tokens = bytes.as_chunks().0.iter().map(|bytes| TokenId::from_le_bytes(*bytes)).collect();
    Ok(Some((tokens, beginnings)))
}

/// Fails when a file does not end in the checksum of all before.
fn verify(path: &Path) -> io::Result<()> {
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    let file = File::open(path)?;
    let length = file.metadata()?.len().checked_sub(CHECKSUM_BYTES as u64).ok_or_else(bad)?;
    let mut file = BufReader::with_capacity(1 << 20, file);
    let mut sum = Sha256::new();
    let mut piece = vec![0; 1 << 20];
    let mut left = length;
    while left > 0 {
        let part = piece.len().min(left as usize);
        file.read_exact(&mut piece[..part])?;
        sum.update(&piece[..part]);
        left -= part as u64;
    }
    let mut expected = [0; CHECKSUM_BYTES];
    file.read_exact(&mut expected)?;
    if sum.finalize().as_slice() == expected { Ok(()) } else { Err(bad()) }
}

/// Sums what goes by.
struct Summed {
    file: BufWriter<File>,
    sum: Sha256,
}

impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.sum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn failed(doing: &str, path: &Path, error: &io::Error) -> Error {
    Error::io(format!("{doing} {}", path.display()), error)
}

#[cfg(test)]
mod tests;
