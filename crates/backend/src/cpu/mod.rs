//! The processor: tensors are vectors, verbs are kernels over the thread pool.

mod spares;
mod memory;
mod kv_rows;
mod attention;
mod compress;
mod delta;
mod streams;

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use base::{Error, ExpertId, Pinned, Result, TokenId};
use kernels::{Activations, Assignment, Compute, Join, Kernels, MatmulScratch, Threads, Unit};
use quant::{Matrix, Quant};
use spec::{Gate, RopePairs, Router, Score, Streams};

use crate::routing::{choose, weigh};
use crate::{
    Backend, Before, Chosen, CompressQuery, CompressedQuery, DeltaQuery, DeltaState, Expert, GroupedQuery,
    Heads, IndexQuery, KvRows, LatentQuery, Opening, Precision, Rotation, Routing, Tensor, Use, Weight,
};
pub use attention::{
    compressed_scratch_bytes, grouped_scratch_bytes, index_scratch_bytes, latent_scratch_bytes,
};
use memory::{host, host_mut, matrix, tensor, vector, weight};
use spares::Spares;

/// The processor as a [`Backend`].
pub struct Cpu {
    kernels: &'static Kernels,
    threads: Threads,
    activations: Activations,
    scratch: Mutex<MatmulScratch>,
    attention: attention::Memory,
    spares: Arc<Spares>,
    pins: AtomicBool,
    pinned_bytes: AtomicU64,
}

/// Rows a thread takes at a time in row-wise verbs: enough to hide the claim of a chunk.
const ROWS_AT_ONCE: usize = 4;

impl Cpu {
    /// `threads` threads, the caller's among them, the best kernels this processor has, and activations in f32.
    pub fn new(threads: usize) -> Result<Self> {
        Self::with(Kernels::detect(), Activations::F32, threads)
    }

    /// The same with these kernels, and activations that meet weights in this way.
    pub fn with(kernels: &'static Kernels, activations: Activations, threads: usize) -> Result<Self> {
        let threads = Threads::new(threads)?;
        Ok(Self {
            kernels,
            threads,
            activations,
            scratch: Mutex::default(),
            attention: attention::Memory::default(),
            spares: Arc::default(),
            pins: AtomicBool::new(false),
            pinned_bytes: AtomicU64::new(0),
        })
    }

    /// Whether weights placed from now on are kept in memory, as far as the system allows it.
    pub fn pin_weights(&self, pin: bool) {
        self.pins.store(pin, Ordering::Relaxed);
    }

    /// Keeps up to so many bytes of tensors that are no more, for new ones: none, until this is called.
    pub fn keep_tensors(&self, bytes: u64) {
        self.spares.keep(bytes);
    }

    /// Bytes of weights that were pinned.
    pub fn pinned_bytes(&self) -> u64 {
        self.pinned_bytes.load(Ordering::Relaxed)
    }

    fn compute(&self) -> Compute<'_> {
        Compute { kernels: self.kernels, threads: &self.threads, activations: self.activations }
    }

    /// Numbers of a tensor that is no more, if some wait; otherwise zeros.
    fn numbers(&self, rows: usize, cols: usize) -> Result<(Vec<f32>, bool)> {
        let len = rows.checked_mul(cols).ok_or_else(|| err_size(rows, cols))?;
        if let Some(values) = self.spares.take(len) {
            return Ok((values, false));
        }
        // Asks first, for `vec!` would abort; then lets the system zero the pages when they are first touched.
        Vec::<f32>::new().try_reserve_exact(len).map_err(|_| err_size(rows, cols))?;
        Ok((vec![0.0; len], true))
    }

    /// `x wᵀ` for `x` of `w.cols` columns.
    fn product(&self, x: &[f32], w: Matrix<'_>) -> Result<Tensor> {
        let mut out = self.room(x.len() / w.cols(), w.rows())?;
        kernels::matmul(&self.compute(), w, x, host_mut(&mut out), &mut self.scratch());
        Ok(out)
    }

    /// Of one token with all experts.
    fn scores(&self, logits: &[f32], router: &Router) -> Vec<f32> {
        let mut scores = logits.to_vec();
        match router.score {
            Score::Sigmoid => self.kernels.sigmoid(&mut scores),
            Score::Softmax => self.kernels.softmax(&mut scores),
            Score::RootSoftplus => self.kernels.root_softplus(&mut scores),
        }
        scores
    }

    /// The biases of one expert.
    fn bias(&self, biases: &Weight, expert: ExpertId) -> Vec<f32> {
        let mut row = vec![0.0; biases.cols];
        self.kernels.dequantize(biases.quant, matrix(biases).row(expert.0 as usize), &mut row);
        row
    }

    /// The verbs are called by one thread at a time; a second caller waits.
    fn scratch(&self) -> std::sync::MutexGuard<'_, MatmulScratch> {
        self.scratch.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Calls `work` with each row of `x`, in parallel.
    fn for_rows(&self, x: &mut Tensor, work: &(dyn Fn(usize, &mut [f32]) + Sync)) {
        let cols = x.cols;
        self.threads.for_chunks(host_mut(x), cols * ROWS_AT_ONCE, &|chunk, rows| {
            for (i, row) in rows.chunks_exact_mut(cols).enumerate() {
                work(chunk * ROWS_AT_ONCE + i, row);
            }
        });
    }
}

