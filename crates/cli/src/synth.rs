//! `tidemill synth`: a file of random weights in the exact shapes of a real model.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use base::{ByteSize, Error, Result};
use geometry::{Geometry, Outline};
use serde_json::json;

use crate::args::SynthArgs;
use crate::terminal::{self, BYTES, progress};

/// What stays free on a drive beside the file: a drive filled to the last byte breaks other programs.
const SPARE: u64 = 64 << 20;

pub fn synth(args: &SynthArgs) -> Result<()> {
    let geometry = geometry::by_name(&args.geometry)?;
    let outline = Outline::new(geometry, &args.choice())?;
    check_space(&args.out, outline.bytes())?;
    let start = Instant::now();
    let written = write(&outline, &args.out, args.quiet || args.json);
    let seconds = written.map(|()| start.elapsed().as_secs_f64())?;
    if args.json {
        return terminal::json(&json!({
            "path": args.out.display().to_string(),
            "geometry": geometry.name,
            "layers": outline.layers,
            "parameters": outline.parameters(),
            "bytes": outline.bytes(),
            "seconds": seconds,
        }));
    }
    if !args.quiet {
        terminal::note(&line(geometry, &outline, &args.out, seconds));
    }
    Ok(())
}

fn line(geometry: &Geometry, outline: &Outline, out: &Path, seconds: f64) -> String {
    format!(
        "{}: {} in {seconds:.1} s, {} of {}'s {} layers with {} of experts",
        out.display(),
        ByteSize(outline.bytes()),
        outline.layers,
        geometry.name,
        geometry.layers,
        ByteSize(outline.expert_bytes()),
    )
}

/// Refuses a file that the drive has no room for.
fn check_space(out: &Path, bytes: u64) -> Result<()> {
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match free_space(folder) {
        Some(free) if bytes.saturating_add(SPARE) > free => Err(Error::input(format!(
            "{}: needs {}, and {} are free there",
            out.display(),
            ByteSize(bytes),
            ByteSize(free)
        ))
        .hint("write to another drive, or fewer layers with --layers")),
        _ => Ok(()),
    }
}

/// Bytes that may still be written to the drive of `folder`, where the system tells.
#[cfg(unix)]
fn free_space(folder: &Path) -> Option<u64> {
    let drive = rustix::fs::statvfs(folder).ok()?;
    drive.f_bavail.checked_mul(drive.f_frsize)
}

#[cfg(not(unix))]
fn free_space(_: &Path) -> Option<u64> {
    None
}

/// Writes the file, or leaves none behind.
fn write(outline: &Outline, out: &Path, quiet: bool) -> Result<()> {
    let cancelled = Arc::new(AtomicBool::new(false));
    let heard = cancelled.clone();
    ctrlc::set_handler(move || heard.store(true, Ordering::Relaxed))
        .map_err(|error| Error::input(format!("Ctrl-C cannot be caught: {error}")))?;
    let file =
        OpenOptions::new().write(true).create_new(true).open(out).map_err(|error| err_create(out, &error))?;
    let bar = progress("writing", quiet, BYTES);
    bar.set_length(outline.bytes());
    let written = outline.write(&file, &mut |done| {
        bar.set_position(done);
        if cancelled.load(Ordering::Relaxed) { Err(Error::cancelled()) } else { Ok(()) }
    });
    bar.finish_and_clear();
    let written = written.and_then(|()| {
        file.sync_all().map_err(|error| Error::io("the file cannot be written to the drive", &error))
    });
    written.map_err(|error| {
        drop(file);
        let _ = fs::remove_file(out);
        error.within(out.display())
    })
}

fn err_create(out: &Path, error: &std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::AlreadyExists => {
            Error::input(format!("{}: exists already; nothing is overwritten", out.display()))
        }
        _ => Error::input(format!("{}: no file can be made here: {error}", out.display())),
    }
}
