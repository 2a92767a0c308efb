//! Lookahead beside none, in one process: answers in turn, each with both, so that a drive whose rate wanders serves both
//! alike.

use base::Result;
use serde_json::{Value, json};
use tidemill::{Engine, Lookahead};

use super::answer::{Prompts, answer};
use super::figures::median;
use crate::args::BenchArgs;

/// What was measured.
pub struct Comparison {
    /// Tokens a second of each round, without guesses and with them.
    rounds: Vec<[f64; 2]>,
    guesses: experts::Guesses,
}

/// One prompt after another, decoded without guesses and with them; who is first takes turns. The pool begins each of
/// the two with what the same prompt left in it.
pub fn compare(
    engine: &mut Engine,
    prompts: &mut Prompts,
    args: &BenchArgs,
    done: &mut dyn FnMut(),
) -> Result<Comparison> {
    let before = engine.pool_stats().guesses;
    let mut rounds = Vec::new();
    for round in 0..usize::from(args.runs) {
        let prompt = prompts.next(args.prompt_tokens);
        let mut speeds = [0.0; 2];
        answer(engine, &prompt, args.tokens)?;
        for turn in 0..2 {
            let with = (round + turn) % 2;
            engine.look_ahead([Lookahead::Off, Lookahead::On][with]);
            let decode = answer(engine, &prompt, args.tokens)?.decode;
            speeds[with] = decode.tokens as f64 / decode.elapsed.as_secs_f64().max(1e-9);
            done();
        }
        engine.look_ahead(Lookahead::Off);
        rounds.push(speeds);
    }
    Ok(Comparison { rounds, guesses: engine.pool_stats().guesses.since(&before) })
}

impl Comparison {
    /// The object that other tools read.
    pub fn json(&self) -> Value {
        let guesses = &self.guesses;
        json!({
            "decode_tok_s": { "off": self.each(0), "on": self.each(1) },
            "ratio": self.ratio(),
            "lookahead": {
                "issued": guesses.issued,
                "useful": guesses.useful,
                "wasted": guesses.wasted,
                "cancelled": guesses.cancelled,
            },
        })
    }

    /// The same for people.
    pub fn text(&self) -> String {
        let [off, on] = [0, 1].map(|arm| median(&self.each(arm)));
        let experts::Guesses { issued, useful, wasted, cancelled } = self.guesses;
        format!(
            "decode without lookahead {off:.2} tok/s, with it {on:.2}; with it {:.3} times as fast (the median of {} pairs)\n\
             {issued} guesses: {useful} useful, {wasted} read for nothing, {cancelled} taken back in time\n",
            self.ratio(),
            self.rounds.len()
        )
    }

    fn each(&self, arm: usize) -> Vec<f64> {
        self.rounds.iter().map(|round| round[arm]).collect()
    }

    fn ratio(&self) -> f64 {
        median(&self.rounds.iter().map(|[off, on]| on / off).collect::<Vec<_>>())
    }
}