impl Backend for Cpu {
    fn name(&self) -> String {
        let (isa, threads) = (self.kernels.isa.name(), self.threads.count());
        format!("cpu, {isa}, {threads} threads, {} activations", self.activations.name())
    }

    fn activations(&self) -> Activations {
        self.activations
    }

    fn place(
        &self,
        quant: Quant,
        rows: usize,
        cols: usize,
        values: Vec<u8>,
        scales: Vec<u8>,
    ) -> Result<Weight> {
        let pin = self.pins.load(Ordering::Relaxed);
        let keep = |bytes| if pin { Pinned::new(bytes) } else { Pinned::not(bytes) };
        let (values, scales) = (keep(values), keep(scales));
        let pinned = values.pinned_bytes() + scales.pinned_bytes();
        self.pinned_bytes.fetch_add(pinned as u64, Ordering::Relaxed);
        weight(quant, rows, cols, values, scales)
    }

    fn tensor(&self, rows: usize, cols: usize) -> Result<Tensor> {
        let (mut values, are_zeros) = self.numbers(rows, cols)?;
        if !are_zeros {
            values.fill(0.0);
        }
        Ok(tensor(rows, cols, values, &self.spares))
    }

    fn room(&self, rows: usize, cols: usize) -> Result<Tensor> {
        Ok(tensor(rows, cols, self.numbers(rows, cols)?.0, &self.spares))
    }

    fn upload(&self, rows: usize, cols: usize, values: Vec<f32>) -> Result<Tensor> {
        Ok(tensor(rows, cols, values, &self.spares))
    }

    fn to_host(&self, x: &Tensor, rows: Range<usize>) -> Result<Vec<f32>> {
        Ok(host(x)[rows.start * x.cols..rows.end * x.cols].to_vec())
    }

    fn embed(&self, table: &Weight, tokens: &[TokenId]) -> Result<Tensor> {
        let rows = matrix(table);
        let mut out = self.room(tokens.len(), table.cols)?;
        for (token, row) in tokens.iter().zip(host_mut(&mut out).chunks_exact_mut(table.cols)) {
            let index = *token as usize;
            if index >= table.rows {
                return Err(Error::input(format!("token {token} is past the vocabulary of {}", table.rows)));
            }
            self.kernels.dequantize_row(&rows, index, row);
        }
        Ok(out)
    }

    fn rms_norm(&self, x: &Tensor, weight: &Weight, eps: f32) -> Result<Tensor> {
        let mut out = self.room(x.rows, x.cols)?;
        let (values, weight) = (host(x), vector(weight));
        self.for_rows(&mut out, &|i, row| {
            self.kernels.rms_norm(&values[i * x.cols..(i + 1) * x.cols], weight, eps, row);
        });
        Ok(out)
    }

    fn rms_norm_heads(&self, x: &mut Tensor, heads: Heads, weight: &Weight, eps: f32) -> Result<()> {
        let weight = vector(weight);
        self.for_rows(x, &|_, row| {
            for head in 0..heads.count {
                let head = &mut row[head * heads.width + heads.offset..][..weight.len()];
                let values = head.to_vec();
                self.kernels.rms_norm(&values, weight, eps, head);
            }
        });
        Ok(())
    }

