//! Prompts that begin as a former one did: what was computed of it is found, shared and kept.

use std::io::{Read, Write};

use base::{ExpertId, LayerId, Result, TokenId};
use kv::{Beginnings, KvCache, Saving};

use super::Engine;
use crate::sequence::{Request, Sequence, SequenceId};

impl Engine {
    /// The sequence, under way or finished, of whose beginning most can serve a prompt of `tokens`, and how many of its
    /// tokens that are. Of equal ones, the latest.
    pub fn likest(&self, tokens: &[TokenId]) -> Option<(SequenceId, usize)> {
        let shared = |(id, sequence): (&SequenceId, &Sequence)| {
            let kept = &sequence.tokens[..sequence.kv.len()];
            (*id, sequence.kv.keepable(shared(kept, tokens)))
        };
        self.sequences.iter().map(shared).max_by_key(|(id, shared)| (*shared, *id))
    }

    /// The tokens of a sequence whose attention state is kept.
    pub fn computed(&self, id: SequenceId) -> Option<&[TokenId]> {
        self.sequences.get(&id).map(|sequence| &sequence.tokens[..sequence.kv.len()])
    }

    /// Tokens of the context that no sequence holds; none when there is no room for another state.
    pub fn room(&self) -> usize {
        match self.check_state(0) {
            Ok(()) => self.plan.context.saturating_sub(self.kept()),
            Err(_) => 0,
        }
    }

    /// Tokens of the context that a sequence holds.
    pub fn held(&self, id: SequenceId) -> usize {
        self.sequences.get(&id).map_or(0, |sequence| sequence.kv.capacity())
    }

    /// Gives back what a finished sequence holds of the context beyond its own tokens.
    pub fn settle(&mut self, id: SequenceId) {
        if let Some(sequence) = self.sequences.get_mut(&id).filter(|sequence| sequence.finish.is_some()) {
            sequence.kv.shrink();
        }
    }

    /// From which beginnings of its [computed](Self::computed) tokens a sequence could go on.
    pub fn beginnings(&self, id: SequenceId) -> Option<Beginnings> {
        self.sequences.get(&id).map(|sequence| sequence.kv.beginnings())
    }

    /// Bytes that are written of a sequence when it is [saved](Self::save_piece).
    pub fn saved_bytes(&self, id: SequenceId) -> u64 {
        let bytes = |sequence: &Sequence| sequence.kv.saved_bytes(self.spec(), sequence.kv.len());
        self.sequences.get(&id).map_or(0, bytes)
    }

    /// Writes a piece of the attention state of the tokens of a sequence that are [`computed`](Self::computed), about a
    /// MiB of it, from where `saving` has come to; whether there is more. The sequence must be finished and stay as it is
    /// meanwhile.
    pub fn save_piece(&self, id: SequenceId, saving: &mut Saving, out: &mut dyn Write) -> Result<bool> {
        let Some(sequence) = self.sequences.get(&id) else { return Ok(false) };
        sequence.kv.save_piece(self.spec(), self.decoder.backend().as_ref(), saving, out)
    }

    /// [`submit`](Self::submit), with the attention state of `kept` tokens that was [saved](Self::save_piece) and of which the
    /// first `shared` are those of the prompt.
    pub fn submit_saved(
        &mut self,
        request: Request,
        kept: usize,
        shared: usize,
        input: &mut dyn Read,
    ) -> Result<SequenceId> {
        let capacity = request.capacity().max(kept);
        self.check(&request, capacity, 0)?;
        let backend = self.decoder.backend().as_ref();
        let mut kv = KvCache::restore(self.spec(), backend, self.plan.precision, capacity, input)?;
        kv.truncate(shared.min(request.tokens.len() - 1));
        Ok(self.begin(request, kv))
    }

    /// Whether a layer has all these experts.
    pub fn has_experts(&self, layer: LayerId, experts: &[ExpertId]) -> bool {
        let moe = self.spec().layers.get(layer.0 as usize).and_then(|layer| layer.moe());
        moe.is_some_and(|moe| experts.iter().all(|expert| (expert.0 as usize) < moe.experts))
    }

    /// Reads experts of a layer that will be wanted; each listed once, and no more than the pool has room for.
    pub fn warm(&mut self, layer: LayerId, experts: &[ExpertId]) -> Result<()> {
        let wanted: Vec<(ExpertId, u32)> = experts.iter().map(|expert| (*expert, 1)).collect();
        let mut arrivals = self.pool.request(layer, &wanted)?;
        while arrivals.next_ready()?.is_some() {}
        Ok(())
    }

    /// Attention state for a request that begins as the sequence `id` does, which stays as it is.
    pub(super) fn copied(&self, request: &Request, id: SequenceId) -> Result<KvCache> {
        let backend = self.decoder.backend().as_ref();
        let Some(source) = self.sequences.get(&id) else {
            return KvCache::new(self.spec(), backend, self.plan.precision, request.capacity());
        };
        let kept = &source.tokens[..source.kv.len()];
        let shared = shared(kept, &request.tokens).min(request.tokens.len() - 1);
        source.kv.fork(self.spec(), backend, shared, request.capacity())
    }
}

/// How many tokens both begin with.
pub(super) fn shared(kept: &[TokenId], tokens: &[TokenId]) -> usize {
    kept.iter().zip(tokens).take_while(|(a, b)| a == b).count()
}
