//! How the experts are read from this drive: what was asked for, what sizes tell, what a probe finds, and what an
//! earlier probe found.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base::{ExpertId, Extent, LayerId, Result};
use disk::{Answer, Files, Io, Question, Setting, Way};
use manifest::Manifest;

use crate::plan::MemoryPlan;
use crate::{IoMode, Options, machine};

/// Models with fewer bytes of experts than this are read in no time, and tell nothing about a drive.
const PROBE_MIN: u64 = 256 << 20;
/// Reads of theirs in flight: more would be threads that wait, each with its memory.
const SMALL_DEPTH: usize = 2;
/// So many records stand for all.
const SAMPLE: usize = 512;
/// A probe may use this much of the pool's memory, which is empty as yet.
const PROBE_MEMORY: u64 = 256 << 20;

/// Decides how the model's experts are read.
///
/// Left to us, a model that fits the memory which the budget leaves to the page cache is read through it, and one
/// whose experts all fit the pool is not probed: it is read once. Else the drive is probed.
pub(crate) fn decide(manifest: &Manifest, options: &Options, plan: &MemoryPlan) -> Result<Decided> {
    let io = match options.io {
        IoMode::Direct => Some(Io::Direct),
        IoMode::Buffered => Some(Io::Buffered),
        IoMode::Auto => None,
    };
    let left = machine::memory_limit().unwrap_or(plan.budget).saturating_sub(plan.total());
    let fits = Files::open(&manifest.files, Io::Buffered)?.total_bytes() <= left;
    let resident = plan.pool >= manifest.expert_bytes();
    let small = manifest.expert_bytes() < PROBE_MIN;
    if small || (io.is_none() && (fits || resident)) {
        let usual = Setting::usual(io.unwrap_or(if fits { Io::Buffered } else { Io::Direct }));
        let depth = if small { usual.depth.min(SMALL_DEPTH) } else { usual.depth };
        let setting = Setting { way: options.io_way.unwrap_or(usual.way), depth, ..usual };
        let answer = Answer { setting, bytes_per_second: None, note: None };
        return Ok(Decided { answer, probed_before: None });
    }
    let records = sample(manifest);
    let memo = options.probe_memo.as_deref().map(|path| (path, name(manifest, &records)));
    let found = memo.as_ref().and_then(|(path, name)| recall(path, name, now()));
    let known = found.map(|(setting, _)| setting);
    let memory = PROBE_MEMORY.min(plan.pool);
    let question =
        Question { paths: &manifest.files, records: &records, io, way: options.io_way, known, memory };
    let answer = disk::probe(&question)?;
    // What was decided by a person says nothing about the drive.
    if let (Some((path, name)), None, None, None) = (memo, io, options.io_way, known) {
        remember(path, &name, &answer.setting, now());
    }
    Ok(Decided { answer, probed_before: found.map(|(_, age)| age) })
}

/// How experts are read, and how long ago a probe chose that; `None` when it was none, or just now.
pub(crate) struct Decided {
    pub answer: Answer,
    pub probed_before: Option<Duration>,
}

/// Experts from all over the model.
fn sample(manifest: &Manifest) -> Vec<Vec<Extent>> {
    let layers = (0..manifest.spec.layers.len() as u32).filter_map(|layer| manifest.experts(LayerId(layer)));
    let layers: Vec<_> = layers.collect();
    let each = (SAMPLE / layers.len().max(1)).max(1);
    let experts = layers.iter().flat_map(|layer| {
        let step = (layer.count() / each).max(1);
        (0..layer.count() as u32).step_by(step).map(|expert| layer.extents(ExpertId(expert)).to_vec())
    });
    experts.take(2 * SAMPLE).collect()
}

/// What a drive and a model are remembered by: the devices, and the order of magnitude of files and reads.
fn name(manifest: &Manifest, records: &[Vec<Extent>]) -> String {
    let (mut devices, mut total) = (Vec::new(), 0u64);
    for path in &manifest.files {
        let Ok(metadata) = fs::metadata(path) else { continue };
        devices.push(device(&metadata));
        total = total.saturating_add(metadata.len());
    }
    devices.sort_unstable();
    devices.dedup();
    let devices: Vec<String> = devices.iter().map(|device| format!("{device:x}")).collect();
    let longest = records.iter().flatten().map(|extent| extent.len).max().unwrap_or(0);
    format!(
        "{} {} {}",
        devices.join(","),
        total.checked_ilog2().unwrap_or(0),
        longest.checked_ilog2().unwrap_or(0)
    )
}

