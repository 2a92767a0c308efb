//! `tidemill bench`: how fast a model is on this machine, beside how fast it could be.
//!
//! Three answers a round, in one process: the first with no expert in memory (cold), the second to another prompt with
//! what the first left behind (rotating), the third to the second's prompt again (repeated). Drive, memory and multiply-adds
//! are measured in every round, next to the answers they are the ceiling of; medians are of the rounds, and shares are
//! medians of each round's own share. The rotating figure is the one to go by: a repeated prompt flatters every cache.

mod answer;
mod figures;
mod lookahead;
mod arithmetic;
mod report;
mod plot;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use base::{Error, Result, TokenId};
use kernels::{Activations, Kernels, Product, Threads};
use tidemill::{Engine, Opened, machine};

use crate::args::BenchArgs;
use crate::{models, probe, terminal};
use answer::{Prompts, answer};
use figures::{Arm, Costs, Round};

/// A few milliseconds each.
const PEAK_TRIES: usize = 20;

pub fn bench(args: &BenchArgs) -> Result<()> {
    let Some(model) = &args.model else { return arithmetic::bench(args) };
    check(args)?;
    let path = models::resolve(model)?;
    let opened = Opened::read(&path)?;
    let mut prompts = prompts(args, &opened)?;
    let mut options = args.engine.options();
    // One token more: the first of an answer comes from the prompt's pass, and is not decode's.
    options.context = Some(args.prompt_tokens + args.tokens + 1);
    options.prompt = Some(args.prompt_tokens);
    let budget = options.budget()?;
    // Measuring takes memory. Where there is little, it is done before there is an engine, and not again.
    let spare = budget / 8 >= probe::MEMORY_BYTES as u64;
    if spare {
        options.memory = Some(base::ByteSize(budget - probe::MEMORY_BYTES as u64));
    }
    let threads = options.threads.unwrap_or_else(machine::cores);
    let kernels = options.kernels()?;
    let product = match options.activations {
        Activations::Int8 => Product::Codes,
        Activations::F32 => Product::Floats,
    };
    let first = (probe::memory(threads)?, probe::model_drive(&opened, None)?);
    let looked_at = Opened::read(&path)?;
    let plan = opened.plan(&options)?;
    let costs = Costs::of(&opened, &plan);
    let quiet = args.engine.quiet || args.json;
    let mut engine = models::load(opened, plan, &options, quiet)?;
    models::interrupt(&engine)?;

    let bar = terminal::progress("measuring", quiet, terminal::ANSWERS);
    bar.set_length(u64::from(args.runs) * Arm::ALL.len() as u64);
    if args.compare_lookahead {
        bar.set_length(u64::from(args.runs) * 2);
        let compared = lookahead::compare(&mut engine, &mut prompts, args, &mut || bar.inc(1))?;
        bar.finish_and_clear();
        let text = if args.json { format!("{:#}\n", compared.json()) } else { compared.text() };
        return terminal::answer(&text);
    }
    let mut rounds = Vec::new();
    for _ in 0..args.runs {
        let (memory, drive) = match spare {
            true => (probe::memory(threads)?, probe::model_drive(&looked_at, Some(engine.reading().0))?),
            false => first,
        };
        let peak = peak(kernels, threads, product)?;
        forget_pages(&looked_at.manifest.files);
        let answers = round(&mut engine, &mut prompts, args, &mut || bar.inc(1))?;
        rounds.push(Round { memory, peak, drive, answers });
    }
    bar.finish_and_clear();

    let report = report::Report::new(args, &engine, &costs, &rounds, threads);
    if let Some(file) = &args.plot {
        let failed = |error| Error::io(file.display(), &error);
        std::fs::write(file, plot::svg(&report)).map_err(failed)?;
    }
    terminal::answer(&if args.json { format!("{:#}\n", report.json()) } else { report.table() })
}

/// Refuses what would only fail after minutes of measuring.
fn check(args: &BenchArgs) -> Result<()> {
    for (count, what) in [(args.prompt_tokens, "--prompt-tokens"), (args.tokens, "--tokens")] {
        if count == 0 {
            return Err(Error::input(format!("{what} is 0; there is nothing to measure")));
        }
    }
    let Some(file) = &args.plot else { return Ok(()) };
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() || file.is_dir() {
        return Err(Error::input(format!("{}: no file can be made here", file.display())));
    }
    Ok(())
}

/// Prompts for all rounds. Refuses a text that is too short for them, and prompts that the model has no context for.
fn prompts(args: &BenchArgs, opened: &Opened) -> Result<Prompts> {
    let (spec, needed) = (&opened.manifest.spec, args.prompt_tokens.saturating_add(args.tokens));
    if needed >= spec.context {
        return Err(Error::input(format!(
            "{} tokens of prompt and {} to generate; the model was made for {} tokens of context",
            args.prompt_tokens, args.tokens, spec.context
        )));
    }
    let Some(file) = &args.text else { return Ok(Prompts::Random { vocab: spec.vocab, seed: args.seed }) };
    let text = std::fs::read_to_string(file)
        .map_err(|error| Error::input(format!("{}: {error}", file.display())))?;
    let tokens = opened.tokenizer()?.encode_prompt(&text)?;
    opened.check_tokens(&tokens)?;
    let pieces: VecDeque<Vec<TokenId>> = tokens.chunks_exact(args.prompt_tokens).map(<[_]>::to_vec).collect();
    let wanted = 2 * usize::from(args.runs);
    if pieces.len() < wanted {
        return Err(Error::input(format!(
            "{}: {} tokens, but {} prompts of {} are needed",
            file.display(),
            tokens.len(),
            wanted,
            args.prompt_tokens
        )));
    }
    Ok(Prompts::Text(pieces))
}

/// The three answers, in order; `done` hears of each.
fn round(
    engine: &mut Engine,
    prompts: &mut Prompts,
    args: &BenchArgs,
    done: &mut dyn FnMut(),
) -> Result<[answer::Answer; 3]> {
    let mut ask = |engine: &mut Engine, prompt: &[TokenId]| {
        let answered = answer(engine, prompt, args.tokens);
        done();
        answered
    };
    engine.forget_experts()?;
    let cold = ask(engine, &prompts.next(args.prompt_tokens))?;
    let another = prompts.next(args.prompt_tokens);
    Ok([cold, ask(engine, &another)?, ask(engine, &another)?])
}

/// Multiply-adds a second in registers alone, the most of a few tries: in some a thread had to wait for a processor.
/// The threads end with it, and are not in the way of the engine's.
fn peak(kernels: &Kernels, threads: usize, product: Product) -> Result<Option<f64>> {
    let threads = Threads::new(threads)?;
    let tries = (0..PEAK_TRIES).filter_map(|_| arithmetic::in_registers(kernels, &threads, product));
    Ok(tries.max_by(f64::total_cmp))
}

/// Asks the system to drop what its page cache holds of the files, so that cold is cold where reads go through it. A
/// request that is not heard changes a figure and no answer, and the kernel's count of bytes tells.
#[cfg(target_os = "linux")]
fn forget_pages(files: &[PathBuf]) {
    for file in files.iter().filter_map(|path| std::fs::File::open(path).ok()) {
        let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
    }
}

#[cfg(not(target_os = "linux"))]
fn forget_pages(_: &[PathBuf]) {}
