//! From counters to figures: what an answer's speed was, and what it could have been.

use std::time::Duration;

use spec::Ffn;
use tidemill::{MemoryPlan, MultiplyAdds, Opened};

use super::answer::{Answer, Phase};

/// What the pool held when an answer began.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Arm {
    Cold,
    Rotating,
    Repeated,
}

impl Arm {
    /// In the order they are measured.
    pub const ALL: [Self; 3] = [Self::Cold, Self::Rotating, Self::Repeated];

    pub fn name(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Rotating => "rotating",
            Self::Repeated => "repeated",
        }
    }
}

/// One round: an answer of each arm, and the machine beside them.
pub struct Round {
    /// Bytes a second.
    pub memory: u64,
    /// Multiply-adds a second in registers alone; `None` where there is no such loop.
    pub peak: Option<f64>,
    /// Bytes a second; `None` when the model is small or its drive cannot be read past the page cache.
    pub drive: Option<u64>,
    /// As [`Arm::ALL`].
    pub answers: [Answer; 3],
}

/// What a model's weights cost.
pub struct Costs {
    /// Bytes of the weights that every pass uses.
    pub trunk: u64,
    /// Bytes of one expert, on average.
    pub expert: f64,
    /// Of a token.
    pub multiply_adds: MultiplyAdds,
}

impl Costs {
    pub fn of(opened: &Opened, plan: &MemoryPlan) -> Self {
        let traffic = opened.traffic(plan);
        let used = opened.manifest.spec.layers.iter().map(|layer| match &layer.ffn {
            Ffn::Moe(moe) => moe.router.top_k,
            Ffn::Dense { .. } => usize::from(plan.streams_dense),
        });
        let used = used.sum::<usize>().max(1);
        Self {
            trunk: traffic.trunk_per_token,
            expert: traffic.experts_per_token as f64 / used as f64,
            multiply_adds: opened.planned(plan).multiply_adds(),
        }
    }
}

/// One phase in one arm, as medians over all rounds.
#[derive(Clone, Debug)]
pub struct Figures {
    pub tok_s: f64,
    /// `None` when nothing was measured, because there was nothing to compute.
    pub ceiling_tok_s: f64,
    pub share: f64,
    /// `drive`, `memory` or `arithmetic`: what sets the ceiling, in most rounds.
    pub limited_by: &'static str,
    pub expert_bytes_per_token: f64,
    pub device_bytes_per_token: Option<f64>,
    pub hit_rate: f64,
    pub wait_seconds: f64,
    /// Per token, between the last expert of a pass and the first that the next names.
    pub exposed_seconds: f64,
    /// What the drive gave of what it can, over all the time and while experts were asked for; `None` when its rate or
    /// its bytes are not known.
    pub drive_busy: Option<f64>,
    pub drive_busy_in_experts: Option<f64>,
    /// Tokens a second if the drive never idled but for the exposed time, and what part of it was reached.
    pub streaming_ceiling_tok_s: Option<f64>,
    pub streaming_share: Option<f64>,
    /// Of every round, in order.
    pub each_tok_s: Vec<f64>,
}