#[cfg(unix)]
fn device(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::dev(metadata)
}

#[cfg(not(unix))]
fn device(_: &fs::Metadata) -> u64 {
    0
}

/// Nobody has more drives than this file has room for; a larger one is not ours.
const MEMO_MAX: u64 = 64 << 10;

/// What was chosen longer ago is chosen again: drives age, and are exchanged.
const MEMO_AGE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// What is remembered, line by line: `NAME IO WAY DEPTH CHUNK TIME`. A file that cannot be read holds nothing.
fn lines(path: &Path) -> Vec<String> {
    let small = fs::metadata(path).is_ok_and(|metadata| metadata.len() <= MEMO_MAX);
    let text = if small { fs::read_to_string(path).unwrap_or_default() } else { String::new() };
    text.lines().map(str::to_owned).collect()
}

/// The setting of a line and its age, unless it makes no sense, or is too old.
fn recall(path: &Path, name: &str, now: u64) -> Option<(Setting, Duration)> {
    let lines = lines(path);
    let rest = lines.iter().rev().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    let mut words = rest.split(' ');
    let io = [Io::Buffered, Io::Direct].into_iter().find(|io| Some(io.name()) == words.clone().next())?;
    words.next();
    let word = words.next()?;
    let way = *Way::ALL.iter().find(|way| way.name() == word)?;
    let depth = words.next()?.parse().ok().filter(|depth| (1..=64).contains(depth))?;
    let chunk_bytes = words.next()?.parse().ok().filter(|bytes| (4096..=64 << 20).contains(bytes))?;
    let age = Duration::from_secs(now.checked_sub(words.next()?.parse().ok()?)?);
    (age <= MEMO_AGE).then_some((Setting { io, way, depth, chunk_bytes }, age))
}

/// Replaces the line of that name. A memo that cannot be written is no failure: the next run probes again.
fn remember(path: &Path, name: &str, setting: &Setting, now: u64) {
    let mut lines = lines(path);
    lines.retain(|line| line.strip_prefix(name).is_none_or(|rest| !rest.starts_with(' ')));
    let Setting { io, way, depth, chunk_bytes } = setting;
    lines.push(format!("{name} {} {} {depth} {chunk_bytes} {now}", io.name(), way.name()));
    let written = || -> std::io::Result<()> {
        fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        let beside: PathBuf = path.with_extension(format!("{}", std::process::id()));
        fs::write(&beside, lines.join("\n") + "\n")?;
        fs::rename(&beside, path)
    };
    let _ = written();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_recalled_and_nonsense_is_not() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("a/drives");
        assert_eq!(recall(&path, "fe00 35 23", 1000), None);
        let setting = Setting { io: Io::Direct, way: Way::Ring, depth: 8, chunk_bytes: 2 << 20 };
        let known = Some((setting, Duration::from_secs(100)));
        remember(&path, "fe00 35 23", &Setting { depth: 4, ..setting }, 900);
        remember(&path, "fe00 35 2", &Setting { depth: 5, ..setting }, 900);
        remember(&path, "fe00 35 23", &setting, 900);
        assert_eq!(recall(&path, "fe00 35 23", 1000), known);
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
        for nonsense in [
            "fe00 35 23",
            "fe00 35 23 direct uring 8 4096",
            "fe00 35 23 direct uring 8 4096 1001",
            "fe00 35 23 direct uring 8 4096 then",
            "fe00 35 23 direct uring 0 4096 900",
            "fe00 35 23 direct uring 8 1 900",
            "fe00 35 23 mmap uring 8 4096 900",
            "fe00 35 23 direct uring 99999999999999999999 4096 900",
            "\u{fffd}\0\0",
        ] {
            fs::write(&path, nonsense).unwrap();
            assert_eq!(recall(&path, "fe00 35 23", 1000), None, "{nonsense}");
        }
        fs::write(&path, vec![b'\n'; MEMO_MAX as usize + 1]).unwrap();
        assert_eq!(recall(&path, "fe00 35 23", 1000), None);
        fs::write(&path, [0xff, 0xfe]).unwrap();
        remember(&path, "fe00 35 23", &setting, 900);
        assert_eq!(recall(&path, "fe00 35 23", 1000), known);
        let month = MEMO_AGE.as_secs();
        assert!(recall(&path, "fe00 35 23", 900 + month).is_some());
        assert_eq!(recall(&path, "fe00 35 23", 901 + month), None, "probed again after a month");
    }
}
