//! The file of a geometry: planned with as it is, or written.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;

use base::{Error, FileId, Result};
use formats::Checkpoint;
use formats::gguf::types::GgmlType;
use formats::gguf::write::{Tensor, Writer};
use formats::gguf::{Metadata, read_header};

use crate::fillings::{blocks, weight_type};
use crate::metadata::metadata;
use crate::popularity::row_lengths;
use crate::random::Random;
use crate::shape::Geometry;
use crate::tensors::{Fill, Planned, tensors};

/// What may be chosen about a file.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Only the first of its layers; `None` takes all.
    pub layers: Option<usize>,
    /// GGUF type of routed experts; `None` takes the geometry's.
    pub experts: Option<String>,
    /// GGUF type of their down projections; `None` takes that of the others. Many published files mix two.
    pub down: Option<String>,
    /// GGUF type of all other matrices; `None` takes the geometry's.
    pub trunk: Option<String>,
    /// How uneven routing is: the expert of rank r is used in proportion to `1 / r^skew`. 0 is uniform.
    pub skew: f64,
    /// The same seed gives the same file.
    pub seed: u64,
}

/// A file that is not written yet: its header, and what its tensors are to hold.
#[derive(Clone, Debug)]
pub struct Outline {
    geometry: &'static Geometry,
    /// Layers in it.
    pub layers: usize,
    metadata: Metadata,
    tensors: Vec<Planned>,
    header: Vec<u8>,
    skew: f64,
    seed: u64,
}

/// The steepest routing: with more, nearly all tokens use the same few experts.
const SKEW_MAX: f64 = 4.0;
/// Bytes of random blocks that matrices of one type and size are made of, and how many are taken from there at once,
/// each time from another place.
const POOL_BYTES: usize = 4 << 20;
const RUN_BYTES: usize = 1 << 20;
/// Where tensors begin, in bytes.
const ALIGNMENT: u64 = 32;

impl Outline {
    /// The outline of `geometry` with what was chosen.
    ///
    /// Fails with [`base::Kind::Input`] for a number of layers that leaves no experts or that the model has not, a format
    /// that is unknown or does not fit the experts' rows, and a skew that is negative or above 4.
    pub fn new(geometry: &'static Geometry, choice: &Choice) -> Result<Self> {
        let layers = layers(geometry, choice.layers)?;
        if !(0.0..=SKEW_MAX).contains(&choice.skew) {
            return Err(Error::input(format!(
                "a skew of {}; expected 0 (uniform) to {SKEW_MAX}",
                choice.skew
            )));
        }
        let experts = weight_type(choice.experts.as_deref().unwrap_or(geometry.experts))?;
        let down = choice.down.as_deref().map_or(Ok(experts), weight_type)?;
        let trunk = weight_type(choice.trunk.as_deref().unwrap_or(geometry.trunk))?;
        check_rows(geometry, geometry.expert_width(), experts, "--experts")?;
        let flag = if choice.down.is_some() { "--down" } else { "--experts" };
        check_rows(geometry, geometry.moe.inner, down, flag)?;
        let metadata = metadata(geometry, layers);
        let tensors = tensors(geometry, layers, [experts, down], trunk);
        let mut header = Vec::new();
        Writer::new(&mut header, &metadata, &described(&tensors))?;
        Ok(Self { geometry, layers, metadata, tensors, header, skew: choice.skew, seed: choice.seed })
    }

    /// Bytes of the whole file.
    pub fn bytes(&self) -> u64 {
        let padded = self.tensors.iter().map(|planned| planned.bytes().next_multiple_of(ALIGNMENT));
        self.header.len() as u64 + padded.sum::<u64>()
    }

    /// Number of weights.
    pub fn parameters(&self) -> u64 {
        self.tensors.iter().map(Planned::values).sum()
    }

    /// Bytes of all routed experts.
    pub fn expert_bytes(&self) -> u64 {
        self.tensors.iter().filter(|planned| planned.routed).map(Planned::bytes).sum()
    }

    /// Bytes of what every token needs.
    pub fn trunk_bytes(&self) -> u64 {
        self.tensors.iter().filter(|planned| planned.is_resident()).map(Planned::bytes).sum()
    }

    /// Routed experts, in all layers together.
    pub fn expert_count(&self) -> u64 {
        (self.geometry.expert_layers(self.layers) * self.geometry.moe.experts) as u64
    }

    /// Bytes of the largest matrix of an expert: what is read at once.
    pub fn expert_read_bytes(&self) -> u64 {
        let stacks = self.tensors.iter().filter(|planned| planned.routed).map(Planned::bytes);
        stacks.max().unwrap_or(0) / self.geometry.moe.experts.max(1) as u64
    }

    /// Numbers that attention keeps of each token, over all layers.
    pub fn kv_values_per_token(&self) -> usize {
        self.geometry.kv_values_per_token(self.layers)
    }

    /// About how many numbers a pass of so many tokens works on at once: the residual stream, the answers of every
    /// token's experts, three rows as wide as the widest matrix, and the logits of one token.
    pub fn pass_values(&self, tokens: usize) -> usize {
        let Geometry { hidden, vocab, ref moe, .. } = *self.geometry;
        let widths =
            self.tensors.iter().filter(|planned| !planned.routed && planned.tensor.name.starts_with("blk."));
        let widest = widths.map(|planned| planned.tensor.shape[0] as usize).max().unwrap_or(0);
        tokens * (hidden * (3 + moe.top_k) + 3 * widest) + 2 * vocab
    }

    /// The model as its headers would tell it once it is written to `path`.
    pub fn checkpoint(&self, path: PathBuf) -> Result<Checkpoint> {
        let header = read_header(self.header.as_slice(), FileId(0), self.bytes())?;
        Ok(Checkpoint::of_one_gguf(path, header))
    }

