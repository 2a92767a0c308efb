//! What was measured, as a table and as JSON.

use base::ByteSize;
use serde_json::{Value, json};
use tidemill::{Engine, machine};

use super::figures::{Arm, Costs, Figures, Round, median};
use crate::args::BenchArgs;

/// All that is told.
pub struct Report {
    pub model: String,
    /// Prefill and decode of each arm, as [`Arm::ALL`].
    pub arms: [(Figures, Figures); 3],
    prompt_tokens: usize,
    tokens: usize,
    rounds: usize,
    threads: usize,
    memory: u64,
    /// `None` unless it was measured in every round; and so the next.
    peak: Option<u64>,
    drive: Option<u64>,
    io: &'static str,
    way: &'static str,
    backend: String,
    budget: u64,
}

impl Report {
    pub fn new(args: &BenchArgs, engine: &Engine, costs: &Costs, rounds: &[Round], threads: usize) -> Self {
        let arms = [0, 1, 2].map(|arm| {
            let prefill = Figures::new(rounds, costs, |round| round.answers[arm].prefill);
            (prefill, Figures::new(rounds, costs, |round| round.answers[arm].decode))
        });
        let memory: Vec<f64> = rounds.iter().map(|round| round.memory as f64).collect();
        let peak: Option<Vec<f64>> = rounds.iter().map(|round| round.peak).collect();
        let drive: Option<Vec<f64>> =
            rounds.iter().map(|round| round.drive.map(|rate| rate as f64)).collect();
        Self {
            model: args.model.clone().unwrap_or_default(),
            arms,
            prompt_tokens: args.prompt_tokens,
            tokens: args.tokens,
            rounds: rounds.len(),
            threads,
            memory: median(&memory) as u64,
            peak: peak.map(|peak| median(&peak) as u64),
            drive: drive.map(|drive| median(&drive) as u64),
            io: engine.io().0.name(),
            way: engine.reading().0.way.name(),
            backend: engine.backend_name(),
            budget: engine.plan().budget,
        }
    }

    /// Figures of an arm.
    pub fn arm(&self, arm: Arm) -> &(Figures, Figures) {
        &self.arms[arm as usize]
    }

    /// The object that other tools read. `prefill` and `decode` at its top are those of rotating prompts.
    pub fn json(&self) -> Value {
        let phase = |figures: &Figures| {
            json!({
                "tok_s": figures.tok_s,
                "ceiling_tok_s": figures.ceiling_tok_s,
                "share": figures.share,
                "limited_by": figures.limited_by,
                "expert_bytes_per_token": figures.expert_bytes_per_token,
                "device_bytes_per_token": figures.device_bytes_per_token,
                "hit_rate": figures.hit_rate,
                "wait_seconds": figures.wait_seconds,
                "exposed_seconds_per_token": figures.exposed_seconds,
                "drive_utilisation": figures.drive_busy,
                "drive_utilisation_in_experts": figures.drive_busy_in_experts,
                "streaming_ceiling_tok_s": figures.streaming_ceiling_tok_s,
                "streaming_share": figures.streaming_share,
                "each_tok_s": figures.each_tok_s,
            })
        };
        let arm = |arm: Arm| {
            let (prefill, decode) = self.arm(arm);
            json!({ "prefill": phase(prefill), "decode": phase(decode) })
        };
        let (prefill, decode) = self.arm(Arm::Rotating);
        json!({
            "model": self.model,
            "prefill": phase(prefill),
            "decode": phase(decode),
            "cold": arm(Arm::Cold),
            "rotating": arm(Arm::Rotating),
            "repeated": arm(Arm::Repeated),
            "runs": self.rounds,
            "prompt_tokens": self.prompt_tokens,
            "decode_tokens": self.tokens,
            "threads": self.threads,
            "memory_bytes_per_second": self.memory,
            "peak_multiply_adds_per_second": self.peak,
            "drive_bytes_per_second": self.drive,
            "memory_budget": self.budget,
            "peak_memory": machine::peak_resident(),
            "io": self.io,
            "io_engine": self.way,
            "backend": self.backend,
        })
    }

    /// The same for people.
    pub fn table(&self) -> String {
        let drive = match self.drive {
            Some(rate) => format!("drive {}/s", ByteSize(rate)),
            None => "drive not measured (a small model, or no reads past the page cache)".to_owned(),
        };
        let peak = self.peak.map_or(String::new(), |peak| format!("{:.0} GMAC/s; ", peak as f64 / 1e9));
        let mut text = format!(
            "{}: {} tokens of prompt, {} generated, medians of {}\n{}; memory {}/s; {peak}{drive}; experts {}, {}\n\n",
            self.model,
            self.prompt_tokens,
            self.tokens,
            self.rounds,
            self.backend,
            ByteSize(self.memory),
            self.io,
            self.way
        );
        text += &format!(
            "{:<18}{:>10}{:>10}{:>8}{:>12}{:>16}{:>16}{:>9}\n",
            "", "tok/s", "ceiling", "share", "by", "experts/token", "device/token", "hits"
        );
        for arm in Arm::ALL {
            let (prefill, decode) = self.arm(arm);
            text += &row(&format!("{} prefill", arm.name()), prefill);
            text += &row(&format!("{} decode", arm.name()), decode);
        }
        text + &streaming(&self.arm(Arm::Rotating).1)
    }
}

/// What the drive did while rotating prompts were decoded; nothing where its rate is not known.
fn streaming(decode: &Figures) -> String {
    let percent = |share: f64| format!("{:.0} %", 100.0 * share);
    let (Some(whole), Some(inside)) = (decode.drive_busy, decode.drive_busy_in_experts) else {
        return String::new();
    };
    let mut text = format!(
        "\nrotating decode: {} of the drive used while experts were asked for, {} over all\n",
        percent(inside),
        percent(whole)
    );
    if let (Some(ceiling), Some(share)) = (decode.streaming_ceiling_tok_s, decode.streaming_share) {
        text += &format!(
            "{:.1} ms a token that no read can overlap; with it, and what was missed, {ceiling:.2} tok/s are possible: {}\n",
            1e3 * decode.exposed_seconds,
            percent(share)
        );
    }
    text
}

fn row(name: &str, figures: &Figures) -> String {
    let size = |bytes: f64| ByteSize(bytes as u64).to_string();
    format!(
        "{name:<18}{:>10.2}{:>10.2}{:>6.0} %{:>12}{:>16}{:>16}{:>7.1} %\n",
        figures.tok_s,
        figures.ceiling_tok_s,
        100.0 * figures.share,
        figures.limited_by,
        size(figures.expert_bytes_per_token),
        figures.device_bytes_per_token.map_or("not told".to_owned(), size),
        100.0 * figures.hit_rate,
    )
}
