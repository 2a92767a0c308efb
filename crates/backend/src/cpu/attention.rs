//! Latent attention on the processor, one head a task.
//!
//! Both forms start from a head's key matrix `[nope, latent]` and value matrix `[value, latent]`, spelled out in f32
//! whatever the file holds, so files that store them joint, split or transposed give the same bits.

use kernels::{Kernels, Threads};
use quant::Matrix;
use spec::Mla;

use super::memory::{host, host_mut, matrix};
use crate::{Form, LatentQuery, LatentUp, Tensor};

/// See [`crate::Backend::latent_attention`].
pub(super) fn run(kernels: &Kernels, threads: &Threads, query: &LatentQuery<'_>, out: &mut Tensor) {
    let LatentQuery { mla, up, form, q, span, kv } = *query;
    let queries = span.rows.len();
    let task = Task {
        kernels,
        mla,
        start: span.start,
        q: &host(q)[span.rows.start * q.cols..span.rows.end * q.cols],
        kv: &host(kv)[..span.len() * mla.row()],
    };
    let cached = (form == Form::Expanded).then(|| task.columns());

    // [heads, queries, value]
    let mut answers = vec![0.0; mla.heads * queries * mla.value];
    threads.for_chunks(&mut answers, queries * mla.value, &|head, answer| {
        let projections = Projections::of_head(kernels, mla, up, head);
        match &cached {
            None => task.absorbed(head, &projections, answer),
            Some(columns) => task.expanded(head, &projections, columns, answer),
        }
    });

    let width = out.cols;
    let rows = &mut host_mut(out)[span.rows.start * width..span.rows.end * width];
    for (head, answer) in answers.chunks_exact(queries * mla.value).enumerate() {
        for (row, part) in rows.chunks_exact_mut(width).zip(answer.chunks_exact(mla.value)) {
            row[head * mla.value..][..mla.value].copy_from_slice(part);
        }
    }
}

/// One head's projections from the latent row.
struct Projections {
    /// `[nope, latent]`
    key: Vec<f32>,
    /// `[value, latent]`
    value: Vec<f32>,
}

impl Projections {
    fn of_head(kernels: &Kernels, mla: &Mla, up: &LatentUp, head: usize) -> Self {
        match up {
            LatentUp::Joint(joint) => {
                let (joint, rows) = (matrix(joint), mla.nope + mla.value);
                Self {
                    key: spell(kernels, joint, head * rows, mla.nope),
                    value: spell(kernels, joint, head * rows + mla.nope, mla.value),
                }
            }
            LatentUp::Split { key, value } => {
                let turned = spell(kernels, matrix(key), head * mla.latent, mla.latent);
                Self {
                    key: transpose(&turned, mla.nope),
                    value: spell(kernels, matrix(value), head * mla.value, mla.value),
                }
            }
        }
    }
}

fn spell(kernels: &Kernels, matrix: Matrix<'_>, start: usize, count: usize) -> Vec<f32> {
    let mut out = vec![0.0; count * matrix.cols()];
    for (i, row) in out.chunks_exact_mut(matrix.cols()).enumerate() {
        kernels.dequantize(matrix.quant(), matrix.row(start + i), row);
    }
    out
}

/// `[rows, cols]` to `[cols, rows]`.
fn transpose(x: &[f32], cols: usize) -> Vec<f32> {
    let rows = x.len() / cols;
    let mut out = vec![0.0; x.len()];
    for (r, row) in x.chunks_exact(cols).enumerate() {
        for (c, value) in row.iter().enumerate() {
            out[c * rows + r] = *value;
        }
    }
    out
}

/// What every head works on.
struct Task<'a> {
    kernels: &'a Kernels,
    mla: &'a Mla,
    /// Position of the first query.
    start: usize,
    /// `[queries, heads * (nope + rotated)]`
    q: &'a [f32],
    /// `[cached, latent + rotated]`
    kv: &'a [f32],
}

/// The cached rows in the order the expanded form reads them.
struct Columns {
    /// `[cached, latent]`
    latent: Vec<f32>,
    /// `[rotated, cached]`
    rotated: Vec<f32>,
}

