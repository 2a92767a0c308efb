//! `tidemill doctor`: this machine, as far as a model's speed depends on it, and advice in sentences.

use std::path::Path;

use base::{ByteSize, Result};
use disk::{Files, Io};
use kernels::{Isa, Kernels};
use serde_json::{Value, json};
use tidemill::machine;

use crate::args::DoctorArgs;
use crate::probe::{self, Drive, SCRATCH_BYTES, ScratchFile};
use crate::terminal::{self, BYTES, progress};

/// Sizes of reads, and how many in flight: a small expert's matrix, and a large one's.
const READS: &[(u64, usize)] =
    &[(128 << 10, 8), (1 << 20, 8), (4 << 20, 1), (4 << 20, 4), (4 << 20, 8), (16 << 20, 4)];

/// One way the drive was measured.
struct Measured {
    io: Io,
    drive: Drive,
}

pub fn doctor(args: &DoctorArgs) -> Result<()> {
    let cores = machine::cores();
    let isa: Vec<&str> =
        Isa::ALL.iter().filter(|isa| Kernels::for_isa(**isa).is_some()).map(|isa| isa.name()).collect();
    let (drives, note) = drives(&args.dir, args.json)?;
    let memory_rate = probe::memory(cores)?;
    let limit = machine::memory_limit();
    let memlock = machine::locked_memory_limit();
    let advice = advice(&drives, note.as_deref(), limit, memlock);
    if args.json {
        return terminal::json(&json!({
            "cores": cores,
            "isa": isa,
            "memory_bytes_per_second": memory_rate,
            "memory_limit": limit,
            "memlock_limit": memlock,
            "drives": drives.iter().map(|measured| row(&args.dir, measured)).collect::<Vec<_>>(),
            "advice": advice,
        }));
    }
    let size =
        |bytes: Option<u64>| bytes.map_or("not told by this system".to_owned(), |b| ByteSize(b).to_string());
    let mut text = format!("processor     {cores} cores, {}\n", isa.join(", "));
    text += &format!("memory        {} usable, read at {}/s\n", size(limit), ByteSize(memory_rate));
    text += &format!("locked memory {}\n", size(memlock));
    text += &format!("drive         {}\n", args.dir.display());
    for Measured { io, drive } in &drives {
        text += &format!(
            "  {:<9} {:>9} x {:<2} {:>10}/s{}\n",
            io.name(),
            ByteSize(drive.read_size).to_string(),
            drive.depth,
            ByteSize(drive.bytes_per_second).to_string(),
            if drive.proven { "" } else { "   not all of it from a drive" }
        );
    }
    text += "\n";
    advice.iter().for_each(|sentence| text += &format!("- {sentence}\n"));
    terminal::answer(&text)
}

/// The drive by size and depth, past the page cache and through it; and why not past it, if so.
fn drives(folder: &Path, quiet: bool) -> Result<(Vec<Measured>, Option<String>)> {
    let bar = progress("writing a file to read", quiet, BYTES);
    bar.set_length(SCRATCH_BYTES);
    let scratch = ScratchFile::create(folder, &mut |done| bar.set_position(done));
    bar.finish_and_clear();
    let scratch = scratch?;
    let paths = std::slice::from_ref(&scratch.path);
    let mut measured = Vec::new();
    let probed = Files::open(paths, Io::Direct)?;
    let note = probed.io_note().map(str::to_owned);
    if probed.io() == Io::Direct {
        for (size, depth) in READS {
            let files = Files::open(paths, Io::Direct)?;
            let drive =
                probe::drive(files, &ScratchFile::records(*size), &probe::whole_reads(Io::Direct, *depth))?;
            measured.push(Measured { io: Io::Direct, drive });
        }
    }
    for (size, depth) in READS {
        let files = Files::open(paths, Io::Buffered)?;
        files.forget_cached();
        let setting = probe::whole_reads(Io::Buffered, *depth);
        let drive = probe::drive(files, &ScratchFile::records(*size), &setting)?;
        measured.push(Measured { io: Io::Buffered, drive });
    }
    Ok((measured, note))
}

fn row(folder: &Path, Measured { io, drive }: &Measured) -> Value {
    json!({
        "path": folder.display().to_string(),
        "mode": io.name(),
        "read_size": drive.read_size,
        "depth": drive.depth,
        "bytes_per_second": drive.bytes_per_second,
        "from_drive": drive.proven,
    })
}

fn advice(drives: &[Measured], note: Option<&str>, limit: Option<u64>, memlock: Option<u64>) -> Vec<String> {
    let mut advice = Vec::new();
    let best = drives.iter().filter(|m| m.io == Io::Direct).max_by_key(|m| m.drive.bytes_per_second);
    match (best, note) {
        (Some(Measured { drive, .. }), _) => {
            let per_token = 11_900_000_000.0 / drive.bytes_per_second as f64;
            advice.push(format!(
                "The drive gives {}/s at best: Kimi K2 at 4.5 bits with nothing cached would take {per_token:.1} s a \
                 token.",
                ByteSize(drive.bytes_per_second)
            ));
            if drive.bytes_per_second < 1_000_000_000 {
                advice.push("An NVMe drive would be several times faster; is this folder on one?".to_owned());
            }
        }
        (None, Some(note)) => advice.push(format!("Reads go through the page cache here: {note}.")),
        (None, None) => {}
    }
    let buffered = drives.iter().filter(|m| m.io == Io::Buffered).max_by_key(|m| m.drive.bytes_per_second);
    if let (Some(direct), Some(buffered)) = (best, buffered)
        && direct.drive.proven
        && buffered.drive.proven
    {
        let ratio = direct.drive.bytes_per_second as f64 / buffered.drive.bytes_per_second.max(1) as f64;
        let (faster, ratio) = if ratio < 1.0 { ("through", 1.0 / ratio) } else { ("past", ratio) };
        advice.push(format!("Reading {faster} the page cache is {ratio:.1} times as fast here."));
    }
    if best.is_some_and(|direct| !direct.drive.proven) {
        advice.push(
            "The system takes direct reads but does not count them as a drive's: memory may serve them."
                .to_owned(),
        );
    }
    if let Some(limit) = limit {
        advice.push(format!("Without --memory a run takes up to {}.", ByteSize(limit / 4 * 3)));
    }
    if let Some(limit) = memlock.filter(|limit| *limit < 1 << 36) {
        advice.push(format!(
            "Up to {} of what every token reads can be pinned in memory (ulimit -l); of a larger model the system may \
             page out the rest when others need memory.",
            ByteSize(limit)
        ));
    }
    advice
}
