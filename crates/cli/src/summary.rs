//! What a run cost: the last line, and the object that other tools read.

use std::time::{Duration, Instant};

use base::ByteSize;
use experts::PoolStats;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tidemill::{Activations, Engine, Precision, Sampling, Totals, machine};

use crate::session::Answer;

/// Counters from before a run to after it.
pub struct Summary {
    prompt_tokens: usize,
    seed: u64,
    start: Instant,
    drive_before: Option<u64>,
    pool_before: PoolStats,
    totals_before: Totals,
    end: Option<End>,
}

struct End {
    text: String,
    reasoning: String,
    tokens: Vec<u32>,
    first_token: Option<f64>,
    drive_bytes: Option<u64>,
    pool: PoolStats,
    totals: Totals,
    budget: u64,
    trunk: u64,
    pinned: u64,
    kv: Precision,
    activations: Activations,
    io: &'static str,
    way: &'static str,
    drive_rate: Option<u64>,
    probed_before: Option<Duration>,
    backend: String,
    seconds: f64,
}

impl Summary {
    /// Before the prompt is computed.
    pub fn start(engine: &Engine, sampling: &Sampling, prompt_tokens: usize) -> Self {
        Self {
            prompt_tokens,
            seed: sampling.seed,
            start: Instant::now(),
            drive_before: machine::bytes_read_from_drives(),
            pool_before: engine.pool_stats(),
            totals_before: engine.totals(),
            end: None,
        }
    }

    /// After the last token.
    pub fn end(&mut self, engine: &Engine, answer: &Answer) {
        let drive_bytes =
            machine::bytes_read_from_drives().zip(self.drive_before).map(|(now, then)| now - then);
        self.end = Some(End {
            text: answer.text.clone(),
            reasoning: answer.reasoning.clone(),
            tokens: answer.tokens.clone(),
            first_token: answer.first_token.map(|time| time.as_secs_f64()),
            drive_bytes,
            pool: engine.pool_stats(),
            totals: engine.totals(),
            budget: engine.plan().budget,
            trunk: engine.plan().trunk,
            pinned: engine.pinned_bytes(),
            kv: engine.plan().precision,
            activations: engine.activations(),
            io: engine.io().0.name(),
            way: engine.reading().0.way.name(),
            drive_rate: engine.reading().1,
            probed_before: engine.probed_before(),
            backend: engine.backend_name(),
            seconds: self.start.elapsed().as_secs_f64(),
        });
    }
}

impl Summary {
    /// One line for people.
    pub fn line(&self) -> String {
        let Some(end) = &self.end else { return String::new() };
        let (hits, misses) = self.accesses(end);
        let hit_rate = if hits + misses > 0 { 100.0 * hits as f64 / (hits + misses) as f64 } else { 100.0 };
        let (prefill, decode) = self.rates(end);
        let mut parts = vec![
            format!("{} tokens", end.tokens.len()),
            format!("prefill {prefill:.1} tok/s"),
            format!("decode {decode:.1} tok/s"),
            format!("first token {:.2} s", end.first_token.unwrap_or(end.seconds)),
            format!("{} of experts read per token", ByteSize(self.decode_bytes_per_token(end))),
            format!("hit rate {hit_rate:.1} %"),
            format!("waited {:.2} s", (end.pool.wait - self.pool_before.wait).as_secs_f64()),
        ];
        if end.pool.longest_wait.as_secs() >= 5 {
            parts.push(format!("the drive once took {:.0} s", end.pool.longest_wait.as_secs_f64()));
        }
        if let Some(bytes) = end.drive_bytes {
            parts.push(format!("{} from the drive ({})", ByteSize(bytes), end.io));
        }
        if let Some(rate) = end.drive_rate {
            let busy = self
                .utilisation(end, end.totals.decode - self.totals_before.decode)
                .map_or(String::new(), |share| format!(", {:.0} % of it used", 100.0 * share));
            let days = end.probed_before.map_or(0, |age| age.as_secs() / 86_400);
            let probed = if days > 0 { format!(", ways chosen {days} days ago") } else { String::new() };
            parts.push(format!("drive {}/s{busy}{probed}", ByteSize(rate)));
        }
        if let (Some(ceiling), (_, decode)) = (self.ceiling(end), self.rates(end)) {
            let share = 100.0 * decode / ceiling;
            parts.push(format!(
                "{share:.0} % of the {ceiling:.2} tok/s that reads and what they cannot overlap allow"
            ));
        }
        let guesses = end.pool.guesses.since(&self.pool_before.guesses);
        if guesses.issued > 0 {
            parts.push(format!("{} of {} guesses right", guesses.useful, guesses.issued));
        }
        if end.kv == Precision::Q8 {
            parts.push("lossy: kv q8".to_owned());
        }
        if let Some(peak) = machine::peak_resident() {
            parts.push(format!("memory peak {} of {}", ByteSize(peak), ByteSize(end.budget)));
        }
        if end.pinned > 0 {
            parts.push(format!("{} pinned", ByteSize(end.pinned)));
        }
        if end.pool.given_back_bytes > self.pool_before.given_back_bytes {
            let bytes = end.pool.given_back_bytes - self.pool_before.given_back_bytes;
            parts.push(format!("{} given back to the system", ByteSize(bytes)));
        }
        parts.push(format!("output {:.12}", sha256(&end.text)));
        parts.join(" · ")
    }

