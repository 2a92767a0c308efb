//! `tidemill eval`: how well a model predicts a text, alone or beside another.

use base::{ByteSize, Error, Result, TokenId};
use serde_json::json;
use tidemill::{Engine, Opened, likeliest, machine};

use crate::args::EvalArgs;
use crate::terminal::{TOKENS, progress};
use crate::{models, terminal};

pub fn eval(args: &EvalArgs) -> Result<()> {
    if args.window == 0 {
        return Err(Error::input("a window of 0 tokens predicts nothing"));
    }
    let text = std::fs::read_to_string(&args.text)
        .map_err(|error| Error::input(format!("{}: {error}", args.text.display())))?;
    let mut options = args.engine.exact_options();
    let opened = Opened::read(&models::resolve(&args.model)?)?;
    // Control tokens spelled out in a corpus, such as the end of a document, are what they say.
    let tokens = opened.tokenizer()?.encode_trusted(&text)?;
    // The last token is only predicted, and predicts nothing.
    let predictable = tokens.len().saturating_sub(1);
    if predictable < args.window {
        return Err(Error::input(format!(
            "{} has {} tokens; expected more than the window of {}",
            args.text.display(),
            tokens.len(),
            args.window
        )));
    }
    options.context = options.context.or(Some(args.window));
    options.prompt = Some(args.window);
    opened.check_tokens(&tokens)?;
    // Two models share the budget, beside what the first of them said about a window.
    let said = (args.window * opened.manifest.spec.vocab * size_of::<f32>()) as u64;
    let half = options.budget()?.saturating_sub(said) / 2;
    if args.against.is_some() {
        options.memory = Some(ByteSize(half));
    }
    let plan = opened.plan(&options)?;
    let mut engine = models::load(opened, plan, &options, args.engine.quiet)?;
    models::interrupt(&engine)?;
    let mut reference = match &args.against {
        Some(other) => {
            // The plan counts what the process holds by now: the first model.
            options.memory = Some(ByteSize(half + machine::resident().unwrap_or(0)));
            Some(models::open(other, &options, args.engine.quiet)?)
        }
        None => None,
    };

    let windows = predictable / args.window;
    let bar = progress("scoring", args.engine.quiet, TOKENS);
    bar.set_length((windows * args.window) as u64);
    let mut score = Score::default();
    for window in 0..windows {
        let start = window * args.window;
        let window = &tokens[start..=start + args.window];
        score.window(&mut engine, reference.as_mut(), window)?;
        bar.set_position((start + args.window) as u64);
    }
    bar.finish_and_clear();
    score.print(args)
}

/// What was found so far.
#[derive(Default)]
struct Score {
    nll_per_window: Vec<f64>,
    tokens: usize,
    divergences: Vec<f64>,
    flips: usize,
}

impl Score {
    /// One window: token `i` predicts token `i + 1`.
    fn window(
        &mut self,
        engine: &mut Engine,
        reference: Option<&mut Engine>,
        window: &[TokenId],
    ) -> Result<()> {
        let inputs = &window[..window.len() - 1];
        let mut expected: Vec<f32> = Vec::new();
        if let Some(reference) = reference {
            if reference.spec().vocab != engine.spec().vocab {
                return Err(Error::input("the two models have vocabularies of different sizes"));
            }
            reference.score(inputs, &mut |_, logits| {
                expected.extend_from_slice(logits);
                Ok(())
            })?;
        }
        let (mut nll, mut divergences, mut flips) = (0.0, Vec::new(), 0);
        engine.score(inputs, &mut |i, logits| {
            let found = log_softmax(logits);
            nll -= found[window[i + 1] as usize];
            if let Some(expected) = expected.get(i * logits.len()..(i + 1) * logits.len()) {
                divergences.push(divergence(&log_softmax(expected), &found));
                flips += usize::from(likeliest(expected) != likeliest(logits));
            }
            Ok(())
        })?;
        self.nll_per_window.push(nll / inputs.len() as f64);
        self.tokens += inputs.len();
        self.divergences.extend(divergences);
        self.flips += flips;
        Ok(())
    }

    fn print(mut self, args: &EvalArgs) -> Result<()> {
        let mean = self.nll_per_window.iter().sum::<f64>() / self.nll_per_window.len() as f64;
        let mut object = json!({
            "perplexity": mean.exp(),
            "mean_nll": mean,
            "nll_per_window": self.nll_per_window,
            "tokens": self.tokens,
        });
        let mut line =
            format!("perplexity {:.4} (mean loss {mean:.6}) over {} tokens", mean.exp(), self.tokens);
        if args.against.is_some() {
            self.divergences.sort_by(f64::total_cmp);
            let kl_mean = self.divergences.iter().sum::<f64>() / self.divergences.len() as f64;
            let kl_p999 = quantile(&self.divergences, 0.999);
            object["kl_mean"] = kl_mean.into();
            object["kl_p999"] = kl_p999.into();
            object["top1_flips"] = self.flips.into();
            line.push_str(&format!(
                "; divergence {kl_mean:.6} mean, {kl_p999:.6} at 99.9 %; {} of {} likeliest tokens differ",
                self.flips, self.tokens
            ));
        }
        if args.json { terminal::json(&object) } else { terminal::answer(&format!("{line}\n")) }
    }
}

fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from(logit - most).exp()).sum();
    let norm = f64::from(most) + sum.ln();
    logits.iter().map(|logit| f64::from(*logit) - norm).collect()
}

/// Kullback-Leibler divergence of `found` from `expected`, both log probabilities, in nats.
fn divergence(expected: &[f64], found: &[f64]) -> f64 {
    expected.iter().zip(found).map(|(p, q)| if *p > -700.0 { p.exp() * (p - q) } else { 0.0 }).sum()
}

/// Of sorted values, the smallest that at least this share does not exceed.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_does_not_diverge_from_itself() {
        let p = log_softmax(&[1.0, 2.0, -3.0]);
        assert!((p.iter().map(|x| x.exp()).sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!(divergence(&p, &p), 0.0);
        let q = log_softmax(&[2.0, 1.0, -3.0]);
        assert!(divergence(&p, &q) > 0.1);
    }

    #[test]
    fn a_quantile_is_a_value_that_occurred() {
        assert_eq!(quantile(&[1.0, 2.0, 3.0], 0.999), 3.0);
        assert_eq!(quantile(&[1.0, 2.0, 3.0], 0.5), 2.0);
    }
}
