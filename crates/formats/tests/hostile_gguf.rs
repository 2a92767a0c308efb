//! GGUF files that are damaged, or made to do damage: each is refused in one sentence that names the file.
#![allow(clippy::unwrap_used)] // a test that cannot set itself up should stop

mod support;

use base::{FileId, Kind};
use formats::gguf::read_header;
use support::{Gguf, array_value, file, items, refusal, string, string_value, u32_value};

fn small() -> Gguf {
    Gguf::new()
        .key("general.architecture", string_value("deepseek2"))
        .key("tokens", array_value(8, 2, &[string("a"), string("bc")].concat()))
        .key("nested", array_value(9, 1, &items(4, 1, &[0; 4])))
        .tensor("a.weight", &[32, 2], 8, 0)
        .tensor("b.weight", &[16], 0, 96)
        .data(160)
}

#[test]
fn the_small_file_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let opened = formats::open(&file(folder.path(), "m.gguf", small().bytes())).unwrap();
    assert_eq!(opened.tensors.len(), 2);
    assert_eq!(opened.tensors[0].shape, [2, 32]);
    assert_eq!((opened.tensors[0].extent.len, opened.tensors[1].extent.len), (68, 64));
}

#[test]
fn a_file_cut_anywhere_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = small().bytes();
    for len in 0..bytes.len() {
        let error = refusal(&file(folder.path(), "cut.gguf", &bytes[..len]), "cut.gguf", &[]);
        assert_eq!(error.kind(), Kind::Corrupt, "cut at {len}: {error}");
    }
}

