//! From tokens to logits: the layers, one after another.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use backend::{Backend, Form, Rotation, Span, Tensor, Weight};
use base::{Error, LayerId, Result, Timeline, TokenId};
use experts::ExpertPool;
use spec::{ModelSpec, Rope};

use crate::blocks::{Ahead, Ffn, Mixer};
use crate::embedding::Embedding;
use crate::portion::portions;
use crate::step::{Entry, Guesser, Logits, Step, go_on, positions, spans};
use crate::stream::{Stream, Tap};

/// A model with everything resident in place, ready to run.
pub struct Decoder {
    pub(crate) spec: ModelSpec,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) embedding: Embedding,
    /// Of each of the model's rotations the angle per position of each rotated pair.
    pub(crate) frequencies: Vec<Vec<f32>>,
    pub(crate) layers: Vec<Layer>,
    /// Those whose feed-forward network every token uses and which does not stay in memory.
    pub(crate) streamed: Vec<LayerId>,
    pub(crate) norm: Weight,
    /// How that sees the residual stream.
    pub(crate) tap: Tap,
    /// `None`: the embedding is the head, and resident.
    pub(crate) head: Option<Weight>,
    pub(crate) form: Option<Form>,
    pub(crate) guesser: Option<Guesser>,
    pub(crate) timeline: Timeline,
}

/// One decoder layer.
pub(crate) struct Layer {
    pub(crate) id: LayerId,
    /// How mixer and feed-forward network see the residual stream.
    pub(crate) mixer_tap: Tap,
    pub(crate) ffn_tap: Tap,
    /// Which of the model's rotations the mixer has.
    pub(crate) rope: usize,
    pub(crate) mixer_norm: Weight,
    pub(crate) mixer: Mixer,
    pub(crate) ffn_norm: Weight,
    pub(crate) ffn: Ffn,
    pub(crate) eps: f32,
}

/// Rows the output head works on at a time, which bounds its memory on large vocabularies.
pub(crate) const HEAD_ROWS: usize = 4;

/// A token whose logits are asked for.
struct Asked {
    entry: usize,
    /// Its place in the entry.
    place: usize,
    /// Its row of the pass.
    row: usize,
}

/// Receives the logits of one token: the entry, the token's place in the entry, and `[vocab]` numbers.
pub type Emit<'a> = &'a mut dyn FnMut(usize, usize, &[f32]) -> Result<()>;

impl Decoder {
    /// What the model is.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Where it runs.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// Forces one form of latent attention instead of the cheaper one. They are equal but for rounding.
    pub fn force_form(&mut self, form: Option<Form>) {
        self.form = form;
    }

    /// Guesses what `guesser` says instead of what routers applied early say. No guess changes an answer.
    pub fn force_guesses(&mut self, guesser: Option<Guesser>) {
        self.guesser = guesser;
    }

    /// Writes down from now on what a pass does when.
    pub fn log_to(&mut self, timeline: Timeline) {
        self.timeline = timeline;
    }

