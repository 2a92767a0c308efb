//! A feed-forward network without a router that does not stay in memory: the one expert of its layer.
//!
//! Every token uses it, so what will be read is certain, and read ahead while layers before it are computed.

use backend::{Expert, Tensor, Use};
use base::{ExpertId, ExpertKey, LayerId, Result};
use manifest::ExpertMatrix;
use spec::Gate;

use super::moe::spell;
use crate::portion::PORTION;
use crate::step::{Step, go_on};

pub(crate) struct Streamed {
    /// Gate, up and down.
    pub(crate) matrices: [ExpertMatrix; 3],
    /// What these are multiplied with.
    pub(crate) factors: [f32; 3],
    /// How gate and up meet.
    pub(crate) gate: Gate,
}

impl Streamed {
    /// `[tokens, hidden]` to `[tokens, hidden]`.
    pub(crate) fn forward(&self, layer: LayerId, x: &Tensor, step: &mut Step<'_, '_>) -> Result<Tensor> {
        let (backend, cancel, timeline) = (step.backend, step.cancel, step.timeline);
        let place = step.streamed.iter().position(|other| *other == layer).unwrap_or(0);
        let in_turn =
            step.streamed.iter().cycle().skip(place + 1).take(step.streamed.len().saturating_sub(1));
        let next: Vec<ExpertKey> = in_turn.map(|other| ExpertKey::new(other.0, 0)).collect();
        let mut arrivals = step.experts.request(layer, &[(ExpertId(0), x.rows as u32)])?;
        arrivals.announce(&next);

        let uses: Vec<Use> = (0..x.rows).map(|row| Use { token: row, part: row }).collect();
        let mut out = backend.tensor(x.rows, x.cols)?;
        while let Some(lease) = arrivals.next_ready()? {
            let _expert = timeline.during("experts", 0);
            let matrices = spell(&self.matrices, false, self.factors, &lease)?;
            let expert = Expert { id: lease.expert, matrices, gate: self.gate, biases: None };
            for uses in uses.chunks(PORTION) {
                go_on(cancel)?;
                backend.experts(&mut out, x, &[(expert, uses)])?;
            }
        }
        Ok(out)
    }
}
