//! What a path can be: files, folders, split models, and what is said when it is none of them.
#![allow(clippy::unwrap_used)] // a test that cannot set itself up should stop

mod support;

use base::Kind;
use formats::Format;
use support::{Gguf, array_value, file, refusal, safetensors, string_value, u32_value};

/// The value of a metadata entry: type 2.
fn u16_value(value: u16) -> Vec<u8> {
    [2u32.to_le_bytes().to_vec(), value.to_le_bytes().to_vec()].concat()
}

/// File `number` (from 0) of a split model of 3 files and 2 tensors; the first file has metadata alone.
fn part(number: u16) -> Gguf {
    let gguf = if number == 0 {
        Gguf::new().key("general.architecture", string_value("deepseek2"))
    } else {
        Gguf::new()
    };
    let gguf = gguf
        .key("split.no", u16_value(number))
        .key("split.count", u16_value(3))
        .key("split.tensors.count", u32_value(2));
    if number == 0 { gguf } else { gguf.tensor(format!("t{number}"), &[8], 0, 0).data(32) }
}

fn split_model() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..3 {
        file(folder.path(), &name(number), part(number).bytes());
    }
    folder
}

fn name(number: u16) -> String {
    format!("m-{:05}-of-00003.gguf", number + 1)
}

#[test]
fn a_split_model_opens_by_any_of_its_files_and_by_its_folder() {
    let folder = split_model();
    file(folder.path(), "mmproj-m.gguf", Gguf::new().bytes());
    let paths = [folder.path().to_owned(), folder.path().join(name(0)), folder.path().join(name(2))];
    for path in paths {
        let opened = formats::open(&path).unwrap();
        assert_eq!(opened.format, Format::Gguf);
        assert_eq!(opened.root, folder.path().join(name(0)));
        assert_eq!(opened.files.len(), 3);
        let places: Vec<_> =
            opened.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.extent.file.0)).collect();
        assert_eq!(places, [("t1", 1), ("t2", 2)]);
        assert_eq!(opened.config["general.architecture"], "deepseek2");
    }
}

#[test]
fn a_split_model_that_does_not_fit_together_is_refused() {
    let cases: &[(&str, u16, Option<Gguf>, &[&str])] = &[
        ("a missing file", 1, None, &["does not exist"]),
        ("a missing first file", 0, None, &["does not exist"]),
        ("a file that is not split", 1, Some(Gguf::new()), &["split.count is 1, expected 3"]),
        (
            "a wrong count",
            2,
            Some(Gguf::new().key("split.count", u16_value(4))),
            &["split.count is 4, expected 3"],
        ),
        ("a wrong place", 1, Some(part(2)), &["split.no is 2, expected 1"]),
        (
            "a file of another model",
            2,
            Some(
                Gguf::new()
                    .key("split.no", u16_value(2))
                    .key("split.count", u16_value(3))
                    .key("split.tensors.count", u32_value(9)),
            ),
            &["another model", "`split.tensors.count`"],
        ),
        (
            "a file of another family",
            2,
            Some(part(2).key("general.architecture", string_value("llama"))),
            &["another model", "`general.architecture`"],
        ),
        (
            "a tensor too few",
            2,
            Some(Gguf { tensors: vec![], tensor_count: 0, ..part(2) }),
            &["split.tensors.count is 2, but the files hold 1"],
        ),
        ("a tensor twice", 2, Some(Gguf { tensors: part(1).tensors, ..part(2) }), &["`t1`", "already found"]),
        ("a count that is text", 1, Some(Gguf::new().key("split.count", string_value("3"))), &["is String"]),
    ];
    for (what, number, replacement, words) in cases {
        let folder = split_model();
        match replacement {
            Some(gguf) => drop(file(folder.path(), &name(*number), gguf.bytes())),
            None => std::fs::remove_file(folder.path().join(name(*number))).unwrap(),
        }
        let named = if what.contains("too few") { name(0) } else { name(*number) };
        refusal(folder.path(), &named, words);
    }
}

#[test]
fn one_file_of_a_split_model_under_another_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "renamed.gguf", part(0).bytes());
    let error = refusal(&path, "renamed.gguf", &["split.count is 3, expected 1"]);
    assert!(error.next_step().unwrap().contains("-00001-of-"));
}

#[test]
fn a_path_that_is_no_model_is_refused() {
    let model = || Gguf::new().key("k", array_value(4, 0, &[])).bytes();
    let tensors = || safetensors("{}", 0);
    type Files = Vec<(&'static str, Vec<u8>)>;
    let cases: Vec<(&str, Files, &str, &[&str])> = vec![
        ("an empty folder", vec![], "", &["neither safetensors nor GGUF"]),
        ("no such path", vec![], "nothing.gguf", &["nothing.gguf", "no such file or folder"]),
        (
            "two models",
            vec![("a.gguf", model()), ("b.gguf", model())],
            "",
            &["2 GGUF models", "`a.gguf`", "`b.gguf`"],
        ),
        ("no config", vec![("model.safetensors", tensors())], "", &["config.json", "does not exist"]),
        (
            "a bad config",
            vec![("model.safetensors", tensors()), ("config.json", b"{".to_vec())],
            "",
            &["config.json"],
        ),
        (
            "a bad generation config",
            vec![
                ("model.safetensors", tensors()),
                ("config.json", b"{}".to_vec()),
                ("generation_config.json", b"no".to_vec()),
            ],
            "",
            &["generation_config.json"],
        ),
        (
            "no index",
            vec![("a.safetensors", tensors()), ("b.safetensors", tensors()), ("config.json", b"{}".to_vec())],
            "",
            &["no model.safetensors.index.json"],
        ),
        (
            "a shard",
            vec![("a.safetensors", tensors())],
            "a.safetensors",
            &["a.safetensors", "the folder that holds it"],
        ),
        (
            "some file",
            vec![("notes.txt", b"hello".to_vec())],
            "notes.txt",
            &["notes.txt", "is not a GGUF file"],
        ),
    ];
    for (what, files, target, words) in cases {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            file(folder.path(), name, bytes);
        }
        let path = if target.is_empty() { folder.path().to_owned() } else { folder.path().join(target) };
        let error = refusal(&path, &folder.path().display().to_string(), words);
        assert_ne!(error.kind(), Kind::Unsupported, "{what}: {error}");
    }
}

#[test]
fn a_shard_that_is_a_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), "config.json", "{}");
    std::fs::create_dir(folder.path().join("model.safetensors")).unwrap();
    refusal(folder.path(), "model.safetensors", &["not an ordinary file"]);
}

#[cfg(unix)]
#[test]
fn shards_may_be_symbolic_links_as_in_a_download_cache() {
    let blobs = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [("config.json", b"{}".to_vec()), ("model.safetensors", safetensors("{}", 0))] {
        let blob = file(blobs.path(), &format!("blob-{name}"), bytes);
        std::os::unix::fs::symlink(blob, folder.path().join(name)).unwrap();
    }
    assert!(formats::open(folder.path()).unwrap().tensors.is_empty());
    std::fs::remove_file(blobs.path().join("blob-model.safetensors")).unwrap();
    refusal(folder.path(), "model.safetensors", &["does not exist"]);
}
