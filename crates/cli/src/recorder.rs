//! Writes down which experts a run used, one JSON object a line.
//!
//! First a header that names the model, the experts of each layer, the policy and the shelves of the pool; then every
//! request in the order in which the pool settled it; last what the pool counted, for a replay to be held against.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::{Error, ExpertId, LayerId, Result};
use serde_json::{Value, json};
use tidemill::Engine;

/// A trace that is being written.
pub struct Recorder {
    path: PathBuf,
    lines: Arc<Mutex<Lines>>,
}

struct Lines {
    file: BufWriter<File>,
    /// What went wrong first; nothing is written after it.
    failure: Option<std::io::Error>,
}

impl Recorder {
    /// Writes the header, and every request of the engine from now on.
    pub fn start(path: &Path, model: &str, engine: &mut Engine, policy: &str) -> Result<Self> {
        let file = File::create(path).map_err(|error| err_write(path, &error))?;
        let lines = Arc::new(Mutex::new(Lines { file: BufWriter::new(file), failure: None }));
        let recorder = Self { path: path.to_owned(), lines };
        recorder.lines().write(&header(model, engine, policy));
        let lines = recorder.lines.clone();
        engine.watch(Some(Box::new(move |layer, experts| lock(&lines).write(&request(layer, experts)))));
        Ok(recorder)
    }

    /// Writes what the pool counted.
    pub fn finish(self, engine: &mut Engine) -> Result<()> {
        engine.watch(None);
        let stats = engine.pool_stats();
        let mut lines = self.lines();
        lines.write(&json!({
            "hits": stats.hits,
            "late_hits": stats.late_hits,
            "misses": stats.misses,
            "evictions": stats.evictions,
        }));
        let flushed = lines.file.flush();
        match lines.failure.take().map_or(flushed, Err) {
            Ok(()) => Ok(()),
            Err(error) => Err(err_write(&self.path, &error)),
        }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        lock(&self.lines)
    }
}

impl Lines {
    fn write(&mut self, line: &Value) {
        if self.failure.is_none() {
            self.failure = writeln!(self.file, "{line}").err();
        }
    }
}

fn lock(lines: &Mutex<Lines>) -> MutexGuard<'_, Lines> {
    // Nothing panics while the lock is held, so poisoned lines are still whole.
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

fn header(model: &str, engine: &Engine, policy: &str) -> Value {
    let layers = &engine.spec().layers;
    let experts: Vec<usize> = layers.iter().map(|layer| layer.moe().map_or(0, |moe| moe.experts)).collect();
    let shelves: Vec<Value> = engine
        .pool_shelves()
        .iter()
        .map(|shelf| {
            let layers: Vec<u32> = shelf.layers.iter().map(|layer| layer.0).collect();
            json!({ "slots": shelf.slots, "layers": layers })
        })
        .collect();
    json!({ "tidemill_trace": 1, "model": model, "experts": experts, "policy": policy, "shelves": shelves })
}

/// Numbers of tokens are left out where each expert has one.
fn request(layer: LayerId, experts: &[(ExpertId, u32)]) -> Value {
    let ids: Vec<u32> = experts.iter().map(|(expert, _)| expert.0).collect();
    if experts.iter().all(|(_, tokens)| *tokens == 1) {
        return json!({ "layer": layer.0, "experts": ids });
    }
    let tokens: Vec<u32> = experts.iter().map(|(_, tokens)| *tokens).collect();
    json!({ "layer": layer.0, "experts": ids, "tokens": tokens })
}

fn err_write(path: &Path, error: &std::io::Error) -> Error {
    Error::io(format!("writing {}", path.display()), error)
}