    /// Writes the file. `progress` is told the bytes written so far, and ends the writing by an error.
    pub fn write(&self, out: impl Write, progress: &mut dyn FnMut(u64) -> Result<()>) -> Result<()> {
        let mut writer = Writer::new(out, &self.metadata, &described(&self.tensors))?;
        let mut random = Random::new(self.seed);
        let lengths = row_lengths(self.geometry.moe.experts, self.geometry.moe.top_k, self.skew);
        let mut pools = Pools::default();
        let mut done = self.header.len() as u64;
        for planned in &self.tensors {
            if planned.is_fresh() {
                let values = fresh(planned, &lengths, &mut random);
                writer.append(&values)?;
                done += values.len() as u64;
                progress(done)?;
                continue;
            }
            let pool = pools.of(planned, &mut random);
            let mut left = planned.bytes() as usize;
            while left > 0 {
                let run = pool.run(left, &mut random);
                writer.append(run)?;
                left -= run.len();
                done += run.len() as u64;
                progress(done)?;
            }
        }
        writer.finish()?;
        Ok(())
    }
}

fn layers(geometry: &Geometry, asked: Option<usize>) -> Result<usize> {
    let (least, most) = (if geometry.is_dense() { 1 } else { geometry.dense_layers + 1 }, geometry.layers);
    let layers = asked.unwrap_or(most);
    if (least..=most).contains(&layers) {
        return Ok(layers);
    }
    let dense = match geometry.dense_layers {
        _ if geometry.is_dense() => "none with experts".to_owned(),
        0 => "all with experts".to_owned(),
        dense => format!("of which the first {dense} have no experts"),
    };
    let name = geometry.name;
    Err(Error::input(format!("{layers} layers; {name} has {most}, {dense}: expected {least} to {most}")))
}

/// Refuses a type, chosen by `flag`, that cannot hold experts' rows of `cols` weights.
fn check_rows(geometry: &Geometry, cols: usize, of: &GgmlType, flag: &str) -> Result<()> {
    let block = of.block.map_or(1, |block| block.len);
    if geometry.is_dense() || (cols as u64).is_multiple_of(block) {
        return Ok(());
    }
    Err(Error::input(format!(
        "experts of {} have rows of {cols}, which are no whole number of {}'s blocks of {block}",
        geometry.name, of.name
    ))
    .hint(format!("{flag} {}", geometry.experts)))
}

fn described(tensors: &[Planned]) -> Vec<Tensor> {
    tensors.iter().map(|planned| planned.tensor.clone()).collect()
}

/// Numbers made one by one.
fn fresh(planned: &Planned, lengths: &[f32], random: &mut Random) -> Vec<u8> {
    let cols = *planned.tensor.shape.last().unwrap_or(&1) as usize;
    let count = planned.values() as usize;
    let values: Vec<f32> = match planned.fill {
        Fill::Ones => vec![1.0; count],
        Fill::Zeros => vec![0.0; count],
        Fill::Size(size) => (0..count).map(|_| random.spread(size)).collect(),
        Fill::Gain(gain) => (0..count).map(|_| random.spread(gain / (cols as f32).sqrt())).collect(),
        Fill::Decay => (0..count).map(|_| -0.1 - random.unit()).collect(),
        Fill::Below(most) => return below(most, (count / cols, cols), random),
        Fill::Router => {
            let order = random.order(count / cols);
            let deviations = order.into_iter().map(|rank| lengths[rank] / (cols as f32).sqrt());
            deviations
                .flat_map(|deviation| (0..cols).map(|_| random.spread(deviation)).collect::<Vec<_>>())
                .collect()
        }
    };
    values.into_iter().flat_map(f32::to_le_bytes).collect()
}

/// Rows of whole numbers below `most`, no number twice in a row.
fn below(most: usize, (rows, cols): (usize, usize), random: &mut Random) -> Vec<u8> {
    let row = |_| {
        let (first, step) = (random.below(most), 1 + random.below(most / cols.min(most)));
        (0..cols).map(move |place| ((first + place * step) % most) as i32)
    };
    (0..rows).flat_map(row).flat_map(i32::to_le_bytes).collect()
}

/// Random blocks, by type and by the size of their values.
#[derive(Default)]
struct Pools {
    pools: HashMap<(u32, u32), Pool>,
}

struct Pool {
    blocks: Vec<u8>,
    block_bytes: usize,
}

impl Pools {
    fn of(&mut self, planned: &Planned, random: &mut Random) -> &Pool {
        let cols = *planned.tensor.shape.last().unwrap_or(&1) as f32;
        let deviation = match planned.fill {
            Fill::Size(size) => size,
            Fill::Gain(gain) => gain / cols.sqrt(),
            _ => 1.0 / cols.sqrt(),
        };
        let block_bytes = planned.of.block.map_or(1, |block| block.bytes as usize);
        self.pools.entry((planned.of.id, deviation.to_bits())).or_insert_with(|| Pool {
            blocks: blocks(planned.of, deviation, POOL_BYTES, random),
            block_bytes,
        })
    }
}

impl Pool {
    /// Up to `left` bytes of blocks from a random place.
    fn run(&self, left: usize, random: &mut Random) -> &[u8] {
        let whole = |bytes: usize| bytes / self.block_bytes * self.block_bytes;
        let len = left.min(whole(RUN_BYTES));
        let places = (self.blocks.len() - len) / self.block_bytes + 1;
        let start = random.below(places) * self.block_bytes;
        &self.blocks[start..start + len]
    }
}
