//! Safetensors folders that are damaged, or made to do damage: each is refused in one sentence that names the file.
#![allow(clippy::unwrap_used)] // a test that cannot set itself up should stop

mod support;

use std::path::Path;

use base::Kind;
use formats::Element;
use support::{file, refusal, safetensors, string};

const SMALL: &str = r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},
    "b":{"dtype":"I32","shape":[],"data_offsets":[12,16]},"c":{"dtype":"F64","shape":[0,5],"data_offsets":[16,16]}}"#;

/// A folder with a model of one file.
fn folder(bytes: impl AsRef<[u8]>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), "config.json", r#"{"model_type":"deepseek_v3"}"#);
    file(folder.path(), "model.safetensors", bytes);
    folder
}

#[test]
fn the_small_file_is_valid() {
    let folder = folder(safetensors(SMALL, 16));
    let opened = formats::open(folder.path()).unwrap();
    let elements: Vec<_> = opened.tensors.iter().map(|tensor| tensor.element.name()).collect();
    assert_eq!(elements, ["BF16", "I32", "F64"]);
    assert_eq!(opened.tensors[2].element, Element::Other("F64".to_owned()));
    assert_eq!(opened.config["model_type"], "deepseek_v3");
    assert!(opened.generation_config.is_none() && opened.metadata.is_empty());
}

#[test]
fn a_file_cut_anywhere_is_refused_by_name() {
    let bytes = safetensors(SMALL, 16);
    let folder = folder([]);
    for len in 0..bytes.len() {
        file(folder.path(), "model.safetensors", &bytes[..len]);
        let error = refusal(folder.path(), "model.safetensors", &[]);
        assert_eq!(error.kind(), Kind::Corrupt, "cut at {len}: {error}");
    }
}