    fn layer_norm(&self, x: &mut Tensor, weight: &Weight, bias: &Weight, eps: f32) -> Result<()> {
        let (weight, bias) = (vector(weight), vector(bias));
        let ones = vec![1.0; weight.len()];
        self.for_rows(x, &|_, row| {
            let mean = self.kernels.dot(row, &ones) / row.len() as f32;
            let centred: Vec<f32> = row.iter().map(|value| value - mean).collect();
            self.kernels.rms_norm(&centred, weight, eps, row);
            self.kernels.add(bias, row);
        });
        Ok(())
    }

    fn matmul(&self, x: &Tensor, w: &Weight) -> Result<Tensor> {
        assert_eq!(x.cols, w.cols, "a product needs equal inner widths");
        self.product(host(x), matrix(w))
    }

    fn matmul_groups(&self, x: &Tensor, w: &Weight, groups: usize) -> Result<Tensor> {
        assert_eq!(x.cols, groups * w.cols, "a product needs equal inner widths");
        let (rows, values) = (w.rows / groups, host(x));
        let mut out = self.room(x.rows, w.rows)?;
        for group in 0..groups {
            let columns = values.chunks_exact(x.cols).flat_map(|row| &row[group * w.cols..][..w.cols]);
            let part =
                self.product(&columns.copied().collect::<Vec<_>>(), matrix(w).band(group * rows, rows))?;
            let to = host_mut(&mut out).chunks_exact_mut(w.rows);
            for (to, part) in to.zip(host(&part).chunks_exact(rows)) {
                to[group * rows..][..rows].copy_from_slice(part);
            }
        }
        Ok(out)
    }

    fn gated(&self, x: &Tensor, matrices: [&Weight; 3], join: Gate) -> Result<Tensor> {
        let mut out = self.room(x.rows, matrices[2].rows)?;
        let unit = Unit { matrices: matrices.map(matrix), biases: None, join: joined(join) };
        kernels::unit(&self.compute(), host(x), unit, host_mut(&mut out), &mut self.scratch());
        Ok(out)
    }

    fn add_bias(&self, x: &mut Tensor, bias: &Weight) -> Result<()> {
        assert_eq!(x.cols, bias.cols, "a bias is as wide as a row");
        let bias = vector(bias);
        self.for_rows(x, &|_, row| self.kernels.add(bias, row));
        Ok(())
    }

    fn gate(&self, x: &mut Tensor, gate: &Tensor, by: Opening) -> Result<()> {
        assert!(gate.rows == x.rows && (gate.cols == x.cols || gate.cols == 1), "a gate for every row");
        let gates = host(gate);
        let open = |x: &mut [f32], gate: &[f32]| match by {
            Opening::Silu => self.kernels.gate_silu(x, gate),
            Opening::Sigmoid => self.kernels.gate_sigmoid(x, gate),
        };
        self.for_rows(x, &|i, row| {
            let gate = &gates[i * gate.cols..][..gate.cols];
            if gate.len() == row.len() {
                return open(row, gate);
            }
            let mut share = [1.0];
            open(&mut share, gate);
            row.iter_mut().for_each(|x| *x *= share[0]);
        });
        Ok(())
    }

    fn mix(&self, sources: &[&Tensor], score: &Weight, eps: f32) -> Result<Tensor> {
        let (rows, cols) = (sources[0].rows, sources[0].cols);
        assert!(sources.iter().all(|x| (x.rows, x.cols) == (rows, cols)), "a mixture of equal shapes");
        let (score, values) = (vector(score), sources.iter().map(|x| host(x)).collect::<Vec<_>>());
        let mut out = self.tensor(rows, cols)?;
        self.for_rows(&mut out, &|i, row| {
            let place = i * cols..(i + 1) * cols;
            let mut normed = vec![0.0; cols];
            let mut shares: Vec<f32> = values
                .iter()
                .map(|values| {
                    self.kernels.rms_norm(&values[place.clone()], score, eps, &mut normed);
                    normed.iter().sum()
                })
                .collect();
            self.kernels.softmax(&mut shares);
            for (values, share) in values.iter().zip(shares) {
                self.kernels.axpy(share, &values[place.clone()], row);
            }
        });
        Ok(out)
    }

    fn share_streams(&self, x: &mut Tensor, scale: &Weight, bias: &Weight, streams: &Streams) -> Result<()> {
        let (scale, bias) = (vector(scale), vector(bias));
        self.for_rows(x, &|_, row| streams::share(self.kernels, row, (scale, bias), streams));
        Ok(())
    }

