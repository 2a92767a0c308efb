//! `tidemill run`: one prompt, one answer.

use std::path::Path;

use base::{Error, Result};
use text::{ChatOptions, Message};
use tidemill::{Opened, demo};

use crate::args::{RunArgs, Stats, TraceArgs};
use crate::models::{self, DEMO};
use crate::recorder::Recorder;
use crate::session::{self, Ask, Piece, Voice, answer};
use crate::speaker::Speaker;
use crate::summary::Summary;
use crate::terminal;

/// What the demo model goes on from when nobody asks it anything. It was made to tell stories.
const STORY: &str = "Once upon a time, there was a little girl named Lily. One day,";

/// What to answer, and whether the chat template goes around it.
enum Prompt {
    Chat(String),
    Raw(String),
}

pub fn run(args: &RunArgs) -> Result<()> {
    run_and_record(args, None)
}

/// `tidemill trace`: the same, and which experts it used.
pub fn trace(args: &TraceArgs) -> Result<()> {
    run_and_record(&args.run, Some(&args.out))
}

fn run_and_record(args: &RunArgs, out: Option<&Path>) -> Result<()> {
    let (model, prompt) = what(args)?;
    let quiet = args.engine.quiet || args.json;
    let opened = Opened::read(&models::resolve(&model)?)?;
    let voice = Voice::of(&opened)?;
    let sampling = args.sampling.sampling(opened.checkpoint.generation_config.as_ref())?;
    let asked = asked(&voice, &prompt)?;
    let tokens = asked.tokens.len();

    let mut options = args.engine.options();
    let limit = opened.manifest.spec.context;
    let room = options.context.unwrap_or(limit).min(limit);
    if tokens >= room {
        let error = format!("the prompt has {tokens} tokens, and the context is {room}");
        return Err(Error::input(error).within(&model));
    }
    opened.check_tokens(&asked.tokens)?;
    if args.max_tokens == 0 {
        return Err(Error::input("0 tokens to generate"));
    }
    let wanted = tokens.saturating_add(args.max_tokens).min(limit);
    options.context = options.context.or(Some(wanted));
    options.prompt = Some(tokens);
    let plan = opened.plan(&options)?;
    let mut engine = models::load(opened, plan, &options, quiet)?;
    models::interrupt(&engine)?;

    let recorder =
        out.map(|out| Recorder::start(out, &model, &mut engine, &options.expert_policy)).transpose()?;
    let mut summary = Summary::start(&engine, &sampling, tokens);
    if let Prompt::Raw(text) = &prompt
        && !quiet
    {
        terminal::answer(text)?;
    }
    let max_tokens = args.max_tokens.min(plan.context.saturating_sub(tokens));
    let ask = Ask { prompt: asked, max_tokens, sampling, resume: None, quiet };
    let mut speaker = Speaker::plain(!quiet);
    let print = &mut |piece: Piece<'_>| if args.json { Ok(()) } else { speaker.say(piece) };
    let answer = answer(&mut engine, &voice, ask, print)?;
    summary.end(&engine, &answer);
    if let Some(recorder) = recorder {
        recorder.finish(&mut engine)?;
    }

    if args.json {
        terminal::json(&summary.json())?;
    } else {
        terminal::answer("\n")?;
    }
    match args.stats {
        Stats::Text if !quiet => terminal::note(&summary.line()),
        Stats::Json => terminal::note(&summary.json().to_string()),
        _ => {}
    }
    Ok(())
}

/// Model and prompt from the words typed. One word alone is the model, unless it can only be a prompt.
fn what(args: &RunArgs) -> Result<(String, Prompt)> {
    let (model, typed) = match (&args.model, &args.prompt) {
        (Some(only), None)
            if !models::is_model(only) && (only == "-" || only.contains(char::is_whitespace)) =>
        {
            (DEMO.to_owned(), Some(only.clone()))
        }
        (model, prompt) => (model.clone().unwrap_or(DEMO.to_owned()), prompt.clone()),
    };
    let text = match (typed, &args.prompt_file) {
        (Some(dash), _) if dash == "-" => Some(session::stdin()?),
        (Some(text), _) => Some(text),
        (None, Some(file)) => Some(
            std::fs::read_to_string(file)
                .map_err(|error| Error::input(format!("{}: {error}", file.display())))?,
        ),
        (None, None) => None,
    };
    let prompt = match text {
        Some(text) if args.raw => Prompt::Raw(text),
        Some(text) => Prompt::Chat(text),
        None if demo::named(&model).is_some() => Prompt::Raw(STORY.to_owned()),
        None => {
            let error = Error::input(format!("there is no prompt to answer for {model}"));
            return Err(error.hint(format!("tidemill run {model} \"Why is the sky blue?\"")));
        }
    };
    Ok((model, prompt))
}

fn asked(voice: &Voice, prompt: &Prompt) -> Result<session::Prompt> {
    match prompt {
        Prompt::Chat(text) if voice.template.is_some() => {
            voice.conversation(&[Message::new("user", text)], &ChatOptions::default())
        }
        Prompt::Chat(text) | Prompt::Raw(text) => voice.raw(text),
    }
}
