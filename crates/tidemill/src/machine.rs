//! What the machine allows and what the process has used, from the system's own counters.
//!
//! On systems without `/proc` the counters are `None`, and figures that need them are left out rather than guessed.

use std::fs;

/// Bytes of memory this process may use: the cgroup's limit (v2 or v1) or the machine's memory, whichever is less.
/// In a container the host's memory is never taken for its own.
pub fn memory_limit() -> Option<u64> {
    let physical = field("/proc/meminfo", "MemTotal:").map(|kib| kib * 1024);
    [cgroup_v2_limit(), cgroup_v1_limit(), physical].into_iter().flatten().min()
}

/// The least `memory.max` from this process's group up to the root.
fn cgroup_v2_limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mut limit: Option<u64> = None;
    let mut folder = Some(std::path::Path::new(path));
    while let Some(group) = folder {
        let file = format!("/sys/fs/cgroup{}/memory.max", group.display());
        let max = fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok());
        limit = [limit, max].into_iter().flatten().min();
        folder = group.parent();
    }
    limit
}

fn cgroup_v1_limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| line.split_once(":memory:")).map(|(_, path)| path);
    let read = |path: &str| -> Option<u64> {
        fs::read_to_string(format!("/sys/fs/cgroup/memory{path}/memory.limit_in_bytes"))
            .ok()
            .and_then(|text| text.trim().parse().ok())
    };
    // "Unlimited" is a number near 2^63.
    [path.and_then(read), read("")].into_iter().flatten().filter(|limit| *limit < 1 << 62).min()
}

/// Bytes of memory this process may lock; `None` also when there is no limit.
pub fn locked_memory_limit() -> Option<u64> {
    field("/proc/self/limits", "Max locked memory")
}

/// Bytes of memory resident now.
pub fn resident() -> Option<u64> {
    field("/proc/self/status", "VmRSS:").map(|kib| kib * 1024)
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
fn field(file: &str, name: &str) -> Option<u64> {
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
        assert!(major_faults().is_some());
        assert!(cores() >= 1);
    }
}
