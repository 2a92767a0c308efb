//! What a caller chooses when opening a model.

use std::path::PathBuf;

use backend::{Activations, Isa, Kernels};
use base::{ByteSize, Error, Result};
use experts::Lookahead;
use kv::Precision;

use crate::machine;

/// How to open a model. Nothing here but `activations` and `kv` changes what the model answers, only how soon and in how
/// much memory.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes the whole process may use. `None` takes three quarters of what the cgroup or the machine has.
    pub memory: Option<ByteSize>,
    /// Tokens that all live sequences together may keep. `None` takes the model's own limit, at most 4,096.
    pub context: Option<usize>,
    /// Tokens of the longest prompt, by which memory for prompts is planned. `None` takes the whole context.
    pub prompt: Option<usize>,
    /// Threads that compute. `None` takes one per physical core.
    pub threads: Option<usize>,
    /// How activations meet quantized weights: in f32 as references compute, or, faster, in signed bytes.
    pub activations: Activations,
    /// The instruction set. `None` takes the best this processor has; all give the same bits.
    pub isa: Option<Isa>,
    /// How experts are read.
    pub io: IoMode,
    /// Who hands reads to the system. `None` leaves it to us.
    pub io_way: Option<disk::Way>,
    /// A file that remembers what probes of drives chose; made when there is none. `None` probes each time.
    pub probe_memo: Option<PathBuf>,
    /// How rows of the KV cache are stored.
    pub kv: Precision,
    /// Which expert makes room for another: a name of [`experts::policy::POLICIES`].
    pub expert_policy: String,
    /// Whether experts are read before their layer asks for them, when the drive has nothing else to do.
    pub lookahead: Lookahead,
    /// A file to write down in what happens when, in Chrome's trace format.
    pub trace_log: Option<PathBuf>,
    /// Tokens of prompts that one pass takes at most. Memory bounds them anyway.
    pub chunk: usize,
    /// The same of a pass in which other sequences generate, which wait for all of it.
    pub chunk_beside: usize,
    /// Sequences that may be live at once; so many times the model's own limit the context may be. Recurrent models have
    /// room for as many states, those of finished sequences that are not forgotten among them.
    pub sequences: usize,
    /// Bytes that the caller's own work takes beside the engine.
    pub beside: u64,
}

/// How experts are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IoMode {
    /// Through the page cache when the files fit the memory beside the budget; else as a probe of the drive finds best.
    #[default]
    Auto,
    /// Past the page cache, where the file system allows it.
    Direct,
    /// Through the page cache.
    Buffered,
}

/// Context taken when nobody asks for one.
pub(crate) const CONTEXT_DEFAULT: usize = 4096;

impl Default for Options {
    fn default() -> Self {
        Self {
            memory: None,
            context: None,
            prompt: None,
            threads: None,
            activations: Activations::Int8,
            isa: None,
            io: IoMode::Auto,
            io_way: None,
            probe_memo: None,
            kv: Precision::F16,
            expert_policy: experts::policy::POLICIES[0].name.to_owned(),
            lookahead: Lookahead::Auto,
            trace_log: None,
            chunk: usize::MAX,
            chunk_beside: 512,
            sequences: 1,
            beside: 0,
        }
    }
}

impl Options {
    /// Bytes the whole process may use: what was asked, or three quarters of what the cgroup or the machine has.
    pub fn budget(&self) -> Result<u64> {
        match (self.memory, machine::memory_limit()) {
            (Some(memory), _) => Ok(memory.0),
            (None, Some(limit)) => Ok(limit / 4 * 3),
            (None, None) => {
                let error = Error::input("this system does not tell how much memory it has");
                Err(error.hint("--memory 16GiB"))
            }
        }
    }

    /// The kernels of the chosen instruction set; fails when this processor lacks it.
    pub fn kernels(&self) -> Result<&'static Kernels> {
        let Some(isa) = self.isa else { return Ok(Kernels::detect()) };
        Kernels::for_isa(isa).ok_or_else(|| {
            let error =
                Error::input(format!("this processor does not have the instruction set {}", isa.name()));
            error.hint("tidemill doctor")
        })
    }
}
