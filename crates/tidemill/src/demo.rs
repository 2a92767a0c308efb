//! The small trained model that ships inside every binary.
//!
//! DeepSeek-V3's architecture with 21.6 million weights, 64 experts a layer, trained on stories; Q8_0 in a GGUF file.
//! It is unpacked once, so that its experts are read from a drive like those of any other model.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use base::{Error, Result};

static MODEL: &[u8] = include_bytes!("../demo/demo.gguf");

/// The name of the unpacked file tells its content, so that another version of the model is another file.
const NAME: &str = concat!("demo-", env!("CARGO_PKG_VERSION"), ".gguf");

/// Tells apart threads of this process that unpack at the same moment.
static ATTEMPTS: AtomicU64 = AtomicU64::new(0);

/// Bytes of the model that unpacking holds at once.
const CHUNK: usize = 1 << 20;

/// Writes the demo model into `folder`, unless it is there already, and answers with its path.
///
/// The file appears whole or not at all: it is written under another name first, so that a crash, a full drive or a
/// second process or thread at the same moment leaves no half of it.
pub fn unpack(folder: &Path) -> Result<PathBuf> {
    let path = folder.join(NAME);
    if fs::metadata(&path).is_ok_and(|found| found.is_file() && found.len() == MODEL.len() as u64) {
        return Ok(path);
    }
    let failed =
        |error: std::io::Error| Error::io(format!("unpacking the demo model to {}", path.display()), &error);
    fs::create_dir_all(folder).map_err(failed)?;
    let attempt = ATTEMPTS.fetch_add(1, Ordering::Relaxed);
    let unfinished = folder.join(format!("{NAME}.{}-{attempt}", std::process::id()));
    let mut file = fs::File::create(&unfinished).map_err(failed)?;
    // Chunk by chunk, each given back once it is written: the model must not be in memory whole, not even now.
    let mut chunks = MODEL.chunks(CHUNK);
    let written = chunks.try_for_each(|chunk| {
        file.write_all(chunk)?;
        base::release_constant(chunk);
        Ok(())
    });
    let written = written.and_then(|()| file.sync_all()).and_then(|()| fs::rename(&unfinished, &path));
    written.map_err(|error| {
        let _ = fs::remove_file(&unfinished);
        failed(error)
    })?;
    Ok(path)
}
