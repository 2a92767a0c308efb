//! What the machine allows and what the process has used, from the system's own counters.
//!
//! On systems without `/proc` the counters are `None`, and figures that need them are left out rather than guessed.

use std::fs;
use std::path::{Path, PathBuf};

/// Bytes of memory this process may use: the limit of its cgroup or of one around it (v2 or v1), or the machine's memory,
/// whichever is least. In a container the host's memory is never taken for its own.
pub fn memory_limit() -> Option<u64> {
    let physical = field("/proc/meminfo", "MemTotal:").map(|kib| kib * 1024);
    groups().iter().filter_map(Group::limit).chain(physical).min()
}

/// Bytes of memory this process may still take before somebody is short of it: what the machine has available, or a
/// cgroup around this process has left, whichever is least. File pages that can be dropped count as free.
pub fn free_memory() -> Option<u64> {
    let physical = field("/proc/meminfo", "MemAvailable:").map(|kib| kib * 1024);
    groups().iter().filter_map(Group::free).chain(physical).min()
}

/// Microseconds in which everything that could run here waited for memory, since the system or the cgroup started.
pub fn memory_stall() -> Option<u64> {
    let of_group = groups().into_iter().map(|group| group.folder.join("memory.pressure"));
    let files = of_group.chain([PathBuf::from("/proc/pressure/memory")]);
    files.into_iter().find_map(|file| {
        let text = fs::read_to_string(file).ok()?;
        let full = text.lines().find(|line| line.starts_with("full "))?;
        full.rsplit_once("total=")?.1.trim().parse().ok()
    })
}

/// A control group that this process is in, or one around it.
struct Group {
    folder: PathBuf,
    /// What its files are called: limits, usage, droppable file pages in `memory.stat`.
    files: &'static GroupFiles,
}

struct GroupFiles {
    limits: &'static [&'static str],
    usage: &'static str,
    /// File pages not used lately, and those in use.
    idle: &'static str,
    active: &'static str,
}

const V1: GroupFiles = GroupFiles {
    limits: &["memory.limit_in_bytes"],
    usage: "memory.usage_in_bytes",
    idle: "total_inactive_file ",
    active: "total_active_file ",
};
const V2: GroupFiles = GroupFiles {
    limits: &["memory.max", "memory.high"],
    usage: "memory.current",
    idle: "inactive_file ",
    active: "active_file ",
};

impl Group {
    /// The least of its limits, if it has one.
    fn limit(&self) -> Option<u64> {
        // "Unlimited" is `max`, or a number near 2^63.
        let limits = self.files.limits.iter().filter_map(|file| number(&self.folder.join(file)));
        limits.filter(|limit| *limit < 1 << 62).min()
    }

    fn free(&self) -> Option<u64> {
        let (limit, usage) = (self.limit()?, number(&self.folder.join(self.files.usage))?);
        let stat = self.folder.join("memory.stat");
        let pages = |name| field(&stat, name).unwrap_or(0);
        // Half of what is in use may be dropped before that is felt.
        let droppable = pages(self.files.idle) + pages(self.files.active) / 2;
        Some(limit.saturating_sub(usage.saturating_sub(droppable)))
    }
}

/// The memory groups of this process, from its own outwards.
fn groups() -> Vec<Group> {
    let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let v2 = text.lines().find_map(|line| line.strip_prefix("0::"));
    let v1 = text.lines().find_map(|line| line.split_once(":memory:")).map(|(_, path)| path);
    let mut groups = Vec::new();
    for (path, root, files) in [(v2, "/sys/fs/cgroup", &V2), (v1, "/sys/fs/cgroup/memory", &V1)] {
        let path = path.map(|path| Path::new(path.trim_start_matches('/')));
        // In a container the path may be the host's, of which only the root is seen.
        for path in path.into_iter().flat_map(Path::ancestors) {
            groups.push(Group { folder: Path::new(root).join(path), files });
        }
    }
    groups
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// Bytes of memory this process may lock; `None` also when there is no limit.
pub fn locked_memory_limit() -> Option<u64> {
    field("/proc/self/limits", "Max locked memory")
}

/// Bytes of memory resident now.
pub fn resident() -> Option<u64> {
    field("/proc/self/status", "VmRSS:").map(|kib| kib * 1024)
}

/// Those of them that are in no file, to the page: of code and constants more or fewer are resident from run to run, as the
/// system reads around what is touched. All of them where the system does not tell.
pub fn resident_of_no_file() -> Option<u64> {
    field("/proc/self/smaps_rollup", "Anonymous:").map(|kib| kib * 1024).or_else(resident)
}

/// The most bytes of memory that were resident at once.
pub fn peak_resident() -> Option<u64> {
    field("/proc/self/status", "VmHWM:").map(|kib| kib * 1024)
}

pub use disk::bytes_read_from_drives;

/// Page faults that had to wait for a drive.
pub fn major_faults() -> Option<u64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the command in brackets and may hold anything; the fault count is the twelfth.
    stat.rsplit_once(')')?.1.split_whitespace().nth(9)?.parse().ok()
}

/// Threads that compute without sharing a core, as far as the system tells.
pub fn cores() -> usize {
    let allowed = std::thread::available_parallelism().map_or(1, usize::from);
    physical_cores().map_or(allowed, |physical| physical.min(allowed))
}

fn physical_cores() -> Option<usize> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let value = |line: &str| line.split_once(':').map(|(_, value)| value.trim().to_owned());
    let mut cores = std::collections::BTreeSet::new();
    let mut package = String::new();
    for line in info.lines() {
        if line.starts_with("physical id") {
            package = value(line)?;
        } else if line.starts_with("core id") {
            cores.insert((package.clone(), value(line)?));
        }
    }
    Some(cores.len()).filter(|count| *count > 0)
}

/// The first number behind `name` in a file of names and numbers.
fn field(file: impl AsRef<Path>, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line[name.len()..].split_whitespace().next()?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn linux_tells_what_a_process_uses() {
        assert!(resident().unwrap() > 0);
        assert!(peak_resident().unwrap() >= resident().unwrap() / 2);
        assert!(memory_limit().unwrap() > 1 << 20);
        assert!(free_memory().unwrap() <= memory_limit().unwrap());
        assert!(major_faults().is_some());
        assert!(cores() >= 1);
    }
}