    fn merge_streams(&self, x: &Tensor, shares: &Tensor, streams: &Streams) -> Result<Tensor> {
        let (hidden, count) = (x.cols / streams.count, streams.count);
        let (values, all) = (host(x), host(shares));
        let mut out = self.tensor(x.rows, hidden)?;
        self.for_rows(&mut out, &|i, row| {
            let parts = values[i * x.cols..][..x.cols].chunks_exact(hidden);
            for (part, share) in parts.zip(&all[i * shares.cols..][..count]) {
                self.kernels.axpy(*share, part, row);
            }
        });
        Ok(out)
    }

    fn spread_over_streams(
        &self,
        x: &mut Tensor,
        answer: &Tensor,
        shares: &Tensor,
        streams: &Streams,
    ) -> Result<()> {
        let (answers, all) = (host(answer), host(shares));
        self.for_rows(x, &|i, row| {
            let answer = &answers[i * answer.cols..][..answer.cols];
            streams::spread(self.kernels, row, answer, &all[i * shares.cols..][..shares.cols], streams);
        });
        Ok(())
    }

    fn add(&self, x: &mut Tensor, y: &Tensor) -> Result<()> {
        assert_eq!((x.rows, x.cols), (y.rows, y.cols), "a sum needs equal shapes");
        let y_values = host(y);
        self.for_rows(x, &|i, row| self.kernels.add(&y_values[i * y.cols..(i + 1) * y.cols], row));
        Ok(())
    }

    fn rotate(&self, x: &mut Tensor, heads: Heads, rotation: &Rotation) -> Result<()> {
        let half = rotation.dims / 2;
        assert_eq!(rotation.cos.len(), x.rows * half, "a rotation belongs to one batch");
        self.for_rows(x, &|i, row| {
            let (cos, sin) = (&rotation.cos[i * half..][..half], &rotation.sin[i * half..][..half]);
            for head in 0..heads.count {
                let part = &mut row[head * heads.width + heads.offset..][..rotation.dims];
                rotate(part, rotation.pairs, cos, sin);
            }
        });
        Ok(())
    }

    fn copy_rows(&self, from: &Tensor, rows: Range<usize>, to: &mut Tensor, at: usize) -> Result<()> {
        assert_eq!(from.cols, to.cols, "rows are copied between equal widths");
        let cols = from.cols;
        let source = &host(from)[rows.start * cols..rows.end * cols];
        host_mut(to)[at * cols..][..source.len()].copy_from_slice(source);
        Ok(())
    }

    fn copy_heads(
        &self,
        from: &Tensor,
        from_heads: Heads,
        to: &mut Tensor,
        to_heads: Heads,
        width: usize,
    ) -> Result<()> {
        assert_eq!((from.rows, from_heads.count), (to.rows, to_heads.count), "as many heads of as many rows");
        let (source, cols) = (host(from), from.cols);
        self.for_rows(to, &|i, row| {
            for head in 0..to_heads.count {
                let part = &source[i * cols + head * from_heads.width + from_heads.offset..][..width];
                row[head * to_heads.width + to_heads.offset..][..width].copy_from_slice(part);
            }
        });
        Ok(())
    }

    fn kv_rows(&self, rows: usize, cols: usize, precision: Precision) -> Result<KvRows> {
        kv_rows::kv_rows(rows, cols, precision)
    }

    fn store_kv(&self, from: &Tensor, rows: Range<usize>, to: &mut KvRows, at: usize) -> Result<()> {
        assert_eq!(from.cols, to.cols, "rows are stored as wide as they are");
        kv_rows::store(to, &host(from)[rows.start * from.cols..rows.end * from.cols], at);
        Ok(())
    }

    fn copy_kv(&self, from: &KvRows, positions: Range<usize>, to: &mut KvRows) -> Result<()> {
        kv_rows::copy(from, positions, to);
        Ok(())
    }

    fn kv_bytes(&self, from: &KvRows, rows: Range<usize>) -> Result<Vec<u8>> {
        Ok(kv_rows::bytes(from, rows))
    }

    fn set_kv_bytes(&self, bytes: &[u8], to: &mut KvRows, at: usize) -> Result<()> {
        kv_rows::set_bytes(bytes, to, at);
        Ok(())
    }

