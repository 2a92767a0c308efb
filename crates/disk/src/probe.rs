//! A short look at a drive before it is used: how these records of these files are best read, and how fast that is.
//!
//! Under half a second in all. Past the page cache is the usual winner (docs/experiments/0006-ways-to-read.md), but not on every drive; and where a file system takes the
//! request and serves memory all the same, only the system's own count of bytes tells.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base::{ByteSize, Extent, Result};

use crate::files::Files;
use crate::measure::{Measured, Walk, measure};
use crate::{Io, Setting, Way, start};

/// What to look at.
#[derive(Debug)]
pub struct Question<'a> {
    /// The model's files.
    pub paths: &'a [PathBuf],
    /// Records as they will be read, or some of them; at least one.
    pub records: &'a [Vec<Extent>],
    /// Decided already: past the page cache or through it.
    pub io: Option<Io>,
    /// Decided already: who hands reads to the system.
    pub way: Option<Way>,
    /// What an earlier probe of this drive chose. Only its rate is measured then: drives differ from hour to hour.
    pub known: Option<Setting>,
    /// Bytes that buffers may take meanwhile. One record is taken in any case.
    pub memory: u64,
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// How to read.
    pub setting: Setting,
    /// What that gave. `None` when the bytes are not proven to have come from a drive.
    pub bytes_per_second: Option<u64>,
    /// What people should know, if anything.
    pub note: Option<String>,
}

/// How long one candidate is tried.
const TRIAL: Duration = Duration::from_millis(35);
/// How long the chosen one is measured.
const MEASURE: Duration = Duration::from_millis(100);
/// Reads in flight and chunk sizes worth trying, the least delay first: a deep queue makes the expert that is needed
/// now wait for those that come later.
const LONG: [(usize, usize); 3] = [(4, 4 << 20), (8, 2 << 20), (16, 1 << 20)];
/// The same for records whose runs are a megabyte or less.
const SHORT: [(usize, usize); 3] = [(8, 4 << 20), (16, 4 << 20), (32, 4 << 20)];
/// A candidate must be faster than an earlier one by more than a trial's error.
const CLEARLY: f64 = 1.05;
/// Reads through the page cache are chosen when they win as often in a row.
const ROUNDS: usize = 3;

/// Looks at the drive. Fails as reads of the files do.
pub fn probe(question: &Question<'_>) -> Result<Answer> {
    let mut walk = Walk::new(question.records);
    let direct = match question.io {
        Some(Io::Buffered) => None,
        _ => Some(Files::open(question.paths, Io::Direct)?),
    };
    let refused = direct.as_ref().and_then(|files| files.io_note().map(str::to_owned));
    let Some(direct) = direct.filter(|files| files.io() == Io::Direct).map(Arc::new) else {
        return buffered(question, &mut walk, refused);
    };
    let mut setting = match question.known.filter(|known| known.io == Io::Direct) {
        Some(known) => known,
        None => choose(question, &direct, &mut walk)?,
    };
    setting.way = question.way.unwrap_or(setting.way);
    let measured = trial(question, &direct, &setting, &mut walk, MEASURE)?;
    if measured.drive_bytes.is_some() && !measured.is_proven() {
        return buffered(question, &mut walk, Some(note_no_bypass(&measured)));
    }
    if question.io.is_none()
        && let Some(rate) = through_the_cache(question, &direct, &setting, &mut walk, &measured)?
    {
        let setting = Setting { io: Io::Buffered, ..setting };
        return Ok(Answer { setting, bytes_per_second: Some(rate), note: None });
    }
    let bytes_per_second = measured.is_proven().then(|| measured.bytes_per_second());
    Ok(Answer { setting, bytes_per_second, note: None })
}

/// The best of the candidates, or the first when none is clearly better.
fn choose(question: &Question<'_>, files: &Arc<Files>, walk: &mut Walk<'_>) -> Result<Setting> {
    let longest = question.records.iter().flatten().map(|extent| extent.len).max().unwrap_or(0);
    let candidates = if longest > 1 << 20 { LONG } else { SHORT };
    let mut best: Option<(Setting, u64)> = None;
    for (depth, chunk_bytes) in candidates {
        for way in [Way::Ring, Way::Threads] {
            if question.way.is_some_and(|decided| decided != way) {
                continue;
            }
            let setting = Setting { io: files.io(), way, depth, chunk_bytes };
            let (_, refused) = start(files.clone(), &setting)?;
            if refused.is_some() {
                continue;
            }
            let rate = trial(question, files, &setting, walk, TRIAL)?.bytes_per_second();
            if best.is_none_or(|(_, best)| rate as f64 > best as f64 * CLEARLY) {
                best = Some((setting, rate));
            }
        }
    }
    Ok(best.map_or(Setting::usual(files.io()), |(setting, _)| setting))
}

/// What reads through the page cache give, if they are clearly faster than `direct` ones, of which `measured` is the
/// first trial: in every round, for a drive that others use as well changes from trial to trial.
fn through_the_cache(
    question: &Question<'_>,
    direct: &Arc<Files>,
    setting: &Setting,
    walk: &mut Walk<'_>,
    measured: &Measured,
) -> Result<Option<u64>> {
    let files = Arc::new(Files::open(question.paths, Io::Buffered)?);
    let buffered = Setting { io: Io::Buffered, ..*setting };
    let (mut past, mut slowest) = (measured.bytes_per_second(), u64::MAX);
    for round in 0..ROUNDS {
        if round > 0 {
            past = trial(question, direct, setting, walk, TRIAL)?.bytes_per_second();
        }
        let rival = trial(question, &files, &buffered, walk, TRIAL)?;
        files.forget_cached();
        slowest = slowest.min(rival.bytes_per_second());
        if !rival.is_proven() || slowest as f64 <= past as f64 * CLEARLY * CLEARLY {
            return Ok(None);
        }
    }
    Ok(Some(slowest))
}

/// Reads through the page cache, because that was decided or nothing else is possible.
fn buffered(question: &Question<'_>, walk: &mut Walk<'_>, note: Option<String>) -> Result<Answer> {
    let files = Arc::new(Files::open(question.paths, Io::Buffered)?);
    let usual = Setting::usual(Io::Buffered);
    let setting = Setting { way: question.way.unwrap_or(usual.way), ..usual };
    let measured = trial(question, &files, &setting, walk, MEASURE)?;
    let bytes_per_second = measured.is_proven().then(|| measured.bytes_per_second());
    Ok(Answer { setting, bytes_per_second, note })
}

/// Reads for a while with as many requests at once as keep `depth` chunks in flight, if memory allows.
fn trial(
    question: &Question<'_>,
    files: &Arc<Files>,
    setting: &Setting,
    walk: &mut Walk<'_>,
    time: Duration,
) -> Result<Measured> {
    let (disk, _) = start(files.clone(), setting)?;
    let bytes = |record: &Vec<Extent>| record.iter().map(|extent| extent.len).sum::<u64>();
    let record = question.records.iter().map(bytes).max().unwrap_or(0).max(1);
    let wanted = (setting.depth as u64 * setting.chunk_bytes as u64).div_ceil(record) + 1;
    let at_once = wanted.min(setting.depth as u64 + 1).min(question.memory / record).max(1);
    measure(disk.as_ref(), walk, at_once as usize, time)
}

fn note_no_bypass(measured: &Measured) -> String {
    let came = ByteSize(measured.drive_bytes.unwrap_or(0));
    format!(
        "of {} read past the page cache {came} came from a drive, by the system's count: reads are buffered",
        ByteSize(measured.bytes)
    )
}