    /// The object that other tools read.
    ///
    /// Figures of the drive are null when it was not probed: the page cache served the model, or all of it fits.
    pub fn json(&self) -> Value {
        let Some(end) = &self.end else { return Value::Null };
        let (hits, misses) = self.accesses(end);
        let (_, decode) = self.rates(end);
        let (now, then) = (&end.totals, &self.totals_before);
        let guesses = end.pool.guesses.since(&self.pool_before.guesses);
        json!({
            "text": end.text,
            "reasoning": end.reasoning,
            "tokens": end.tokens,
            "prompt_tokens": self.prompt_tokens,
            "prefill_seconds": (now.prefill - then.prefill).as_secs_f64(),
            "decode_tokens": now.decode_tokens - then.decode_tokens,
            "decode_seconds": (now.decode - then.decode).as_secs_f64(),
            "decode_tok_s": decode,
            "ttft_seconds": end.first_token,
            "bytes_read": end.drive_bytes,
            "decode_bytes_read": self.decode_drive_bytes(end),
            "expert_bytes_read": end.pool.bytes_read - self.pool_before.bytes_read,
            "expert_hits": hits,
            "expert_misses": misses,
            "expert_waits_seconds": (end.pool.wait - self.pool_before.wait).as_secs_f64(),
            "longest_wait_seconds": end.pool.longest_wait.as_secs_f64(),
            "expert_retries": end.pool.retries - self.pool_before.retries,
            "drive_bytes_per_second": end.drive_rate,
            "drive_utilisation": self.utilisation(end, now.decode - then.decode),
            "drive_utilisation_in_experts": self.utilisation(end, now.decode_serving - then.decode_serving),
            "decode_exposed_seconds": (now.decode_exposed - then.decode_exposed).as_secs_f64(),
            "decode_ceiling_tok_s": self.ceiling(end),
            "decode_share": self.ceiling(end).map(|ceiling| decode / ceiling),
            "probe_age_seconds": end.probed_before.map(|age| age.as_secs()),
            "io_engine": end.way,
            "memory_budget": end.budget,
            "trunk_bytes": end.trunk,
            "pinned_bytes": end.pinned,
            "given_back_bytes": end.pool.given_back_bytes - self.pool_before.given_back_bytes,
            "peak_memory": machine::peak_resident(),
            "major_faults": machine::major_faults(),
            "lookahead": {
                "issued": guesses.issued,
                "useful": guesses.useful,
                "wasted": guesses.wasted,
                "cancelled": guesses.cancelled,
            },
            "output_sha256": sha256(&end.text),
            "seed": self.seed,
            "io": end.io,
            "backend": end.backend,
            "activations": end.activations.name(),
            "kv": end.kv.name(),
            "lossy": if end.kv == Precision::Q8 { vec!["kv q8"] } else { vec![] },
        })
    }

    fn accesses(&self, end: &End) -> (u64, u64) {
        let hits = |stats: &PoolStats| stats.hits + stats.late_hits;
        (hits(&end.pool) - hits(&self.pool_before), end.pool.misses - self.pool_before.misses)
    }

    /// Tokens a second, of prompt and of answer.
    fn rates(&self, end: &End) -> (f64, f64) {
        let (now, then) = (&end.totals, &self.totals_before);
        let rate = |tokens: u64, time: Duration| {
            if time.is_zero() { 0.0 } else { tokens as f64 / time.as_secs_f64() }
        };
        (
            rate(now.prefill_tokens - then.prefill_tokens, now.prefill - then.prefill),
            rate(now.decode_tokens - then.decode_tokens, now.decode - then.decode),
        )
    }

    /// Bytes that decoding read from drives, by the kernel's count.
    fn decode_drive_bytes(&self, end: &End) -> Option<u64> {
        let bytes = |totals: &Totals| totals.decode_drive_bytes;
        Some(bytes(&end.totals)? - bytes(&self.totals_before).unwrap_or(0))
    }

    /// The share of the probed rate that decoding used over this part of its time.
    fn utilisation(&self, end: &End, time: Duration) -> Option<f64> {
        let possible = end.drive_rate? as f64 * time.as_secs_f64();
        (possible > 0.0).then_some(self.decode_drive_bytes(end)? as f64 / possible)
    }

    /// Tokens a second if the drive never idled but for what no read can overlap.
    fn ceiling(&self, end: &End) -> Option<f64> {
        let (now, then) = (&end.totals, &self.totals_before);
        let tokens = (now.decode_tokens - then.decode_tokens) as f64;
        let missed = (now.decode_bytes - then.decode_bytes) as f64 / end.drive_rate? as f64;
        let seconds = missed + (now.decode_exposed - then.decode_exposed).as_secs_f64();
        (tokens > 0.0 && seconds > 0.0).then_some(tokens / seconds)
    }

    fn decode_bytes_per_token(&self, end: &End) -> u64 {
        let (now, then) = (&end.totals, &self.totals_before);
        (now.decode_bytes - then.decode_bytes) / (now.decode_tokens - then.decode_tokens).max(1)
    }
}

fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