    fn choose_rows(&self, query: &IndexQuery<'_>) -> Result<Chosen> {
        let Self { kernels, threads, attention: memory, .. } = self;
        Ok(attention::choose(&attention::Machine { kernels, threads, memory }, query))
    }

    fn latent_attention(&self, query: &LatentQuery<'_>, out: &mut Tensor) -> Result<()> {
        let Self { kernels, threads, attention: memory, .. } = self;
        attention::latent(&attention::Machine { kernels, threads, memory }, query, out);
        Ok(())
    }

    fn grouped_attention(&self, query: &GroupedQuery<'_>, out: &mut Tensor) -> Result<()> {
        let Self { kernels, threads, attention: memory, .. } = self;
        attention::grouped(&attention::Machine { kernels, threads, memory }, query, out);
        Ok(())
    }

    fn compress(&self, query: &CompressQuery<'_>) -> Result<Tensor> {
        let mut out = self.tensor(query.rows.len(), query.width)?;
        compress::run((self.kernels, &self.threads), query, &mut out);
        Ok(out)
    }

    fn compressed_attention(&self, query: &CompressedQuery<'_>, out: &mut Tensor) -> Result<()> {
        let Self { kernels, threads, attention: memory, .. } = self;
        attention::compressed(&attention::Machine { kernels, threads, memory }, query, out);
        Ok(())
    }

    fn delta_net(
        &self,
        query: &DeltaQuery<'_>,
        before: Before<'_>,
        to: &mut DeltaState,
        out: &mut Tensor,
    ) -> Result<()> {
        delta::run((self.kernels, &self.threads), query, before, to, out);
        Ok(())
    }

    fn route(&self, logits: &Tensor, bias: Option<&Weight>, router: &Router) -> Result<Routing> {
        let (mut experts, mut weights) = (Vec::new(), Vec::new());
        for row in host(logits).chunks_exact(logits.cols) {
            let scores = self.scores(row, router);
            let mut biased = scores.clone();
            if let Some(bias) = bias {
                self.kernels.add(vector(bias), &mut biased);
            }
            let (chosen, weighed) = choose(&scores, &biased, router);
            experts.extend(chosen);
            weights.extend(weighed);
        }
        Ok(Routing::new(router.top_k, experts, weights))
    }

    fn weigh(&self, logits: &Tensor, experts: Vec<ExpertId>, router: &Router) -> Result<Routing> {
        assert_eq!(experts.len(), logits.rows * router.top_k, "experts for every token");
        let rows = host(logits).chunks_exact(logits.cols).zip(experts.chunks_exact(router.top_k));
        let weights = rows.flat_map(|(row, experts)| {
            let scores = self.scores(row, router);
            weigh(experts.iter().map(|expert| scores[expert.0 as usize]).collect(), router)
        });
        let weights = weights.collect();
        Ok(Routing::new(router.top_k, experts, weights))
    }

