//! What the next layer may ask for, and how far such forecasts have been right.
//!
//! Bytes are touched elsewhere: here is only which experts are foreseen, and whether it pays to believe it. A guess that
//! is right gains the time in which the drive would have idled; one that is wrong delays the demands behind it. So each
//! layer's forecasts are judged by what its router then chose, and believed while most of them were right.

use std::collections::VecDeque;

use base::{ExpertId, ExpertKey, LayerId};

/// Whether experts are read before their layer asks for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lookahead {
    /// Where the layer's forecasts have mostly been right.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// Guesses at a time. Each holds a slot beside those of residents.
pub const GUESS_SLOTS: usize = 4;

/// Forecasts of a layer that are judged before any is believed.
const TRIAL: u32 = 8;
/// The share of guesses that has to be right: about where gain and delay balance, when a read takes twice as long as
/// what lies between two layers.
const BELIEVED: f32 = 0.6;
/// How much one forecast moves the share.
const STEP: f32 = 1.0 / 16.0;
/// Of layers that are not worth a forecast, one request of so many is foreseen all the same, as texts change.
const PROBE: u32 = 16;

/// What is foreseen, and what is known of forecasts.
#[derive(Debug, Default)]
pub(crate) struct Forecasts {
    pub mode: Lookahead,
    /// What will be asked for, in order.
    pub certain: VecDeque<ExpertKey>,
    pending: Option<Forecast>,
    /// [layers], as far as seen
    records: Vec<Record>,
}

/// What one layer may ask for.
#[derive(Debug)]
struct Forecast {
    layer: LayerId,
    /// Those of the likeliest that are not here, the likeliest first.
    experts: Vec<ExpertId>,
    /// How many of them were handed out to be read.
    taken: usize,
}

/// How one layer's forecasts did.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    judged: u32,
    /// Faded share of guesses that were right.
    right: f32,
    /// Forecasts in a row of which everything was here already.
    idle: u32,
    skipped: u32,
}

impl Forecasts {
    pub fn new(mode: Lookahead) -> Self {
        Self { mode, ..Self::default() }
    }

    /// Whether it is worth to find out what `layer` may ask for.
    pub fn is_wanted(&mut self, layer: LayerId) -> bool {
        match self.mode {
            Lookahead::Off => false,
            Lookahead::On => true,
            Lookahead::Auto => self.record(layer).is_worth_it(),
        }
    }

    /// `layer` may ask for these, which are not here.
    pub fn announce(&mut self, layer: LayerId, experts: Vec<ExpertId>) {
        let record = self.record(layer);
        record.idle = if experts.is_empty() { record.idle.saturating_add(1) } else { 0 };
        self.pending = Some(Forecast { layer, experts, taken: 0 });
    }

    /// The next expert to read, if one is certain or a forecast is believed; and which of these it is.
    pub fn next(&mut self) -> Option<(ExpertKey, bool)> {
        if let Some(key) = self.certain.pop_front() {
            return Some((key, true));
        }
        let layer = self.pending.as_ref()?.layer;
        let believed = self.mode == Lookahead::On || self.record(layer).is_believed();
        let pending = self.pending.as_mut().filter(|_| believed)?;
        let expert = pending.experts.get(pending.taken).copied()?;
        pending.taken += 1;
        Some((ExpertKey { layer, expert }, false))
    }

    /// `layer` asks for `experts`: what was foreseen is over, and judged if it was about this layer.
    pub fn judge(&mut self, layer: LayerId, experts: &[(ExpertId, u32)]) {
        let Some(pending) = self.pending.take().filter(|pending| pending.layer == layer) else { return };
        if pending.experts.is_empty() {
            return;
        }
        let asked = |guess: &&ExpertId| experts.iter().any(|(expert, _)| expert == *guess);
        let right = pending.experts.iter().filter(asked).count() as f32 / pending.experts.len() as f32;
        let record = self.record(layer);
        let step = STEP.max(1.0 / (record.judged + 1) as f32);
        record.right += step * (right - record.right);
        record.judged = record.judged.saturating_add(1);
    }

    fn record(&mut self, layer: LayerId) -> &mut Record {
        let index = layer.0 as usize;
        if self.records.len() <= index {
            self.records.resize(index + 1, Record::default());
        }
        &mut self.records[index]
    }
}

impl Record {
    fn is_believed(self) -> bool {
        self.judged >= TRIAL && self.right >= BELIEVED
    }

    fn is_worth_it(&mut self) -> bool {
        if self.idle < TRIAL && (self.judged < TRIAL || self.is_believed()) {
            return true;
        }
        self.skipped = self.skipped.wrapping_add(1);
        self.skipped.is_multiple_of(PROBE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYER: LayerId = LayerId(3);

    /// Announces experts 0 and 1, of which the layer then asks for `right`. Answers with what was believed.
    fn round(forecasts: &mut Forecasts, right: &[u32]) -> usize {
        forecasts.announce(LAYER, vec![ExpertId(0), ExpertId(1)]);
        let believed = std::iter::from_fn(|| forecasts.next()).count();
        let asked: Vec<_> = right.iter().chain(&[7]).map(|expert| (ExpertId(*expert), 1)).collect();
        forecasts.judge(LAYER, &asked);
        believed
    }

    #[test]
    fn a_layer_is_believed_once_it_has_been_right_and_no_more_when_it_errs() {
        let mut forecasts = Forecasts::default();
        for _ in 0..TRIAL {
            assert!(forecasts.is_wanted(LAYER));
            assert_eq!(round(&mut forecasts, &[0, 1]), 0, "on trial");
        }
        assert_eq!(round(&mut forecasts, &[0, 1]), 2);
        for _ in 0..32 {
            round(&mut forecasts, &[]);
        }
        assert_eq!(round(&mut forecasts, &[]), 0);
        let wanted = (0..10 * PROBE).filter(|_| forecasts.is_wanted(LAYER)).count();
        assert_eq!(wanted, 10, "now and then it is tried again");
        assert_eq!(std::iter::from_fn(|| forecasts.next()).count(), 0, "nothing is pending");
    }

    #[test]
    fn a_layer_with_everything_here_is_seldom_foreseen() {
        let mut forecasts = Forecasts::default();
        for _ in 0..TRIAL {
            assert!(forecasts.is_wanted(LAYER));
            forecasts.announce(LAYER, Vec::new());
            forecasts.judge(LAYER, &[(ExpertId(0), 1)]);
        }
        assert!(!forecasts.is_wanted(LAYER));
    }

    #[test]
    fn off_is_never_and_on_is_always() {
        let mut forecasts = Forecasts { mode: Lookahead::Off, ..Forecasts::default() };
        assert!(!forecasts.is_wanted(LAYER));
        forecasts.mode = Lookahead::On;
        assert!(forecasts.is_wanted(LAYER));
        assert_eq!(round(&mut forecasts, &[]), 2);
        forecasts.announce(LAYER, vec![ExpertId(0)]);
        forecasts.judge(LayerId(1), &[]);
        assert!(forecasts.next().is_none(), "what was foreseen ends with the next request, whosever it is");
    }
}