impl Figures {
    /// Of the phase that `of` picks from each round.
    pub fn new(rounds: &[Round], costs: &Costs, of: impl Fn(&Round) -> Phase) -> Self {
        let phases: Vec<(&Round, Phase)> = rounds.iter().map(|round| (round, of(round))).collect();
        let over = |figure: &dyn Fn(&Round, &Phase) -> f64| -> Vec<f64> {
            phases.iter().map(|(round, phase)| figure(round, phase)).collect()
        };
        let each_tok_s = over(&|_, phase| speed(phase));
        let ceilings = over(&|round, phase| phase.tokens as f64 / bound(round, phase, costs).seconds);
        let shares: Vec<f64> =
            each_tok_s.iter().zip(&ceilings).map(|(speed, ceiling)| speed / ceiling).collect();
        let by = |name| phases.iter().filter(|(round, phase)| bound(round, phase, costs).by == name).count();
        let limited_by = ["arithmetic", "drive", "memory"].into_iter().max_by_key(|name| by(*name));
        let device: Option<Vec<f64>> =
            phases.iter().map(|(_, phase)| Some(phase.device_bytes? as f64 / per(phase))).collect();
        let known = |figure: &dyn Fn(&Phase, f64) -> Option<f64>| -> Option<f64> {
            let each: Option<Vec<f64>> =
                phases.iter().map(|(round, phase)| figure(phase, round.drive? as f64)).collect();
            each.map(|each| median(&each))
        };
        let busy = |phase: &Phase, rate: f64, time: Duration| {
            (!time.is_zero()).then_some(phase.device_bytes? as f64 / rate / time.as_secs_f64())
        };
        let streaming = |phase: &Phase, rate: f64| {
            let seconds = phase.expert_bytes as f64 / rate + phase.exposed.as_secs_f64();
            (seconds > 0.0).then_some(phase.tokens as f64 / seconds)
        };
        Self {
            exposed_seconds: median(&over(&|_, phase| phase.exposed.as_secs_f64() / per(phase))),
            drive_busy: known(&|phase, rate| busy(phase, rate, phase.elapsed)),
            drive_busy_in_experts: known(&|phase, rate| busy(phase, rate, phase.serving)),
            streaming_ceiling_tok_s: known(&streaming),
            streaming_share: known(&|phase, rate| Some(speed(phase) / streaming(phase, rate)?)),
            tok_s: median(&each_tok_s),
            ceiling_tok_s: median(&ceilings),
            share: median(&shares),
            limited_by: limited_by.unwrap_or_default(),
            expert_bytes_per_token: median(&over(&|_, phase| phase.expert_bytes as f64 / per(phase))),
            device_bytes_per_token: device.map(|device| median(&device)),
            hit_rate: median(&over(&|_, phase| phase.hits as f64 / phase.accesses.max(1) as f64)),
            wait_seconds: median(&over(&|_, phase| phase.wait.as_secs_f64())),
            each_tok_s,
        }
    }
}

fn per(phase: &Phase) -> f64 {
    phase.tokens.max(1) as f64
}

fn speed(phase: &Phase) -> f64 {
    phase.tokens as f64 / phase.elapsed.as_secs_f64().max(1e-9)
}

/// The least time a phase can take, and what takes it.
struct Bound {
    seconds: f64,
    by: &'static str,
}

/// What missed must come from the drive, all that is used from memory, and every token meets its weights; all at once at
/// best. Of a drive that is read through the page cache only what the kernel counted counts.
fn bound(round: &Round, phase: &Phase, costs: &Costs) -> Bound {
    let missed = phase.device_bytes.map_or(phase.expert_bytes, |bytes| bytes.min(phase.expert_bytes));
    let touched = phase.passes as f64 * costs.trunk as f64 + phase.accesses as f64 * costs.expert;
    let memory = touched / round.memory as f64;
    let drive = round.drive.map_or(0.0, |rate| missed as f64 / rate as f64);
    let MultiplyAdds { trunk, experts, head } = costs.multiply_adds;
    let products = phase.tokens as f64 * (trunk + experts) as f64 + phase.passes as f64 * head as f64;
    let arithmetic = round.peak.map_or(0.0, |rate| products / rate);
    let bounds = [(arithmetic, "arithmetic"), (drive, "drive"), (memory, "memory")];
    let (seconds, by) = bounds.into_iter().max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or_default();
    Bound { seconds, by }
}

