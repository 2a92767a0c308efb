//! A model of half a million tensors in 96 shards opens in seconds, in memory that its names account for; and a file
//! that claims much is refused in next to none. One test, so that the process's memory is its own.
#![allow(clippy::unwrap_used)] // a test that cannot set itself up should stop

mod support;

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::Instant;

use support::{Gguf, array_value, file, refusal, safetensors};

const SHARDS: usize = 96;
/// As in a model of 92 layers of 896 experts, each of three weights with their scales, and some more.
const TENSORS: usize = 500_000;

fn name(index: usize) -> String {
    let (expert, part) = (index / 6, index % 6);
    let part = ["gate_proj", "up_proj", "down_proj"][part / 2].to_owned()
        + [".weight_packed", ".weight_scale"][part % 2];
    format!("language_model.model.layers.{}.mlp.experts.{}.{part}", expert / 896, expert % 896)
}

fn shard_name(shard: usize) -> String {
    format!("model-{:05}-of-{SHARDS:05}.safetensors", shard + 1)
}

/// Sparse shards: headers, and as many bytes as they describe, which take no room on the disk.
fn write_model(folder: &Path) {
    const BYTES: usize = 1 << 20;
    let mut index = BufWriter::new(File::create(folder.join("model.safetensors.index.json")).unwrap());
    write!(index, r#"{{"metadata":{{"total_size":1}},"weight_map":{{"#).unwrap();
    for shard in 0..SHARDS {
        let tensors = shard * TENSORS / SHARDS..(shard + 1) * TENSORS / SHARDS;
        let count = tensors.len();
        let mut header = String::from("{\"__metadata__\":{\"format\":\"pt\"}");
        for (place, tensor) in tensors.enumerate() {
            let (name, start) = (name(tensor), place * BYTES);
            let shape = r#"{"dtype":"U8","shape":[1024,1024],"data_offsets""#;
            write!(header, r#","{name}":{shape}:[{start},{}]}}"#, start + BYTES).unwrap();
            let comma = if tensor == 0 { "" } else { "," };
            write!(index, r#"{comma}"{name}":"{}""#, shard_name(shard)).unwrap();
        }
        header.push('}');
        let path = file(folder, &shard_name(shard), safetensors(&header, 0));
        let file = File::options().write(true).open(path).unwrap();
        file.set_len((8 + header.len() + count * BYTES) as u64).unwrap();
    }
    write!(index, "}}}}").unwrap();
    file(folder, "config.json", "{}");
}

/// The most memory the process has had, in MiB; `None` where the system does not say.
fn peak_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib / 1024)
}

#[test]
fn half_a_million_tensors_open_in_bounded_memory_and_lies_in_none() {
    let folder = tempfile::tempdir().unwrap();
    lies(folder.path());
    let before = peak_mib();

    let started = Instant::now();
    write_model(folder.path());
    let written = started.elapsed();
    let started = Instant::now();
    let opened = formats::open(folder.path()).unwrap();
    let seconds = started.elapsed();
    println!(
        "written in {written:.2?}, opened in {seconds:.2?}; peak {before:?} MiB before, {:?} after",
        peak_mib()
    );

    assert_eq!((opened.tensors.len(), opened.files.len()), (TENSORS, SHARDS));
    assert!(peak_mib().is_none_or(|peak| peak < 400), "took {:?} MiB", peak_mib());
}

/// Files of 4 GiB (sparse) whose counts would fit the file but not the memory.
fn lies(folder: &Path) {
    let before = peak_mib();
    let long_array = |item, count| Gguf::new().key("k", array_value(item, count, &[])).bytes();
    let cases = [
        ("array of bytes", long_array(0, 3 << 30)),
        ("array of strings", long_array(8, 400 << 20)),
        ("array of arrays", long_array(9, 300 << 20)),
        ("tensors", Gguf::new().claiming(100 << 20, 0).bytes()),
        ("keys", Gguf::new().claiming(0, 100 << 20).bytes()),
    ];
    for (what, bytes) in cases {
        let path = file(folder, "lie.gguf", bytes);
        File::options().write(true).open(&path).unwrap().set_len(4 << 30).unwrap();
        let error = refusal(&path, "lie.gguf", &["claims"]);
        assert!(error.to_string().contains("header can follow"), "{what}: {error}");
        std::fs::remove_file(path).unwrap();
    }
    let grown = peak_mib().zip(before).map(|(after, before)| after - before);
    assert!(grown.is_none_or(|mib| mib < 8), "refusing took {grown:?} MiB");
}
