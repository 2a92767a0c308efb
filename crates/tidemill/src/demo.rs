//! The small trained models that ship inside every binary, both trained on stories and stored in Q8_0 in a GGUF file.
//!
//! They are unpacked once, so that their experts are read from a drive like those of any other model.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use base::{Error, Result};

/// A model inside the binary.
#[derive(Debug)]
pub struct Demo {
    /// What is typed.
    pub name: &'static str,
    /// What it is, for people.
    pub title: &'static str,
    model: &'static [u8],
}

/// All of them; the first is taken where none is named.
pub static ALL: &[Demo] = &[
    Demo {
        name: "demo",
        title: "DeepSeek-V3's architecture, 21.6 million weights, 64 experts a layer",
        model: include_bytes!("../demo/demo.gguf"),
    },
    Demo {
        name: "demo-qwen",
        title: "Qwen3.5-MoE's architecture, 17.8 million weights, 64 experts a layer",
        model: include_bytes!("../demo/demo-qwen.gguf"),
    },
];

/// Tells apart threads of this process that unpack at the same moment.
static ATTEMPTS: AtomicU64 = AtomicU64::new(0);

/// Bytes of the model that unpacking holds at once.
const CHUNK: usize = 1 << 20;

/// The demo of this name.
pub fn named(name: &str) -> Option<&'static Demo> {
    ALL.iter().find(|demo| demo.name == name)
}

/// Writes the first demo into `folder`, unless it is there already, and answers with its path.
pub fn unpack(folder: &Path) -> Result<PathBuf> {
    ALL[0].unpack(folder)
}

impl Demo {
    /// Writes the model into `folder`, unless it is there already, and answers with its path.
    ///
    /// The file appears whole or not at all: it is written under another name first, so that a crash, a full drive or a
    /// second process or thread at the same moment leaves no half of it.
    pub fn unpack(&self, folder: &Path) -> Result<PathBuf> {
        // The name of the unpacked file tells its content, so that another version of the model is another file.
        let name = format!("{}-{}.gguf", self.name, env!("CARGO_PKG_VERSION"));
        let path = folder.join(&name);
        let whole = |found: fs::Metadata| found.is_file() && found.len() == self.model.len() as u64;
        if fs::metadata(&path).is_ok_and(whole) {
            return Ok(path);
        }
        let failed = |error: std::io::Error| {
            Error::io(format!("unpacking the demo model to {}", path.display()), &error)
        };
        fs::create_dir_all(folder).map_err(failed)?;
        let attempt = ATTEMPTS.fetch_add(1, Ordering::Relaxed);
        let unfinished = folder.join(format!("{name}.{}-{attempt}", std::process::id()));
        let mut file = fs::File::create(&unfinished).map_err(failed)?;
        // Chunk by chunk, each given back once it is written: the model must not be in memory whole, not even now.
        let mut chunks = self.model.chunks(CHUNK);
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
}