    /// Takes a batch through every layer, and hands out the logits its entries ask for, entry by entry.
    ///
    /// When it fails (a read, a cancellation), no sequence keeps anything of it.
    /// `cancel` is looked at before every layer and every expert.
    pub fn forward(
        &self,
        entries: &mut [Entry<'_>],
        experts: &mut ExpertPool,
        cancel: &AtomicBool,
        emit: Emit<'_>,
    ) -> Result<()> {
        self.forward_with_progress(entries, experts, cancel, &mut |_| {}, emit)
    }

    /// [`forward`](Self::forward); `progress` hears now and then what share of the pass is done.
    pub fn forward_with_progress(
        &self,
        entries: &mut [Entry<'_>],
        experts: &mut ExpertPool,
        cancel: &AtomicBool,
        progress: &mut dyn FnMut(f64),
        emit: Emit<'_>,
    ) -> Result<()> {
        let tokens: Vec<TokenId> = entries.iter().flat_map(|entry| entry.tokens).copied().collect();
        if tokens.is_empty() {
            return Ok(());
        }
        let spans = spans(entries);
        let ropes = self.spec.ropes();
        let rotate = |spans: &[Span]| -> Vec<Rotation> {
            let positions = positions(spans);
            let of = |(rope, frequencies): (&&Rope, &Vec<f32>)| Rotation::new(rope, frequencies, &positions);
            let rotations = ropes.iter().zip(&self.frequencies).map(of);
            if ropes.is_empty() { vec![Rotation::none()] } else { rotations.collect() }
        };
        let (rotations, portions) = (rotate(&spans), portions(&spans, &rotate));
        let backend = self.backend.as_ref();
        let embedded = self.embedding.look_up(&tokens, backend)?;
        let mut x = Stream::new(embedded, self.spec.streams.as_ref(), backend)?;
        let (form, guesser, count) = (self.form, self.guesser, self.layers.len() as f64);
        let progress = &mut |layers: f64| progress(layers / count);
        let (timeline, streamed) = (&self.timeline, self.streamed.as_slice());
        let mut step = Step {
            backend,
            experts,
            entries,
            spans,
            rotations,
            rope: 0,
            tokens: &tokens,
            chosen: Vec::new(),
            portions,
            form,
            guesser,
            cancel,
            progress,
            timeline,
            streamed,
        };
        for (index, layer) in self.layers.iter().enumerate() {
            go_on(cancel)?;
            (step.progress)(index as f64);
            let _layer = timeline.during("layer", layer.id.0);
            let begins = self.spec.residuals.is_some_and(|of| index.is_multiple_of(of.layers));
            layer.forward(&mut x, begins, &self.layers[index + 1..], &mut step)?;
        }
        let (x, _) = x.seen(&self.tap, self.spec.norm_eps, backend)?;
        self.predict(&x, &step, emit)?;
        for entry in entries {
            entry.kv.commit(entry.tokens.len());
        }
        Ok(())
    }

    /// Final norm and output head, for the rows that were asked for: those of all entries together, so that the head is
    /// read once for several.
    fn predict(&self, x: &Tensor, step: &Step<'_, '_>, emit: Emit<'_>) -> Result<()> {
        let asked = step.entries.iter().zip(&step.spans).enumerate().flat_map(|(index, (entry, span))| {
            let rows = match entry.logits {
                Logits::None => 0..0,
                Logits::Last => span.rows.end.saturating_sub(1).max(span.rows.start)..span.rows.end,
                Logits::All => span.rows.clone(),
            };
            rows.map(move |row| Asked { entry: index, place: row - span.rows.start, row })
        });
        for asked in asked.collect::<Vec<_>>().chunks(HEAD_ROWS) {
            let logits = self.head(x, asked)?;
            for (asked, logits) in asked.iter().zip(logits.chunks_exact(self.spec.vocab)) {
                if !logits.iter().all(|logit| logit.is_finite()) {
                    return Err(Error::corrupt("the model's answer is no number; are its weights damaged?"));
                }
                emit(asked.entry, asked.place, logits)?;
            }
        }
        Ok(())
    }

    fn head(&self, x: &Tensor, asked: &[Asked]) -> Result<Vec<f32>> {
        let _head = self.timeline.during("head", 0);
        let backend = self.backend.as_ref();
        let mut last = backend.tensor(asked.len(), x.cols)?;
        for (i, asked) in asked.iter().enumerate() {
            backend.copy_rows(x, asked.row..asked.row + 1, &mut last, i)?;
        }
        let last = backend.rms_norm(&last, &self.norm, self.spec.norm_eps)?;
        let head = match (&self.head, &self.embedding) {
            (Some(head), _) | (None, Embedding::Resident(head)) => head,
            (None, Embedding::Rows { .. }) => return Err(Error::corrupt("the model has no output head")),
        };
        let logits = backend.matmul(&last, head)?;
        backend.to_host(&logits, 0..asked.len())
    }

    /// Refuses tokens the model does not have.
    pub fn check_tokens(&self, tokens: &[TokenId]) -> Result<()> {
        match tokens.iter().find(|token| **token as usize >= self.spec.vocab) {
            Some(token) => Err(Error::input(format!(
                "token {token} is past the vocabulary, which has {} tokens",
                self.spec.vocab
            ))),
            None => Ok(()),
        }
    }
}

impl Layer {
    /// `x` is the residual stream, added to in place, whose present block may begin here; `later` are the layers that
    /// follow.
    fn forward(&self, x: &mut Stream, begins: bool, later: &[Layer], step: &mut Step<'_, '_>) -> Result<()> {
        let backend = step.backend;
        self.ffn.begin(self.id, step)?;
        let (seen, way) = x.seen(&self.mixer_tap, self.eps, backend)?;
        let h = backend.rms_norm(&seen, &self.mixer_norm, self.eps)?;
        drop(seen);
        let mixer = step.timeline.during("mixer", self.id.0);
        step.rope = self.rope;
        let h = step.in_portions(&h, &mut |h, step| self.mixer.forward(self.id, h, step))?;
        drop(mixer);
        x.take(h, way, begins, backend)?;

        let (seen, way) = x.seen(&self.ffn_tap, self.eps, backend)?;
        let h = backend.rms_norm(&seen, &self.ffn_norm, self.eps)?;
        let ahead = later.iter().find_map(|layer| layer.ahead(&seen));
        let ffn = step.timeline.during("ffn", self.id.0);
        let h = self.ffn.forward(self.id, &h, ahead, step)?;
        drop((ffn, seen));
        x.take(h, way, false, backend)
    }

    /// What there is to guess with, if this layer has experts.
    fn ahead<'a>(&'a self, residual: &'a Tensor) -> Option<Ahead<'a>> {
        let Ffn::Moe(moe) = &self.ffn else { return None };
        Some(Ahead { layer: self.id, norm: &self.ffn_norm, eps: self.eps, moe, residual })
    }
}
