//! From what was typed to a model on disk, and from there to an engine.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base::{Error, Result};
use etcetera::{BaseStrategy, choose_base_strategy};
use tidemill::{Engine, MemoryPlan, Opened, Options, demo};

use crate::terminal::{self, BYTES, progress};

/// The name of the model that is taken when none is named.
pub const DEMO: &str = "demo";

/// The path of a model: a demo is unpacked into the user's cache folder when it is not there yet.
pub fn resolve(model: &str) -> Result<PathBuf> {
    if let Some(demo) = demo::named(model)
        && !Path::new(model).exists()
    {
        let folders =
            choose_base_strategy().map_err(|error| Error::input(format!("no home folder: {error}")))?;
        return demo.unpack(&folders.cache_dir().join("tidemill"));
    }
    let path = PathBuf::from(model);
    if path.exists() {
        return Ok(path);
    }
    let error = Error::input(format!(
        "{model}: no such file or folder; expected a GGUF file, a model folder, `demo` or `demo-qwen`"
    ));
    Err(error.hint("tidemill run demo"))
}

/// Whether this names a model rather than being a prompt.
pub fn is_model(typed: &str) -> bool {
    demo::named(typed).is_some() || Path::new(typed).exists()
}

/// Loads an opened model within its plan, with progress on a terminal.
pub fn load(opened: Opened, plan: MemoryPlan, options: &Options, quiet: bool) -> Result<Engine> {
    let bar = progress("loading", quiet, BYTES);
    let engine = Engine::load(opened, plan, options, &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let engine = engine?;
    if let (_, Some(reason)) = engine.io()
        && !quiet
    {
        terminal::note(&format!("note: {reason}"));
    }
    Ok(engine)
}

/// Opens, plans and loads in one go.
pub fn open(model: &str, options: &Options, quiet: bool) -> Result<Engine> {
    let opened = Opened::read(&resolve(model)?)?;
    let plan = opened.plan(options)?;
    load(opened, plan, options, quiet)
}

/// Lets Ctrl-C end what an engine is doing. A second one, before the first was heeded, ends the program.
pub fn interrupt(engine: &Engine) -> Result<Arc<AtomicBool>> {
    let flag = engine.cancel_flag();
    let heard = flag.clone();
    let set = ctrlc::set_handler(move || {
        if heard.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    });
    set.map_err(|error| Error::input(format!("Ctrl-C cannot be caught: {error}")))?;
    Ok(flag)
}