/// The middle one, or the mean of the two in the middle.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        len if len % 2 == 1 => sorted[len / 2],
        len => 0.5 * (sorted[len / 2 - 1] + sorted[len / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(seconds: u64, device_bytes: Option<u64>) -> Phase {
        Phase {
            tokens: 10,
            passes: 10,
            elapsed: Duration::from_secs(seconds),
            accesses: 80,
            hits: 20,
            expert_bytes: 6000,
            device_bytes,
            wait: Duration::ZERO,
            serving: Duration::from_secs(seconds / 2),
            exposed: Duration::from_secs(3),
        }
    }

    fn round(decode: Phase, drive: Option<u64>) -> Round {
        let answer = || Answer { prefill: Phase::default(), decode };
        Round { memory: 1000, peak: Some(100.0), drive, answers: [answer(), answer(), answer()] }
    }

    /// Ten passes of a token take 10 · (10 + 20 + 5) multiply-adds, 3.5 seconds at 100 a second.
    fn costs() -> Costs {
        let multiply_adds = MultiplyAdds { trunk: 10, experts: 20, head: 5 };
        Costs { trunk: 100, expert: 100.0, multiply_adds }
    }

    #[test]
    fn the_ceiling_is_the_slowest_of_drive_memory_and_arithmetic() {
        let costs = costs();
        // Memory: 10 passes of 100 bytes and 80 experts of 100, 9 seconds at 1000 bytes a second.
        let cases = [
            (phase(20, None), None, 9.0, "memory"),
            (phase(20, None), Some(500), 12.0, "drive"),
            (phase(20, None), Some(1000), 9.0, "memory"),
            (phase(20, Some(50)), Some(500), 9.0, "memory"), // the page cache had it
            (phase(20, Some(7000)), Some(500), 12.0, "drive"), // pages are wider than experts
        ];
        for (phase, drive, seconds, by) in cases {
            let figures = Figures::new(&[round(phase, drive)], &costs, |round| round.answers[1].decode);
            assert!((figures.ceiling_tok_s - 10.0 / seconds).abs() < 1e-9, "{figures:?}");
            assert_eq!(figures.limited_by, by);
            assert!((figures.share - seconds / 20.0).abs() < 1e-9, "{figures:?}");
            assert!((figures.hit_rate - 0.25).abs() < 1e-9);
        }
        // One pass of ten tokens meets the head once: 10 · 30 + 5.
        let prompt = Phase { passes: 1, accesses: 8, ..phase(20, None) };
        for (peak, seconds, by) in [(Some(61.0), 5.0, "arithmetic"), (None, 0.9, "memory")] {
            let round = Round { peak, ..round(prompt, None) };
            let figures = Figures::new(&[round], &costs, |round| round.answers[1].decode);
            assert!((figures.ceiling_tok_s - 10.0 / seconds).abs() < 1e-9, "{figures:?}");
            assert_eq!(figures.limited_by, by);
        }
    }

    #[test]
    fn streaming_is_bound_by_reads_and_by_what_they_cannot_overlap() {
        let costs = costs();
        let decode = |device| {
            Figures::new(&[round(phase(20, device), Some(500))], &costs, |round| round.answers[1].decode)
        };
        // 6000 bytes at 500 a second, and 3 seconds beside them; 20 seconds in all, 10 of them in experts.
        let figures = decode(Some(6000));
        assert!((figures.streaming_ceiling_tok_s.unwrap() - 10.0 / 15.0).abs() < 1e-9, "{figures:?}");
        assert!((figures.streaming_share.unwrap() - 0.75).abs() < 1e-9);
        assert!((figures.drive_busy.unwrap() - 0.6).abs() < 1e-9);
        assert!((figures.drive_busy_in_experts.unwrap() - 1.2).abs() < 1e-9);
        assert!((figures.exposed_seconds - 0.3).abs() < 1e-9);
        assert_eq!(decode(None).drive_busy, None, "the system does not tell");
    }

    #[test]
    fn shares_are_medians_of_rounds_and_not_ratios_of_medians() {
        let costs = costs();
        let rounds: Vec<Round> =
            [(10, 1000), (20, 600), (40, 1000)].map(|(s, drive)| round(phase(s, None), Some(drive))).into();
        let figures = Figures::new(&rounds, &costs, |round| round.answers[0].decode);
        assert!((figures.tok_s - 0.5).abs() < 1e-9);
        assert!((figures.share - 0.5).abs() < 1e-9, "{figures:?}"); // of 0.9, 0.5 and 0.225
        assert_eq!(figures.each_tok_s, [1.0, 0.5, 0.25]);
    }

    #[test]
    fn a_median_of_an_even_number_is_the_mean_of_the_middle() {
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[4.0, 1.0]), 2.5);
        assert_eq!(median(&[9.0, 1.0, 2.0]), 2.0);
    }
}
