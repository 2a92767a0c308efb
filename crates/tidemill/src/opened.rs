//! A model whose headers were read and whose memory was planned, before any weight is loaded.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use base::{Context, Error, LayerId, Result, TokenId};
use experts::Lookahead;
use formats::Checkpoint;
use manifest::Manifest;
use text::{ChatTemplate, Tokenizer};

use crate::options::CONTEXT_DEFAULT;
use crate::plan::{Demand, MemoryPlan};
use crate::{Options, machine};

/// Bytes that generating one token must read, from memory or drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// All routed experts.
    pub experts_total: u64,
    /// Those one token uses.
    pub experts_per_token: u64,
    /// Weights every token uses; all of them resident.
    pub trunk_per_token: u64,
}

/// A model as its headers tell it: enough to plan, to inspect and to tokenize.
pub struct Opened {
    /// What the caller named.
    pub path: PathBuf,
    /// Metadata and the list of tensors.
    pub checkpoint: Checkpoint,
    /// What the model is, and where its weights lie.
    pub manifest: Arc<Manifest>,
}

impl Opened {
    /// Reads the headers of the model at `path`: a GGUF file (any shard), or a folder of safetensors.
    pub fn read(path: &Path) -> Result<Self> {
        Self::of(path, formats::open(path)?)
    }

    /// The same of headers that were read already, or of files that are yet to be made.
    pub fn of(path: &Path, checkpoint: Checkpoint) -> Result<Self> {
        let manifest = Arc::new(Manifest::new(&checkpoint)?);
        Ok(Self { path: path.to_owned(), checkpoint, manifest })
    }

    /// The model's tokenizer; an error when it has none that this engine reads.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        Tokenizer::from_checkpoint(&self.checkpoint)
    }

    /// The model's chat template, if it has one.
    pub fn chat_template(&self, tokenizer: &Tokenizer) -> Result<Option<ChatTemplate>> {
        ChatTemplate::from_checkpoint(&self.checkpoint, tokenizer)
    }

    /// Where what is resident and what is streamed lie, as the plan has it.
    pub fn planned(&self, plan: &MemoryPlan) -> Arc<Manifest> {
        if plan.streams_dense { Arc::new(self.manifest.with_dense_streamed()) } else { self.manifest.clone() }
    }

    /// Refuses tokens the model has no row for: its tokenizer may know more than it does.
    pub fn check_tokens(&self, tokens: &[TokenId]) -> Result<()> {
        let vocab = self.manifest.spec.vocab;
        let unknown = tokens.iter().find(|token| **token as usize >= vocab);
        unknown.map_or(Ok(()), |token| {
            let error = format!("token {token} is past the vocabulary, which has {vocab} tokens");
            Err(Error::input(error).within(self.path.display()))
        })
    }

    /// Tells this model, as its files and their dates say, from every other, and its settings from others that change what
    /// attention keeps.
    pub fn identity(&self, options: &Options) -> Result<String> {
        let mut identity = format!("{:?} {:?} {:?}", self.manifest.spec, options.kv, options.activations);
        for file in &self.manifest.files {
            let data = std::fs::metadata(file).map_err(|error| Error::io(file.display(), &error))?;
            let changed = data.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            let name = file.file_name().unwrap_or_default();
            identity += &format!(" {name:?} {} {:?}", data.len(), changed);
        }
        Ok(identity)
    }

    /// What generating one token must read, under this plan.
    pub fn traffic(&self, plan: &MemoryPlan) -> Traffic {
        let manifest = self.planned(plan);
        let spec = &manifest.spec;
        let layers = spec.layers.iter().enumerate().filter_map(|(index, layer)| {
            let experts = manifest.experts(LayerId(index as u32))?;
            Some(layer.moe().map_or(1, |moe| moe.router.top_k as u64) * experts.expert_bytes())
        });
        Traffic {
            experts_total: manifest.expert_bytes(),
            experts_per_token: layers.sum(),
            trunk_per_token: manifest.trunk_bytes(),
        }
    }

    /// Where the bytes of the budget will go. What the process holds by now counts, but for code that ran once, whose
    /// memory is given back.
    pub fn plan(&self, options: &Options) -> Result<MemoryPlan> {
        let demand = Demand::of(options, self.manifest.spec.context)?;
        MemoryPlan::new(&self.manifest, &demand).within(|| self.path.display().to_string())
    }
}

impl Demand {
    /// What `options` ask of memory, for a model that was made for `limit` tokens of context.
    pub fn of(options: &Options, limit: usize) -> Result<Self> {
        base::release_code_pages();
        let context = context(options, limit)?;
        let longest = context.min(limit);
        let prompt = options.prompt.map_or(longest, |prompt| prompt.clamp(1, longest));
        Ok(Self {
            budget: options.budget()?,
            context,
            prompt,
            chunk_max: options.chunk.min(prompt),
            chunk_beside: options.chunk_beside,
            threads: threads(options),
            precision: options.kv,
            sequences: options.sequences.max(1),
            lookahead: options.lookahead != Lookahead::Off,
            process: machine::resident_of_no_file().unwrap_or(0) + options.beside,
        })
    }
}

/// Tokens that live sequences may keep together: what was asked, or a default, within what the model was made for.
fn context(options: &Options, limit: usize) -> Result<usize> {
    let most = limit.saturating_mul(options.sequences.max(1));
    match options.context {
        None => Ok(limit.min(CONTEXT_DEFAULT)),
        Some(0) => Err(Error::input("a context of 0 tokens holds nothing")),
        Some(asked) if asked > most => {
            Err(Error::input(format!("a context of {asked} tokens; the model was made for {limit}"))
                .hint(format!("--context {most}")))
        }
        Some(asked) => Ok(asked),
    }
}

/// Threads that compute.
pub(crate) fn threads(options: &Options) -> usize {
    options.threads.unwrap_or_else(machine::cores).max(1)
}
