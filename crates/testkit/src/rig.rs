//! A decoder with a pool and a disk, taken apart enough for a test to choose each.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use backend::{Backend, Cpu};
use base::{Extent, Result, TokenId};
use disk::{Disk, Fault, Files, Io, MemoryDisk, ThreadedDisk};
use experts::policy::Policy;
use experts::{ExpertPool, Lookahead, needs};
use kv::{KvCache, Precision};
use manifest::Manifest;
use model::{Decoder, Entry, Guesser, Logits, ManifestCatalogue};

/// What a test varies. None of it may change an answer, but for the precision.
#[derive(Clone)]
pub struct RigOptions {
    /// Threads that compute.
    pub threads: usize,
    /// Bytes of the pool; `None` holds every expert.
    pub pool: Option<u64>,
    /// Name of the policy.
    pub policy: &'static str,
    /// Where experts come from.
    pub disk: DiskKind,
    /// Dense feed-forward networks are streamed as well.
    pub stream_dense: bool,
    /// Whether experts are read ahead, to slots beside the pool.
    pub lookahead: Lookahead,
    /// What to guess instead of what routers applied early say.
    pub guesser: Option<Guesser>,
    /// How rows of the KV cache are stored; this one may.
    pub precision: Precision,
}

/// Where experts come from.
#[derive(Clone)]
pub enum DiskKind {
    /// The files, by reader threads.
    Files(Io),
    /// The same bytes in memory, late and out of order, with faults at these reads.
    Shuffled(u64, Vec<(u64, Fault)>),
}

impl Default for RigOptions {
    fn default() -> Self {
        Self {
            threads: 2,
            pool: None,
            policy: "lfu",
            disk: DiskKind::Files(Io::Buffered),
            stream_dense: false,
            lookahead: Lookahead::Off,
            guesser: None,
            precision: Precision::F32,
        }
    }
}

/// An opened model, ready to run.
pub struct Rig {
    /// What was opened.
    pub manifest: Arc<Manifest>,
    /// The model.
    pub decoder: Decoder,
    /// Its experts.
    pub pool: ExpertPool,
    precision: Precision,
}

impl Rig {
    /// Opens the model at `path`.
    pub fn open(path: &Path, options: &RigOptions) -> Result<Self> {
        let (_, manifest) = Manifest::open(path)?;
        let manifest = Arc::new(if options.stream_dense { manifest.with_dense_streamed() } else { manifest });
        let files = Arc::new(Files::open(&manifest.files, Io::Buffered)?);
        let backend: Arc<dyn Backend> = Arc::new(Cpu::new(options.threads)?);
        let read = &mut |extent, bytes: &mut [u8]| files.read_exact(extent, bytes);
        let rows = files.clone();
        let rows = Arc::new(move |extent: Extent, bytes: &mut [u8]| rows.read_exact(extent, bytes));
        let mut decoder = model::load(&manifest, backend, read, rows)?;
        let disk = Self::disk(&manifest, &options.disk)?;
        let catalogue = ManifestCatalogue(manifest.clone());
        let budget = options.pool.unwrap_or(needs(&catalogue)?.all_bytes);
        let policy = if options.stream_dense { Policy::IN_TURN } else { Policy::named(options.policy)? };
        let mut pool = ExpertPool::new(&catalogue, disk, budget, policy)?;
        decoder.force_guesses(options.guesser);
        if options.lookahead != Lookahead::Off || options.stream_dense {
            pool.add_guess_slots(4 * needs(&catalogue)?.smallest_bytes);
        }
        pool.look_ahead(options.lookahead);
        Ok(Self { manifest, decoder, pool, precision: options.precision })
    }

    /// Bytes of the smallest pool that works.
    pub fn smallest_pool(path: &Path) -> u64 {
        let (_, manifest) = Manifest::open(path).unwrap();
        needs(&ManifestCatalogue(Arc::new(manifest))).unwrap().smallest_bytes
    }

    fn disk(manifest: &Manifest, kind: &DiskKind) -> Result<Arc<dyn Disk>> {
        Ok(match kind {
            DiskKind::Files(choice) => {
                Arc::new(ThreadedDisk::new(Arc::new(Files::open(&manifest.files, *choice)?), 4, 1 << 20)?)
            }
            DiskKind::Shuffled(seed, faults) => {
                let files = manifest.files.iter().map(|path| std::fs::read(path).unwrap()).collect();
                let disk = MemoryDisk::new(files, *seed);
                Arc::new(faults.iter().fold(disk, |disk, (nth, fault)| disk.with_fault(*nth, *fault)))
            }
        })
    }

    /// Logits of every token, `[tokens, vocab]`, computed in chunks of at most `chunk` as parts of one prompt.
    pub fn prefill(&mut self, tokens: &[TokenId], chunk: usize) -> Result<Vec<f32>> {
        self.run(tokens, chunk, &|_| 0..tokens.len())
    }

    /// Logits of every token, computed one token at a time as generated tokens are.
    pub fn decode(&mut self, tokens: &[TokenId]) -> Result<Vec<f32>> {
        self.run(tokens, 1, &|at| at..at + 1)
    }

    fn run(
        &mut self,
        tokens: &[TokenId],
        chunk: usize,
        prompt: &dyn Fn(usize) -> Range<usize>,
    ) -> Result<Vec<f32>> {
        let mut kv = self.cache(tokens.len())?;
        let mut all = Vec::new();
        for tokens in tokens.chunks(chunk) {
            let prompt = prompt(kv.len());
            all.extend(self.feed(&mut kv, tokens, prompt)?);
        }
        Ok(all)
    }

    /// An attention state with room for so many tokens.
    pub fn cache(&self, tokens: usize) -> Result<KvCache> {
        KvCache::new(self.decoder.spec(), self.decoder.backend().as_ref(), self.precision, tokens)
    }

    /// One pass with more tokens of a sequence, part of the prompt that stands at `prompt`; the logits of each.
    pub fn feed(&mut self, kv: &mut KvCache, tokens: &[TokenId], prompt: Range<usize>) -> Result<Vec<f32>> {
        let mut all = Vec::new();
        let mut entries = [Entry { kv, tokens, prompt, logits: Logits::All }];
        let emit = &mut |_: usize, _: usize, logits: &[f32]| {
            all.extend_from_slice(logits);
            Ok(())
        };
        self.decoder.forward(&mut entries, &mut self.pool, &AtomicBool::new(false), emit)?;
        Ok(all)
    }
}
