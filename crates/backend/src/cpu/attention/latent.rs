//! Latent attention: what both forms work on.

use spec::Mla;

use super::{Machine, WAVE, grown};
use crate::cpu::memory::{host, host_mut};
use crate::{Chosen, Form, KvRows, LatentQuery, Tensor};

/// See [`crate::Backend::latent_attention`].
pub(crate) fn run(machine: &Machine<'_>, query: &LatentQuery<'_>, out: &mut Tensor) {
    let LatentQuery { mla, up, form, q, span, kv, chosen } = *query;
    let tokens = span.rows.len();
    let q = &host(q)[span.rows.start * q.cols..span.rows.end * q.cols];
    let task = Task { machine, mla, start: span.start, q, kv, chosen };
    let width = out.cols;
    let rows = &mut host_mut(out)[span.rows.start * width..span.rows.end * width];

    machine.memory.with_space(|space| {
        // [heads, tokens of the wave, value]
        let wave = match form {
            Form::Absorbed if chosen.is_some() => 1,
            Form::Absorbed => WAVE,
            Form::Expanded => tokens,
        };
        let answers = grown(&mut space.values, mla.heads * wave.min(tokens) * mla.value);
        for start in (0..tokens).step_by(wave) {
            let wave = start..tokens.min(start + wave);
            let answers = &mut answers[..mla.heads * wave.len() * mla.value];
            match form {
                Form::Absorbed => task.absorbed(up, wave.clone(), answers),
                Form::Expanded => {
                    machine.threads.for_chunks(answers, tokens * mla.value, &|head, answers| {
                        machine.memory.with_space(|space| task.expanded(up, head, answers, space));
                    });
                }
            }
            for (head, answer) in answers.chunks_exact(wave.len() * mla.value).enumerate() {
                let rows = rows[wave.start * width..].chunks_exact_mut(width);
                for (row, part) in rows.zip(answer.chunks_exact(mla.value)) {
                    row[head * mla.value..][..mla.value].copy_from_slice(part);
                }
            }
        }
    });
}

/// What every head works on.
pub(super) struct Task<'a> {
    pub(super) machine: &'a Machine<'a>,
    pub(super) mla: &'a Mla,
    /// Position of the first token.
    pub(super) start: usize,
    /// `[tokens, heads * (nope + rotated)]`
    q: &'a [f32],
    /// `[cached, latent + rotated]`
    pub(super) kv: &'a KvRows,
    /// The rows that each token attends to; `None`: all up to its own.
    pub(super) chosen: Option<&'a Chosen>,
}

impl Task<'_> {
    /// The query of `head` for a token: its plain part, then its rotated one.
    pub(super) fn query(&self, token: usize, head: usize) -> &[f32] {
        let width = self.mla.head();
        &self.q[(token * self.mla.heads + head) * width..][..width]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Backend, Cpu, LatentUp, Precision, Span};
    use quant::Quant;
    use spec::{Rope, RopePairs, Scope, Stretch};

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
        let rope = Rope { dims: 4, theta: 1e4, pairs: RopePairs::Adjacent, stretch: Stretch::None };
        let (heads, latent, nope, rotated, value) = (3, 20, 6, 4, 5);
        Mla {
            heads,
            query_rank: None,
            latent,
            nope,
            rotated,
            value,
            gate: false,
            rank_eps: 1e-6,
            scale: 0.3,
            scope: Scope::All,
            rope: Some(rope),
        }
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
        let q = cpu.upload(5, mla.heads * mla.head(), numbers(5 * mla.heads * mla.head(), 1)).unwrap();
        let rows = cpu.upload(cached, mla.row(), numbers(cached * mla.row(), 2)).unwrap();
        let mut kv = cpu.kv_rows(cached, mla.row(), Precision::F32).unwrap();
        cpu.store_kv(&rows, 0..cached, &mut kv, 0).unwrap();
        let mut seen: Vec<Vec<f32>> = Vec::new();
        for up in both_spellings(&cpu, &mla) {
            for form in [Form::Absorbed, Form::Expanded] {
                let mut out = cpu.tensor(5, mla.heads * mla.value).unwrap();
                let query =
                    LatentQuery { mla: &mla, up: &up, form, q: &q, span: &span, kv: &kv, chosen: None };
                cpu.latent_attention(&query, &mut out).unwrap();
                assert!(host(&out)[..out.cols].iter().all(|value| *value == 0.0), "other rows stay");
                seen.push(host(&out).to_vec());
            }
        }
        assert_eq!(seen.len(), 4);
        assert_eq!(seen[1], seen[3], "the spelling does not change the bits");
        let expected = defined(&mla, host(&q), &span, host(&rows));
        for form in &seen {
            let error =
                form.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
            assert!(error < 1e-5, "{error}");
        }
    }

    /// `[rows, cols]` to `[cols, rows]`.
    fn transpose(x: &[f32], cols: usize) -> Vec<f32> {
        (0..cols).flat_map(|c| x.iter().skip(c).step_by(cols)).copied().collect()
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
