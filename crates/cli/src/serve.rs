//! `tidemill serve`: a model behind HTTP.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::{Error, Result};
use etcetera::{BaseStrategy, choose_base_strategy};
use server::{Limits, ServeOptions, Server, Store, Voice};
use tidemill::{MemoryPlan, Opened, Options};

use crate::args::ServeArgs;
use crate::{models, terminal};

/// Contexts to choose from when nobody asks for one, the largest that leaves most of the memory to experts.
const CONTEXTS: [usize; 4] = [32_768, 16_384, 8_192, 4_096];

pub fn serve(args: &ServeArgs) -> Result<()> {
    let quiet = args.engine.quiet;
    let opened = Opened::read(&models::resolve(&args.model)?)?;
    let voice = Voice::of(&opened)?;
    let limits = Limits {
        parallel: usize::from(args.parallel),
        queue: usize::from(args.queue),
        body_bytes: args.max_body.0.min(1 << 30) as usize,
        deadline: args.deadline.map(|seconds| Duration::from_secs(u64::from(seconds))),
        grace: Duration::from_secs(u64::from(args.grace)),
        ..Limits::default()
    };
    let options = ServeOptions {
        address: SocketAddr::new(args.host, args.port),
        model: args.name.clone().unwrap_or_else(|| name(&args.model)),
        keys: keys(args)?,
        tls: args.tls_cert.clone().zip(args.tls_key.clone()),
        sampling: args.sampling.sampling(opened.checkpoint.generation_config.as_ref())?,
        limits,
        store: store(args, &opened)?,
    };
    let mut engine_options = args.engine.options();
    engine_options.sequences = usize::from(args.parallel);
    engine_options.beside = options.limits.memory_bytes(opened.manifest.spec.vocab);
    let plan = plan(&opened, &mut engine_options)?;
    let engine = models::load(opened, plan, &engine_options, quiet)?;

    let (model, open) = (options.model.clone(), options.keys.is_empty() && !args.host.is_loopback());
    let scheme = if options.tls.is_some() { "https" } else { "http" };
    let server = Server::bind(engine, voice, options)?;
    if open {
        terminal::note(
            "note: whoever reaches this address can use the server; --api-key lets in only who has the key",
        );
    }
    if !quiet {
        let context = plan.context;
        terminal::note(&format!(
            "{model} at {scheme}://{} ({} answers at once, {context} tokens of context)",
            server.address()?,
            args.parallel
        ));
    }
    server.run()
}

/// Plans for the context that was asked for, or else for one that fits without taking experts' memory.
fn plan(opened: &Opened, options: &mut Options) -> Result<MemoryPlan> {
    let most = opened.manifest.spec.context.saturating_mul(options.sequences);
    if options.context.is_some() {
        return opened.plan(options);
    }
    let mut last = Err(Error::input("no context was tried"));
    for context in CONTEXTS {
        options.context = Some(context.min(most));
        last = opened.plan(options);
        if last.as_ref().is_ok_and(|plan| {
            plan.kv + plan.scratch <= plan.pool / 4 || plan.pool >= opened.manifest.expert_bytes()
        }) {
            return last;
        }
    }
    last
}

/// What a model is called when nobody names it.
fn name(model: &str) -> String {
    let path = Path::new(model);
    let named = if path.is_dir() { path.file_name() } else { path.file_stem() };
    named.map_or_else(|| model.to_owned(), |name| name.to_string_lossy().into_owned())
}

fn keys(args: &ServeArgs) -> Result<Vec<String>> {
    let mut keys = args.api_key.clone();
    if let Some(file) = &args.api_key_file {
        let text = std::fs::read_to_string(file)
            .map_err(|error| Error::input(format!("{}: {error}", file.display())))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let before = keys.len();
        keys.extend(lines.map(str::to_owned));
        if keys.len() == before {
            return Err(Error::input("there is no key in the file").within(file.display()));
        }
    }
    match keys.iter().any(|key| key.is_empty()) {
        true => Err(Error::input("an API key is empty")),
        false => Ok(keys),
    }
}

/// Where prompts are kept, if they are.
fn store(args: &ServeArgs, opened: &Opened) -> Result<Option<Store>> {
    let usual = || -> Option<PathBuf> {
        Some(choose_base_strategy().ok()?.cache_dir().join("tidemill").join("prompts"))
    };
    match args.prompts_dir.clone().or_else(usual) {
        Some(folder) if args.prompts_size.0 > 0 => {
            let identity = opened.identity(&args.engine.options())?;
            Ok(Some(Store { folder, bytes: args.prompts_size.0, identity }))
        }
        _ => Ok(None),
    }
}
