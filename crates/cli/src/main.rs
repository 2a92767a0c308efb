//! The one binary: `tidemill`.
//!
//! A command turns what was typed into calls of the engine and prints what came of them. Answers go to stdout, all
//! else to stderr; with `--json` stdout holds exactly one JSON object.
#![forbid(unsafe_code)]

mod args;
mod terminal;
mod models;
mod session;
mod markdown;
mod speaker;
mod input;
mod summary;
mod recorder;
mod run;
mod traces;
mod svg;
mod curves;
mod streams;
mod simulate;
mod transcript;
mod chat;
mod serve;
mod inspect;
mod tokenize;
mod logits;
mod eval;
mod probe;
mod ceiling;
mod plan;
mod doctor;
mod synth;
mod bench;

use std::process::ExitCode;

use base::{Error, Kind, Result};
use clap::Parser;

use args::{Args, Command};

fn main() -> ExitCode {
    let args = Args::parse();
    match dispatch(args.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn dispatch(command: Command) -> Result<()> {
    match command {
        Command::Run(args) => run::run(&args),
        Command::Chat(args) => chat::chat(&args),
        Command::Serve(args) => serve::serve(&args),
        Command::Plan(args) => plan::plan(&args),
        Command::Inspect(args) => inspect::inspect(&args),
        Command::Tokenize(args) => tokenize::tokenize(&args),
        Command::Logits(args) => logits::logits(&args),
        Command::Eval(args) => eval::eval(&args),
        Command::Trace(args) => run::trace(&args),
        Command::Simulate(args) => simulate::simulate(&args),
        Command::Doctor(args) => doctor::doctor(&args),
        Command::Synth(args) => synth::synth(&args),
        Command::Bench(args) => bench::bench(&args),
    }
}

/// Says what went wrong; 2 when it was the input, 1 when it happened while running.
fn fail(error: &Error) -> ExitCode {
    terminal::complain(error);
    match error.kind() {
        Kind::Io | Kind::Cancelled => ExitCode::from(1),
        Kind::Input | Kind::Unsupported | Kind::Corrupt | Kind::Budget => ExitCode::from(2),
    }
}