impl Task<'_> {
    /// The query of `head` for each new token: its plain and its rotated part.
    fn queries(&self, head: usize) -> impl Iterator<Item = (&[f32], &[f32])> {
        let (width, row) = (self.mla.head(), self.mla.heads * self.mla.head());
        self.q.chunks_exact(row).map(move |q| q[head * width..][..width].split_at(self.mla.nope))
    }

    fn absorbed(&self, head: usize, projections: &Projections, answers: &mut [f32]) {
        let (mla, row) = (self.mla, self.mla.row());
        let mut query = vec![0.0; row];
        let mut scores = vec![0.0; self.kv.len() / row];
        let mut mixed = vec![0.0; mla.latent];
        for (i, ((plain, rotated), answer)) in
            self.queries(head).zip(answers.chunks_exact_mut(mla.value)).enumerate()
        {
            query[..mla.latent].fill(0.0);
            for (q, key) in plain.iter().zip(projections.key.chunks_exact(mla.latent)) {
                self.kernels.axpy(*q, key, &mut query[..mla.latent]);
            }
            query[mla.latent..].copy_from_slice(rotated);

            let seen = self.start + i + 1;
            let cached = &self.kv[..seen * row];
            self.kernels.dot_rows(&query, cached, &mut scores[..seen]);
            self.weigh(&mut scores[..seen]);

            mixed.fill(0.0);
            for (p, row) in scores[..seen].iter().zip(cached.chunks_exact(row)) {
                self.kernels.axpy(*p, &row[..mla.latent], &mut mixed);
            }
            self.kernels.dot_rows(&mixed, &projections.value, answer);
        }
    }

    fn expanded(&self, head: usize, projections: &Projections, columns: &Columns, answers: &mut [f32]) {
        let (mla, cached) = (self.mla, self.kv.len() / self.mla.row());
        let keys = self.expand(&projections.key, columns); // [nope, cached]
        let values = self.expand(&projections.value, columns); // [value, cached]
        let mut scores = vec![0.0; cached];
        for (i, ((plain, rotated), answer)) in
            self.queries(head).zip(answers.chunks_exact_mut(mla.value)).enumerate()
        {
            let seen = self.start + i + 1;
            let scores = &mut scores[..seen];
            scores.fill(0.0);
            let rows = keys.chunks_exact(cached).chain(columns.rotated.chunks_exact(cached));
            for (q, row) in plain.iter().chain(rotated).zip(rows) {
                self.kernels.axpy(*q, &row[..seen], scores);
            }
            self.weigh(scores);
            for (value, row) in answer.iter_mut().zip(values.chunks_exact(cached)) {
                *value = self.kernels.dot(scores, &row[..seen]);
            }
        }
    }

    /// A projection of every cached row: `[outputs, latent]` to `[outputs, cached]`.
    fn expand(&self, projection: &[f32], columns: &Columns) -> Vec<f32> {
        let (latent, cached) = (self.mla.latent, self.kv.len() / self.mla.row());
        let mut out = vec![0.0; projection.len() / latent * cached];
        for (row, out) in projection.chunks_exact(latent).zip(out.chunks_exact_mut(cached)) {
            self.kernels.dot_rows(row, &columns.latent, out);
        }
        out
    }

    fn columns(&self) -> Columns {
        let (row, latent) = (self.mla.row(), self.mla.latent);
        let rows = || self.kv.chunks_exact(row);
        let rotated: Vec<f32> = rows().flat_map(|row| &row[latent..]).copied().collect();
        Columns {
            latent: rows().flat_map(|row| &row[..latent]).copied().collect(),
            rotated: transpose(&rotated, self.mla.rotated),
        }
    }

    /// Scores to weights.
    fn weigh(&self, scores: &mut [f32]) {
        scores.iter_mut().for_each(|score| *score *= self.mla.scale);
        self.kernels.softmax(scores);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Backend, Cpu, Span};
    use quant::Quant;
    use spec::{Rope, RopePairs};

    fn numbers(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    fn mla() -> Mla {
        let rope = Rope { dims: 4, theta: 1e4, pairs: RopePairs::Adjacent, yarn: None };
        let (heads, latent, nope, rotated, value) = (3, 20, 6, 4, 5);
        Mla { heads, query_rank: None, latent, nope, rotated, value, rank_eps: 1e-6, scale: 0.3, rope }
    }

    /// The projections of `mla` in both spellings, holding the same numbers.
    fn both_spellings(cpu: &Cpu, mla: &Mla) -> [LatentUp; 2] {
        let rows = mla.nope + mla.value;
        let joint = numbers(mla.heads * rows * mla.latent, 7);
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for head in joint.chunks_exact(rows * mla.latent) {
            let (k, v) = head.split_at(mla.nope * mla.latent);
            key.extend(transpose(k, mla.latent));
            value.extend_from_slice(v);
        }
        let place =
            |rows, cols, values: &[f32]| cpu.place(Quant::F32, rows, cols, bytes(values), vec![]).unwrap();
        [
            LatentUp::Joint(place(mla.heads * rows, mla.latent, &joint)),
            LatentUp::Split {
                key: place(mla.heads * mla.latent, mla.nope, &key),
                value: place(mla.heads * mla.value, mla.latent, &value),
            },
        ]
    }

    #[test]
    fn both_forms_and_both_spellings_agree_with_the_definition() {
        let (cpu, mla) = (Cpu::new(2).unwrap(), mla());
        let (cached, span) = (9, Span { rows: 1..4, start: 6 });
        let q = super::super::tensor(5, mla.heads * mla.head(), numbers(5 * mla.heads * mla.head(), 1));
        let kv = super::super::tensor(cached, mla.row(), numbers(cached * mla.row(), 2));
        let mut seen: Vec<Vec<f32>> = Vec::new();
        for up in both_spellings(&cpu, &mla) {
            for form in [Form::Absorbed, Form::Expanded] {
                let mut out = cpu.tensor(5, mla.heads * mla.value).unwrap();
                let query = LatentQuery { mla: &mla, up: &up, form, q: &q, span: &span, kv: &kv };
                cpu.latent_attention(&query, &mut out).unwrap();
                assert!(host(&out)[..out.cols].iter().all(|value| *value == 0.0), "other rows stay");
                seen.push(host(&out).to_vec());
            }
        }
        assert_eq!(seen[0], seen[2], "the spelling does not change the bits");
        assert_eq!(seen[1], seen[3], "the spelling does not change the bits");
        let expected = defined(&mla, host(&q), &span, host(&kv));
        for form in &seen[..2] {
            let error =
                form.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
            assert!(error < 1e-5, "{error}");
        }
    }

    /// The definition, in f64 and without either trick.
    fn defined(mla: &Mla, q: &[f32], span: &Span, kv: &[f32]) -> Vec<f64> {
        let rows = mla.nope + mla.value;
        let joint = numbers(mla.heads * rows * mla.latent, 7);
        let mut out = vec![0.0; 5 * mla.heads * mla.value];
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        for (i, token) in span.rows.clone().enumerate() {
            for head in 0..mla.heads {
                let weights = &joint[head * rows * mla.latent..][..rows * mla.latent];
                let row = |r: usize| &weights[r * mla.latent..][..mla.latent];
                let q = &q[(token * mla.heads + head) * mla.head()..][..mla.head()];
                let cached = |j: usize| &kv[j * mla.row()..][..mla.row()];
                let score = |j: usize| -> f64 {
                    let latent = &cached(j)[..mla.latent];
                    let plain: f64 = (0..mla.nope).map(|n| f64::from(q[n]) * dot(row(n), latent)).sum();
                    (plain + dot(&q[mla.nope..], &cached(j)[mla.latent..])) * f64::from(mla.scale)
                };
                let weights: Vec<f64> = (0..=span.start + i).map(|j| score(j).exp()).collect();
                let sum: f64 = weights.iter().sum();
                for v in 0..mla.value {
                    let mixed = weights
                        .iter()
                        .enumerate()
                        .map(|(j, p)| p / sum * dot(row(mla.nope + v), &cached(j)[..mla.latent]));
                    out[(token * mla.heads + head) * mla.value + v] = mixed.sum();
                }
            }
        }
        out
    }
}