    fn experts(&self, parts: &mut Tensor, x: &Tensor, experts: &[(Expert<'_>, &[Use])]) -> Result<()> {
        assert_eq!(parts.cols, x.cols, "answers as wide as what was asked");
        let details = experts.iter().map(|(expert, uses)| {
            let biases = expert.biases.map(|all| all.each_ref().map(|biases| self.bias(biases, expert.id)));
            let tokens: Vec<usize> = uses.iter().map(|one| one.token).collect();
            let places: Vec<usize> = uses.iter().map(|one| one.part).collect();
            (biases, tokens, places)
        });
        let details: Vec<(Option<[Vec<f32>; 3]>, _, _)> = details.collect();
        let assignments = experts.iter().zip(&details).map(|((expert, _), (biases, tokens, places))| {
            let biases = biases.as_ref().map(|all| all.each_ref().map(Vec::as_slice));
            let unit = Unit { matrices: expert.matrices, biases, join: joined(expert.gate) };
            Assignment { unit, tokens, places }
        });
        let assignments: Vec<_> = assignments.collect();
        kernels::units(&self.compute(), host(x), &assignments, host_mut(parts), &mut self.scratch());
        Ok(())
    }

    fn combine(&self, y: &mut Tensor, parts: &Tensor, routing: &Routing) -> Result<()> {
        let (cols, top_k) = (y.cols, routing.top_k);
        let answers = host(parts);
        self.for_rows(y, &|token, row| {
            let mut sum = vec![0.0; cols];
            for part in token * top_k..(token + 1) * top_k {
                self.kernels.axpy(routing.weights[part], &answers[part * cols..][..cols], &mut sum);
            }
            self.kernels.add(&sum, row);
        });
        Ok(())
    }
}

fn rotate(part: &mut [f32], pairs: RopePairs, cos: &[f32], sin: &[f32]) {
    let half = cos.len();
    for i in 0..half {
        let (a, b) = match pairs {
            RopePairs::Adjacent => (2 * i, 2 * i + 1),
            RopePairs::Halves => (i, i + half),
        };
        let (x, y) = (part[a], part[b]);
        part[a] = x * cos[i] - y * sin[i];
        part[b] = y * cos[i] + x * sin[i];
    }
}

fn joined(gate: Gate) -> Join {
    match gate {
        Gate::Silu => Join::Silu,
        Gate::Clamped { alpha, shift, limit } => Join::Clamped { alpha, shift, limit },
        Gate::Soft { beta, linear } => Join::Soft { beta, linear },
    }
}

fn err_size(rows: usize, cols: usize) -> Error {
    Error::budget(format!("the system has no memory for {rows} x {cols} numbers"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    #[test]
    fn a_matrix_of_one_row_is_a_matrix_and_a_vector() {
        let cpu = Cpu::new(1).unwrap();
        let row = cpu.place(Quant::F32, 1, 3, bytes(&[1.0, 2.0, 3.0]), vec![]).unwrap();
        let x = cpu.upload(2, 3, vec![1.0, 1.0, 1.0, 0.0, 0.0, 2.0]).unwrap();
        assert_eq!(host(&cpu.matmul(&x, &row).unwrap()), [6.0, 6.0]);
        assert_eq!(host(&cpu.embed(&row, &[0]).unwrap()), [1.0, 2.0, 3.0]);
        assert_eq!(cpu.rms_norm(&x, &row, 1e-6).unwrap().rows, 2);
        assert!(cpu.embed(&row, &[1]).is_err());
    }

    #[test]
    fn what_a_tensor_held_before_is_seen_by_nobody() {
        let cpu = Cpu::new(2).unwrap();
        cpu.keep_tensors(u64::MAX);
        let (tokens, width) = (200, 100);
        let numbers: Vec<f32> = (0..tokens * width).map(|i| (i as f32 * 0.7).sin()).collect();
        let square: Vec<f32> = (0..width * width).map(|i| (i as f32 * 1.3).cos()).collect();
        let w = cpu.place(Quant::F32, width, width, bytes(&square), vec![]).unwrap();
        let ones = cpu.place(Quant::F32, 1, width, bytes(&vec![1.0; width]), vec![]).unwrap();
        let results = |cpu: &Cpu| {
            let x = cpu.upload(tokens, width, numbers.clone()).unwrap();
            let all = [
                cpu.tensor(tokens, width),
                cpu.rms_norm(&x, &ones, 1e-6),
                cpu.matmul(&x, &w),
                cpu.gated(&x, [&w, &w, &w], Gate::Silu),
                cpu.embed(&w, &vec![7; tokens]),
                cpu.mix(&[&x, &x], &ones, 1e-6),
            ];
            all.map(|out| host(&out.unwrap()).to_vec())
        };
        let fresh = results(&Cpu::new(2).unwrap());
        for _ in 0..8 {
            drop([(); 8].map(|()| cpu.upload(tokens, width, vec![f32::NAN; tokens * width])));
            assert_eq!(results(&cpu), fresh);
        }
    }

    #[test]
    fn adjacent_and_split_pairs_rotate_by_the_same_angle() {
        let (cos, sin) = (vec![0.0, 1.0], vec![1.0, 0.0]);
        let mut adjacent = [1.0, 2.0, 3.0, 4.0];
        rotate(&mut adjacent, RopePairs::Adjacent, &cos, &sin);
        assert_eq!(adjacent, [-2.0, 1.0, 3.0, 4.0]);
        let mut halves = [1.0, 2.0, 3.0, 4.0];
        rotate(&mut halves, RopePairs::Halves, &cos, &sin);
        assert_eq!(halves, [-3.0, 2.0, 1.0, 4.0]);
    }
}