#[test]
fn what_no_safetensors_file_may_say_is_refused() {
    let one = |dtype: &str, shape: &str, offsets: &str, data| {
        let json = format!(r#"{{"x":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#);
        safetensors(&json, data)
    };
    let x = r#""x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}"#;
    let with_x = |rest: &str, data| safetensors(&format!("{{{x},{rest}}}"), data);
    let lying = |claim: u64| [claim.to_le_bytes().to_vec(), b"{}".to_vec()].concat();
    let nested = |levels: usize| format!(r#"{{"__metadata__":{}1}}"#, "[".repeat(levels));

    let cases: &[(&str, Vec<u8>, &[&str])] = &[
        ("too short", vec![0; 7], &["7 bytes"]),
        ("header of u64::MAX", lying(u64::MAX), &["claims 18446744073709551615 bytes"]),
        ("header past the end", lying(3), &["claims 3 bytes", "the file has 10"]),
        ("header cut short", lying(1), &["the header", "JSON"]),
        ("an empty header", lying(0), &["the header", "JSON"]),
        ("no JSON", string("GGUF...."), &["the header", "JSON"]),
        ("a list", string("[]"), &["the header", "a map of tensors"]),
        ("two objects", string("{}{}"), &["the header", "trailing characters"]),
        ("deep JSON", string(nested(100_000)), &["the header", "JSON"]),
        ("not UTF-8", string(b"{\"\xff\":1}"), &["the header"]),
        ("no dtype", string(r#"{"x":{"shape":[],"data_offsets":[0,0]}}"#), &["`x`", "missing field `dtype`"]),
        ("dtype twice", string(r#"{"x":{"dtype":"U8","dtype":"U8"}}"#), &["`x`", "duplicate field"]),
        ("a negative size", one("U8", "[-4]", "[0,4]", 4), &["`x`", "-4"]),
        ("a fractional size", one("U8", "[1.5]", "[0,4]", 4), &["`x`", "1.5"]),
        ("a size past u64", one("U8", "[18446744073709551616]", "[0,4]", 4), &["`x`"]),
        ("nine dimensions", one("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]", 1), &["`x`", "at most 8"]),
        ("three offsets", one("U8", "[4]", "[0,4,4]", 4), &["`x`"]),
        ("offsets backwards", one("U8", "[4]", "[4,0]", 4), &["`x`", "4 and 0"]),
        (
            "an offset that overflows",
            one("U8", "[0]", "[18446744073709551615,18446744073709551615]", 0),
            &["`x`"],
        ),
        ("bytes past the end", one("U8", "[5]", "[0,5]", 4), &["`x`", "not inside the file's data"]),
        ("too few bytes", one("F32", "[2]", "[0,4]", 4), &["`x`", "4 bytes of data, expected 8 for `F32`"]),
        ("sizes that overflow", one("F32", "[4294967296,4294967296]", "[0,4]", 4), &["`x`", "overflows"]),
        ("half a byte", one("F4", "[3]", "[0,2]", 2), &["`x`", "no whole number of bytes"]),
        ("a hole at the start", one("U8", "[4]", "[4,8]", 8), &["`x`", "starts at byte"]),
        (
            "a hole",
            with_x(r#""y":{"dtype":"U8","shape":[4],"data_offsets":[8,12]}"#, 12),
            &["`y`", "starts at"],
        ),
        (
            "an overlap",
            with_x(r#""y":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}"#, 6),
            &["`y`", "overlap", "`x`"],
        ),
        ("the same place", with_x(r#""y":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}"#, 4), &["overlap"]),
        (
            "bytes at the end",
            with_x(r#""y":{"dtype":"U8","shape":[0],"data_offsets":[4,4]}"#, 9),
            &["goes on for 5"],
        ),
        (
            "a name twice",
            with_x(r#""x":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}"#, 8),
            &["tensor `x` occurs twice"],
        ),
        ("a long name", string(format!(r#"{{"{}":7}}"#, "n".repeat(100_000))), &["nnn…`"]),
        ("a line break", string(r#"{"a\nb":{"dtype":"\n","shape":[1],"data_offsets":[0,2]}}"#), &["`a\\nb`"]),
    ];
    for (what, bytes, words) in cases {
        let folder = folder(bytes);
        let error = refusal(folder.path(), "model.safetensors", words);
        assert_eq!(error.kind(), Kind::Corrupt, "{what}: {error}");
    }
}

#[test]
fn an_unknown_dtype_is_kept_by_name() {
    let folder = folder(safetensors(r#"{"x":{"dtype":"P3","shape":[7],"data_offsets":[0,4]}}"#, 4));
    assert_eq!(formats::open(folder.path()).unwrap().tensors[0].element, Element::Other("P3".to_owned()));
}

fn shard(folder: &Path, name: &str, tensor: &str) {
    let json = format!(r#"{{"{tensor}":{{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}}}"#);
    file(folder, name, safetensors(&json, 4));
}

/// A folder of two shards and this index.
fn sharded(index: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), "config.json", "{}");
    shard(folder.path(), "model-00001-of-00002.safetensors", "a");
    shard(folder.path(), "model-00002-of-00002.safetensors", "b");
    file(folder.path(), "model.safetensors.index.json", index);
    folder
}

const INDEX: &str = r#"{"metadata":{"total_size":8},"weight_map":
    {"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}"#;

#[test]
fn an_index_is_held_against_its_shards() {
    let file = |name: &str| INDEX.replace("model-00002-of-00002.safetensors", name);
    let cases: &[(&str, String, &[&str])] = &[
        ("outside", file("../model-00002-of-00002.safetensors"), &["`../model-00002", "of its folder"]),
        ("far outside", file("a/../../b.safetensors"), &["of its folder"]),
        ("absolute", file("/etc/b.safetensors"), &["`/etc/b.safetensors`", "of its folder"]),
        ("a Windows path", file("..\\\\b.safetensors"), &["of its folder"]),
        ("another kind of file", file("config.json"), &["`config.json`", "of its folder"]),
        ("no name", file(""), &["of its folder"]),
        (
            "a missing shard",
            file("model-00003-of-00002.safetensors"),
            &["model-00003-of-00002", "does not exist"],
        ),
        (
            "the wrong shard",
            INDEX.replace("00002-of", "00001-of"),
            &["`b`", "`model-00001-of-00002.safetensors`"],
        ),
        ("a missing tensor", INDEX.replace("\"b\"", "\"c\""), &["`c`", "does not hold it"]),
        ("no map", "{}".to_owned(), &["missing field `weight_map`"]),
        ("a list", "[]".to_owned(), &["index.json"]),
        ("no JSON", "GGUF".to_owned(), &["index.json"]),
        ("cut", INDEX[..INDEX.len() / 2].to_owned(), &["index.json"]),
    ];
    for (what, index, words) in cases {
        let folder = sharded(index);
        let named =
            if what.contains("missing shard") { "model-00003" } else { "model.safetensors.index.json" };
        refusal(folder.path(), named, words);
    }
}

#[test]
fn an_index_may_be_wrong_about_sizes_and_silent_about_tensors() {
    // Published ones are: a total from before quantization, a float, none; a shard with tensors that are not listed.
    for index in [
        INDEX.to_owned(),
        INDEX.replace("8", "99999999999"),
        INDEX.replace("8", "1.5e300"),
        INDEX.replace(r#""metadata":{"total_size":8},"#, ""),
    ] {
        let opened = formats::open(sharded(&index).path()).unwrap();
        assert_eq!(opened.tensors.len(), 2);
    }
}

#[test]
fn a_tensor_in_two_shards_is_refused() {
    let folder = sharded(INDEX);
    shard(folder.path(), "model-00002-of-00002.safetensors", "a");
    refusal(folder.path(), "model-00002-of-00002", &["tensor `a`", "model-00001-of-00002.safetensors"]);
}
