//! Figures in the text format of Prometheus.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::engine::Status;

/// Of OpenMetrics, which Prometheus asks for by itself.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What `status` says.
pub fn text(status: &Status) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("tidemill");
    registry.register_collector(Box::new(Figures(status.clone())));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Figures(Status);

impl Collector for Figures {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        let Status { answers, waiting, rates, memory, prefixes, totals } = &self.0;
        let counters = [
            ("answers_finished", "Answers that ended by themselves", totals.finished),
            ("answers_cancelled", "Answers whose client went away or whose time was over", totals.cancelled),
            ("answers_failed", "Answers that failed", totals.failed),
            ("steps", "Passes through the model", totals.steps),
            ("prompt_tokens", "Tokens of prompts that were computed", totals.prompt_tokens),
            ("generated_tokens", "Tokens that were generated", totals.tokens),
            ("expert_hits", "Experts found in memory", totals.expert_hits),
            ("expert_misses", "Experts that had to be read", totals.expert_misses),
            ("prefix_memory_hits", "Prompts whose beginning was in memory", prefixes.memory_hits),
            ("prefix_drive_hits", "Prompts whose beginning was on the drive", prefixes.drive_hits),
            ("prefix_misses", "Prompts of which nothing was known", prefixes.misses),
            ("prefix_tokens", "Tokens of prompts that were not computed again", prefixes.tokens),
            ("prefix_damaged", "Kept prompts that were damaged, and dropped", prefixes.damaged),
        ];
        for (name, help, value) in counters {
            counter(&mut to, name, help, None, value)?;
        }
        counter(
            &mut to,
            "expert_read",
            "Experts read from the drive",
            Some(&Unit::Bytes),
            totals.expert_bytes,
        )?;
        seconds(&mut to, "expert_wait", "Time without an expert to compute", totals.wait_seconds)?;
        seconds(&mut to, "busy", "Time of passes through the model", totals.busy_seconds)?;
        let gauges = [
            ("answers_running", "Answers being generated", answers.len() as f64),
            ("answers_waiting", "Answers that wait for their turn", *waiting as f64),
            ("decode_tokens_per_second", "Tokens generated a second, lately", rates.decode_tokens_per_second),
            ("prefill_tokens_per_second", "Prompt tokens a second, lately", rates.prefill_tokens_per_second),
            ("expert_hit_ratio", "Part of the experts found in memory, lately", rates.hit_rate),
            (
                "drive_bytes_per_second",
                "Bytes of experts read a second, lately",
                rates.drive_bytes_per_second,
            ),
            ("wait_ratio", "Part of the time without an expert to compute, lately", rates.wait_share),
            ("context_tokens", "Tokens of context in all", memory.context_tokens as f64),
            ("context_free_tokens", "Tokens of context nobody holds", memory.context_free_tokens as f64),
            ("prefixes_kept", "Finished sequences in memory", prefixes.kept as f64),
        ];
        for (name, help, value) in gauges {
            gauge(&mut to, name, help, None, value)?;
        }
        let bytes = [
            ("memory_budget", "What the process may use", memory.budget_bytes),
            ("memory_resident", "What the process uses", memory.resident_bytes.unwrap_or(0)),
            ("memory_trunk", "What every token needs", memory.trunk_bytes),
            ("memory_kv", "What attention may keep", memory.kv_bytes),
            ("memory_pool", "What experts may use", memory.pool_bytes),
            ("memory_pool_resident", "What resident experts use", memory.pool_resident_bytes),
            ("prefix_drive", "Kept prompts on the drive", prefixes.drive_bytes),
        ];
        for (name, help, value) in bytes {
            gauge(&mut to, name, help, Some(&Unit::Bytes), value as f64)?;
        }
        Ok(())
    }
}

fn counter(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    value: u64,
) -> fmt::Result {
    let figure = ConstCounter::new(value);
    figure.encode(to.encode_descriptor(name, help, unit, figure.metric_type())?)
}

fn seconds(to: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: f64) -> fmt::Result {
    let figure = ConstCounter::new(value);
    figure.encode(to.encode_descriptor(name, help, Some(&Unit::Seconds), figure.metric_type())?)
}

fn gauge(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    value: f64,
) -> fmt::Result {
    let figure = ConstGauge::new(value);
    figure.encode(to.encode_descriptor(name, help, unit, figure.metric_type())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_in_the_format() {
        let mut status = Status { waiting: 3, ..Status::default() };
        status.totals.tokens = 7;
        let text = text(&status).unwrap();
        assert!(text.contains("# TYPE tidemill_generated_tokens counter\n"), "{text}");
        assert!(text.contains("\ntidemill_generated_tokens_total 7\n"), "{text}");
        assert!(text.contains("\ntidemill_answers_waiting 3"), "{text}");
        assert!(text.contains("\ntidemill_expert_read_bytes_total 0\n"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }
}