#[test]
fn what_no_gguf_file_may_say_is_refused() {
    let one = |sizes: &[u64], ggml_type, offset| {
        Gguf::new().tensor("x.weight", sizes, ggml_type, offset).data(4096)
    };
    let key = |value: Vec<u8>| Gguf::new().key("some.key", value).data(4096);
    let deep = |levels: usize| [items(9, 1, &[]).repeat(levels), items(4, 0, &[])].concat();
    let typed = |inner: Vec<u8>| [9u32.to_le_bytes().to_vec(), inner].concat();

    let cases: &[(&str, Vec<u8>, &[&str])] = &[
        ("an empty file", vec![], &["ends at byte 0"]),
        ("wrong magic", b"PK\x03\x04....".to_vec(), &["starts with `PK\\x03\\x04`", "`GGUF`"]),
        ("version 1", Gguf { version: 1, ..small() }.bytes(), &["version 1", "expected version 3"]),
        ("version 2", Gguf { version: 2, ..small() }.bytes(), &["version 2", "expected version 3"]),
        ("version 4", Gguf { version: 4, ..small() }.bytes(), &["version 4", "expected version 3"]),
        ("big-endian", Gguf { version: 3 << 24, ..small() }.bytes(), &["big-endian"]),
        // Counts and lengths that lie.
        ("u64::MAX keys", small().claiming(2, u64::MAX).bytes(), &["18446744073709551615 metadata entries"]),
        ("u64::MAX tensors", small().claiming(u64::MAX, 3).bytes(), &["18446744073709551615 tensors"]),
        ("more keys than bytes", small().claiming(2, 1000).bytes(), &["1000 metadata entries"]),
        (
            "more keys than any",
            Gguf::new().claiming(0, 9000).data(200_000).bytes(),
            &["9000", "at most 8192"],
        ),
        (
            "a long key",
            Gguf { keys: u64::MAX.to_le_bytes().to_vec(), key_count: 1, ..Gguf::new() }.data(99).bytes(),
            &["metadata entry 0", "18446744073709551615 bytes of a string"],
        ),
        (
            "a long string",
            key([8u32.to_le_bytes().to_vec(), (1u64 << 40).to_le_bytes().to_vec()].concat()).bytes(),
            &["metadata `some.key`", "1099511627776 bytes of a string"],
        ),
        (
            "a long name",
            Gguf { tensors: (1u64 << 62).to_le_bytes().to_vec(), tensor_count: 1, ..Gguf::new() }
                .data(99)
                .bytes(),
            &["tensor 0", "4611686018427387904 bytes of a string"],
        ),
        ("a long array of bytes", key(array_value(0, u64::MAX, &[])).bytes(), &["`some.key`", "array items"]),
        (
            "a long array of numbers",
            key(array_value(10, 1 << 61, &[])).bytes(),
            &["`some.key`", "array items"],
        ),
        ("a long array of strings", key(array_value(8, 1 << 32, &[])).bytes(), &["4294967296 array items"]),
        ("a long array of arrays", key(array_value(9, 1 << 32, &[])).bytes(), &["4294967296 array items"]),
        // Metadata.
        (
            "a key twice",
            key(u32_value(1)).key("some.key", u32_value(1)).bytes(),
            &["`some.key` occurs twice"],
        ),
        ("a key that is not UTF-8", Gguf::new().key(b"\xff\n", u32_value(1)).bytes(), &["is not UTF-8"]),
        ("an unknown value type", key(vec![13, 0, 0, 0]).bytes(), &["`some.key`", "value type 13"]),
        ("an unknown item type", key(array_value(77, 0, &[])).bytes(), &["`some.key`", "value type 77"]),
        ("a bool of 2", key(vec![7, 0, 0, 0, 2]).bytes(), &["`some.key`", "truth value"]),
        ("arrays too deep", key(typed(deep(4))).bytes(), &["`some.key`", "nested"]),
        ("arrays far too deep", key(typed(deep(100_000))).bytes(), &["`some.key`", "nested"]),
        ("too many arrays", key(array_value(9, 70_000, &[0; 840_000])).bytes(), &["65536 arrays"]),
        (
            "alignment 0",
            Gguf::new().key("general.alignment", u32_value(0)).bytes(),
            &["general.alignment is 0"],
        ),
        (
            "alignment 4",
            Gguf::new().key("general.alignment", u32_value(4)).bytes(),
            &["general.alignment is 4, expected a power of two from 8"],
        ),
        ("alignment 48", Gguf::new().key("general.alignment", u32_value(48)).bytes(), &["power of two"]),
        (
            "alignment that is text",
            Gguf::new().key("general.alignment", string_value("32")).bytes(),
            &["`general.alignment` is String"],
        ),
        // Tensors.
        (
            "a name that is not UTF-8",
            Gguf::new().tensor(b"a\xfe", &[1], 0, 0).data(4).bytes(),
            &["not UTF-8"],
        ),
        ("five dimensions", one(&[1; 5], 0, 0).bytes(), &["`x.weight`", "dimensions"]),
        (
            "u32::MAX dimensions",
            Gguf { tensors: [string("x"), vec![255; 4]].concat(), tensor_count: 1, ..Gguf::new() }
                .data(99)
                .bytes(),
            &["`x`", "dimensions"],
        ),
        ("an unknown type", one(&[32], 250, 0).bytes(), &["`x.weight`", "type 250", "no GGML type"]),
        ("a type of ik_llama.cpp", one(&[256], 144, 0).bytes(), &["`x.weight`", "IQ4_KS (144)"]),
        ("a withdrawn type", one(&[32], 4, 0).bytes(), &["`x.weight`", "Q4_2 (4)"]),
        ("a broken row", one(&[100], 8, 0).bytes(), &["`x.weight`", "100 values", "Q8_0 blocks of 32"]),
        ("a scalar of blocks", one(&[], 12, 0).bytes(), &["`x.weight`", "Q4_K blocks of 256"]),
        ("sizes that overflow", one(&[1 << 32, 1 << 32, 4], 0, 0).bytes(), &["`x.weight`", "overflow"]),
        ("bytes that overflow", one(&[1 << 62], 0, 0).bytes(), &["`x.weight`", "overflow"]),
        ("an offset that overflows", one(&[1], 0, u64::MAX - 31).bytes(), &["`x.weight`", "overflows"]),
        ("an end that overflows", one(&[1 << 61], 24, u64::MAX - 4095).bytes(), &["`x.weight`", "overflows"]),
        ("a misaligned offset", one(&[1], 0, 4).bytes(), &["`x.weight`", "offset 4", "alignment, 32"]),
        ("bytes past the end", one(&[2048], 0, 0).bytes(), &["`x.weight`", "not inside the file's data"]),
        ("an offset past the end", one(&[1], 0, 8192).bytes(), &["`x.weight`", "not inside the file's data"]),
        (
            "tensors that overlap",
            one(&[16], 0, 0).tensor("y.weight", &[16], 0, 32).bytes(),
            &["`y.weight`", "overlap", "`x.weight`"],
        ),
        (
            "tensors in the same place",
            one(&[16], 0, 0).tensor("y.weight", &[16], 0, 0).bytes(),
            &["overlap", "`x.weight`"],
        ),
        (
            "a name twice",
            one(&[8], 0, 0).tensor("x.weight", &[8], 0, 32).bytes(),
            &["`x.weight` occurs twice"],
        ),
        (
            "a name with a line break",
            Gguf::new().tensor("a\nb\x1b[31m", &[1], 250, 0).data(4).bytes(),
            &["`a\\nb\\u{1b}[31m`"],
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (what, bytes, words) in cases {
        let error = refusal(&file(folder.path(), "bad.gguf", bytes), "bad.gguf", words);
        let unsupported = ["version", "big-endian", "type 250", "(144)", "(4)"];
        let expected = unsupported.iter().any(|word| error.to_string().contains(word));
        assert_eq!(error.kind() == Kind::Unsupported, expected, "{what}: {error}");
    }
}

#[test]
fn unusual_files_that_are_valid_open() {
    let nested = items(9, 2, &[items(8, 1, &string("a")), items(0, 0, &[])].concat());
    let cases = [
        ("nothing", Gguf::new()),
        (
            "an empty tensor, and a scalar",
            Gguf::new().tensor("a", &[0, 7], 0, 0).tensor("b", &[], 0, 0).data(4),
        ),
        (
            "an empty tensor at the unpadded end",
            Gguf::new().tensor("a", &[1], 0, 0).tensor("b", &[0], 0, 32).data(4),
        ),
        ("tensors out of order", Gguf::new().tensor("a", &[8], 0, 32).tensor("b", &[8], 0, 0).data(64)),
        ("a gap", Gguf::new().tensor("a", &[8], 0, 4096).data(4096 + 32)),
        ("nested arrays", Gguf::new().key("k", [9u32.to_le_bytes().to_vec(), nested].concat())),
        ("an i-quant", Gguf::new().tensor("a", &[256], 16, 0).data(66)),
        ("alignment 8", Gguf::new().key("general.alignment", u32_value(8)).tensor("a", &[], 0, 0).data(4)),
    ];
    for (what, gguf) in cases {
        let bytes = gguf.bytes();
        let read = read_header(bytes.as_slice(), FileId(0), bytes.len() as u64);
        assert!(read.is_ok(), "{what}: {}", read.unwrap_err());
    }
}
