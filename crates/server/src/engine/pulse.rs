//! What the engine did in the last seconds, and since it was started: what people look at.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::Serialize;
use tidemill::StepReport;
use utoipa::ToSchema;

/// How far back rates look.
const WINDOW: Duration = Duration::from_secs(20);

/// Rates over the last steps.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct Rates {
    /// Tokens of prompts a second, in steps that computed some.
    pub prefill_tokens_per_second: f64,
    /// Tokens of answers a second.
    pub decode_tokens_per_second: f64,
    /// The part of experts that was found in memory.
    pub hit_rate: f64,
    /// Bytes of experts read a second.
    pub drive_bytes_per_second: f64,
    /// The part of the time in which nothing could be computed for want of experts.
    pub wait_share: f64,
}

/// The steps of the last seconds.
#[derive(Default)]
pub(super) struct Pulse {
    steps: VecDeque<(Instant, StepReport)>,
}

impl Pulse {
    /// Takes a step that has just ended.
    pub fn beat(&mut self, report: StepReport) {
        self.steps.push_back((Instant::now(), report));
        while self.steps.front().is_some_and(|(at, _)| at.elapsed() > WINDOW) {
            self.steps.pop_front();
        }
    }

    /// Rates of what was seen lately.
    pub fn rates(&self) -> Rates {
        let of =
            |number: fn(&StepReport) -> f64| self.steps.iter().map(|(_, step)| number(step)).sum::<f64>();
        let seconds = of(|step| step.elapsed.as_secs_f64());
        let prefill_seconds =
            of(|step| if step.prefill_tokens > 0 { step.elapsed.as_secs_f64() } else { 0.0 });
        let part = |number: f64, whole: f64| if whole > 0.0 { number / whole } else { 0.0 };
        let hits = of(|step| step.hits as f64);
        Rates {
            prefill_tokens_per_second: part(of(|step| step.prefill_tokens as f64), prefill_seconds),
            decode_tokens_per_second: part(of(|step| step.decode_tokens as f64), seconds),
            hit_rate: part(hits, hits + of(|step| step.misses as f64)),
            drive_bytes_per_second: part(of(|step| step.bytes_read as f64), seconds),
            wait_share: part(of(|step| step.wait.as_secs_f64()), seconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_per_second_of_steps() {
        let mut pulse = Pulse::default();
        assert_eq!(pulse.rates().hit_rate, 0.0);
        let step = |prefill_tokens, decode_tokens| StepReport {
            prefill_tokens,
            decode_tokens,
            elapsed: Duration::from_secs(2),
            hits: 3,
            misses: 1,
            bytes_read: 100,
            wait: Duration::from_secs(1),
            ..StepReport::default()
        };
        pulse.beat(step(64, 2));
        pulse.beat(step(0, 2));
        let rates = pulse.rates();
        assert_eq!((rates.prefill_tokens_per_second, rates.decode_tokens_per_second), (32.0, 1.0));
        assert_eq!((rates.hit_rate, rates.drive_bytes_per_second, rates.wait_share), (0.75, 50.0, 0.5));
    }
}
