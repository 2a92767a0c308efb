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
}

const MAGIC: [u8; 8] = *b"tidemlPR";
/// Raised whenever a file means something else.
const VERSION: u32 = 1;
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
                Ok(Some(tokens)) => prompts.entries.push(Entry { path, tokens }),
                Ok(None) => {}
                Err(_) => prompts.drop_damaged(&path),
            }
        }
        prompts.count();
        Ok(prompts)
    }

    /// The entry that shares most with `tokens`, and how many tokens that are.
    pub fn likest(&self, tokens: &[TokenId]) -> Option<(usize, usize)> {
        let shared = |entry: &Entry| entry.tokens.iter().zip(tokens).take_while(|(a, b)| a == b).count();
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
            let skipped = head_bytes(&self.name, &self.entries[entry].tokens).len() as u64;
            io::copy(&mut (&mut file).take(skipped), &mut io::sink())?;
            Ok(file)
        };
        let mut file = open().map_err(|error| failed("reading", &path, &error))?;
        // What was used last is given up last.
        let _ =
            File::options().append(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        restore(&mut file).map(Some)
    }

    /// Whether most of `tokens` would have to be computed again after a restart: whether keeping them is worth writing.
    pub fn lacks(&self, tokens: &[TokenId]) -> bool {
        let known = self.likest(tokens).map_or(0, |(_, shared)| shared);
        tokens.len() >= PROMPT_MIN && known < tokens.len() - tokens.len() / 8
    }

    /// Keeps `tokens` with the attention state that `save` writes, and gives up what the entry extends and what was used
    /// longest ago, as far as the bound asks for it. An entry of more than `bytes` beyond the bound is not made.
    pub fn keep(
        &mut self,
        tokens: &[TokenId],
        bytes: u64,
        save: impl FnOnce(&mut dyn Write) -> Result<()>,
    ) -> Result<()> {
        let head = head_bytes(&self.name, tokens);
        let bytes = bytes + (head.len() + CHECKSUM_BYTES) as u64;
        if bytes > self.bytes_max {
            return Ok(());
        }
        self.make_room(self.bytes_max - bytes);
        self.next += 1;
        let stamp =
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_nanos());
        let stem = format!("{stamp:x}-{}-{}", std::process::id(), self.next);
        let (part, path) = (self.file(&stem, UNFINISHED), self.file(&stem, ENDING));
        let written = write(&part, &head, save)
            .and_then(|()| fs::rename(&part, &path).map_err(|error| failed("naming", &path, &error)));
        if let Err(error) = written {
            let _ = fs::remove_file(&part);
            return Err(error);
        }
        let (extended, others): (Vec<Entry>, Vec<Entry>) = std::mem::take(&mut self.entries)
            .into_iter()
            .partition(|entry| tokens.starts_with(&entry.tokens));
        extended.iter().for_each(|entry| drop(fs::remove_file(&entry.path)));
        self.entries = others;
        self.entries.push(Entry { path, tokens: tokens.to_owned() });
        self.count();
        Ok(())
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
        let mut bytes: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
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

/// Everything before the attention state.
fn head_bytes(name: &[u8; 32], tokens: &[TokenId]) -> Vec<u8> {
    let mut head = Vec::from(MAGIC);
    head.extend(VERSION.to_le_bytes());
    head.extend(name);
    head.extend((tokens.len() as u64).to_le_bytes());
    head.extend(tokens.iter().flat_map(|token| token.to_le_bytes()));
    head
}

/// The tokens of an entry; `None` when it is of another model.
fn read_head(path: &Path, name: &[u8; 32]) -> io::Result<Option<Vec<TokenId>>> {
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    let mut file = BufReader::new(File::open(path)?);
    let mut start = [0; MAGIC.len() + 4 + 32 + 8];
    file.read_exact(&mut start)?;
    let (magic, rest) = start.split_at(MAGIC.len());
    let (version, rest) = rest.split_at(4);
    let (found, count) = rest.split_at(32);
    if magic != MAGIC {
        return Err(bad());
    }
    if version != VERSION.to_le_bytes() || found != name {
        return Ok(None);
    }
    let count = count.iter().rev().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    if count > TOKENS_MAX || count * 4 > fs::metadata(path)?.len() {
        return Err(bad());
    }
    let mut bytes = vec![0; count as usize * 4];
    file.read_exact(&mut bytes)?;
    Ok(Some(bytes.as_chunks().0.iter().map(|bytes| TokenId::from_le_bytes(*bytes)).collect()))
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

fn write(path: &Path, head: &[u8], save: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let file = File::create(path).map_err(|error| failed("writing", path, &error))?;
    let mut summed = Summed { file: BufWriter::with_capacity(1 << 20, file), sum: Sha256::new() };
    summed.write_all(head).map_err(|error| failed("writing", path, &error))?;
    save(&mut summed)?;
    let Summed { mut file, sum } = summed;
    let end = file.write_all(sum.finalize().as_slice()).and_then(|()| file.flush());
    end.and_then(|()| file.get_ref().sync_all()).map_err(|error| failed("writing", path, &error))
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
