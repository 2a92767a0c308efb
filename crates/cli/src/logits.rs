//! `tidemill logits`: what the model predicts after every token, for comparing engines.

use std::fs::File;
use std::io::{BufWriter, Write};

use base::{Error, Result, TokenId};
use tidemill::Opened;

use crate::args::LogitsArgs;
use crate::{models, terminal};

pub fn logits(args: &LogitsArgs) -> Result<()> {
    let opened = Opened::read(&models::resolve(&args.model)?)?;
    let tokens = match &args.prompt {
        Some(text) => opened.tokenizer()?.encode(text)?,
        None => args.tokens.clone(),
    };
    if tokens.is_empty() {
        return Err(Error::input("no tokens to compute logits of"));
    }
    opened.check_tokens(&tokens)?;
    let mut options = args.engine.exact_options();
    options.context = options.context.or(Some(tokens.len()));
    let plan = opened.plan(&options)?;
    let mut engine = models::load(opened, plan, &options, args.engine.quiet)?;
    let vocab = engine.spec().vocab;

    let failed = |error: std::io::Error| Error::io(args.out.display(), &error);
    // Under another name until it is whole: a file that is there already is replaced, never damaged.
    let unfinished = args.out.with_extension(format!("{}.part", std::process::id()));
    let mut out = BufWriter::new(File::create(&unfinished).map_err(failed)?);
    out.write_all(&npy_header(tokens.len(), vocab)).map_err(failed)?;
    let write = &mut |_: usize, logits: &[f32]| {
        logits.iter().try_for_each(|value| out.write_all(&value.to_le_bytes())).map_err(failed)
    };
    let scored =
        if args.decode { engine.score_by_token(&tokens, write) } else { engine.score(&tokens, write) };
    let written = scored.and_then(|()| out.flush().map_err(failed));
    let done = written.and_then(|()| std::fs::rename(&unfinished, &args.out).map_err(failed));
    if done.is_err() {
        let _ = std::fs::remove_file(&unfinished);
    }
    done?;
    if !args.engine.quiet {
        terminal::note(&describe(args, &tokens, vocab));
    }
    Ok(())
}

fn describe(args: &LogitsArgs, tokens: &[TokenId], vocab: usize) -> String {
    format!("{}: float32 [{}, {vocab}]", args.out.display(), tokens.len())
}

/// Header of an .npy file, version 1.0, of float32 `[rows, cols]`; its length is a multiple of 64.
fn npy_header(rows: usize, cols: usize) -> Vec<u8> {
    let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {cols}), }}");
    let padding = 64 - (10 + text.len() + 1) % 64;
    text.push_str(&" ".repeat(padding % 64));
    text.push('\n');
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend((text.len() as u16).to_le_bytes());
    header.extend(text.as_bytes());
    header
}
