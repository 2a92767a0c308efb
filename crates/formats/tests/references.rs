//! What the reference implementations write is read as they meant it, and what we write they would read.
#![allow(clippy::unwrap_used)] // a test that cannot set itself up should stop

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use formats::gguf::{Array, Metadata, Strings, Value};
use formats::{Checkpoint, Element, TensorEntry};
use quant::Quant;
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize_to_file};

/// A file written by a reference library; `fuzz/seeds/make.py` says how.
fn seed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(name)
}

fn tensor<'a>(opened: &'a Checkpoint, name: &str) -> &'a TensorEntry {
    opened.tensors.iter().find(|tensor| tensor.name == name).unwrap()
}

fn bytes(opened: &Checkpoint, tensor: &TensorEntry) -> Vec<u8> {
    let file = std::fs::read(&opened.files[tensor.extent.file.0 as usize]).unwrap();
    file[tensor.extent.offset as usize..tensor.extent.end().unwrap() as usize].to_vec()
}

#[test]
fn a_file_of_gguf_py_reads_as_it_was_written() {
    let opened = formats::open(&seed("gguf/gguf_py.gguf")).unwrap();
    let expected: Vec<(&str, Value)> = vec![
        ("general.architecture", "deepseek2".into()),
        ("t.u8", Value::U8(200)),
        ("t.i8", Value::I8(-100)),
        ("t.u16", Value::U16(60000)),
        ("t.i16", Value::I16(-30000)),
        ("t.u32", Value::U32(4_000_000_000)),
        ("t.i32", Value::I32(-2_000_000_000)),
        ("t.f32", Value::F32(1e-6)),
        ("t.u64", Value::U64(1 << 63)),
        ("t.i64", Value::I64(-(1 << 62))),
        ("t.f64", Value::F64(0.1)),
        ("t.bool", Value::Bool(true)),
        ("t.string", "Grüße, 世界".into()),
        ("t.array.i32", Array::I32(vec![1, -2, 3]).into()),
        ("t.array.f32", Array::F32(vec![0.5, 1.5]).into()),
        ("t.array.bool", Array::Bool(vec![true, false]).into()),
        ("tokenizer.ggml.tokens", Strings::from_iter(["<s>", "", "Ġa"]).into()),
        ("general.alignment", Value::U32(64)),
    ];
    let mut metadata = Metadata::default();
    for (key, value) in expected {
        metadata.set(key, value);
    }
    assert_eq!(opened.metadata, metadata);
    assert_eq!(opened.config["t.array.i32"], serde_json::json!([1, -2, 3]));

    let embedding = tensor(&opened, "token_embd.weight");
    assert_eq!(
        (&embedding.element, embedding.shape.as_slice()),
        (&Element::Weight(Quant::F32), &[3, 64][..])
    );
    let norm = tensor(&opened, "norm.weight");
    assert_eq!((&norm.element, norm.shape.as_slice()), (&Element::Weight(Quant::F16), &[5][..]));
    assert_eq!(bytes(&opened, norm), [0x00, 0x3c].repeat(5), "five times 1.0");
    let experts = tensor(&opened, "blk.0.ffn_up_exps.weight");
    assert_eq!(
        (&experts.element, experts.shape.as_slice()),
        (&Element::Weight(Quant::Q8_0), &[2, 3, 32][..])
    );
    assert_eq!(experts.extent.len, 6 * 34);
    assert!(opened.tensors.iter().all(|tensor| tensor.extent.offset % 64 == 0));
}

#[test]
fn a_file_of_safetensors_for_python_reads_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), "{}").unwrap();
    std::fs::copy(seed("safetensors/safetensors_py.safetensors"), folder.path().join("any.safetensors"))
        .unwrap();
    let opened = formats::open(folder.path()).unwrap();
    let packed = tensor(&opened, "experts.0.weight_packed");
    assert_eq!((&packed.element, packed.shape.as_slice()), (&Element::I32, &[2, 4][..]));
    assert_eq!(bytes(&opened, packed), (0..8i32).flat_map(i32::to_le_bytes).collect::<Vec<_>>());
    assert_eq!(tensor(&opened, "experts.0.weight_scale").element, Element::Weight(Quant::F16));
    assert_eq!(tensor(&opened, "mask").element, Element::Other("BOOL".to_owned()));
    assert_eq!(opened.tensors.len(), 4);
}

#[test]
fn every_dtype_of_the_safetensors_crate_is_read() {
    let dtypes = [
        (Dtype::BOOL, 8, "BOOL"),
        (Dtype::F4, 4, "F4"),
        (Dtype::F6_E2M3, 6, "F6_E2M3"),
        (Dtype::F6_E3M2, 6, "F6_E3M2"),
        (Dtype::U8, 8, "U8"),
        (Dtype::I8, 8, "I8"),
        (Dtype::F8_E5M2, 8, "F8_E5M2"),
        (Dtype::F8_E4M3, 8, "F8_E4M3"),
        (Dtype::F8_E8M0, 8, "F8_E8M0"),
        (Dtype::F8_E4M3FNUZ, 8, "F8_E4M3FNUZ"),
        (Dtype::F8_E5M2FNUZ, 8, "F8_E5M2FNUZ"),
        (Dtype::I16, 16, "I16"),
        (Dtype::U16, 16, "U16"),
        (Dtype::F16, 16, "F16"),
        (Dtype::BF16, 16, "BF16"),
        (Dtype::I32, 32, "I32"),
        (Dtype::U32, 32, "U32"),
        (Dtype::F32, 32, "F32"),
        (Dtype::C64, 64, "C64"),
        (Dtype::F64, 64, "F64"),
        (Dtype::I64, 64, "I64"),
        (Dtype::U64, 64, "U64"),
    ];
    let contents: Vec<Vec<u8>> =
        dtypes.iter().map(|(_, bits, _)| (0..12u8).cycle().take(12 * bits / 8).collect()).collect();
    let views: HashMap<&str, TensorView> = (dtypes.iter().zip(&contents))
        .map(|((dtype, _, name), bytes)| (*name, TensorView::new(*dtype, vec![3, 4], bytes).unwrap()))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), "{}").unwrap();
    serialize_to_file(&views, None, &folder.path().join("model.safetensors")).unwrap();

    let opened = formats::open(folder.path()).unwrap();
    assert_eq!(opened.tensors.len(), dtypes.len());
    for ((_, _, name), content) in dtypes.iter().zip(&contents) {
        let tensor = tensor(&opened, name);
        assert_eq!((tensor.element.name(), tensor.shape.as_slice()), (*name, &[3, 4][..]));
        assert_eq!(&bytes(&opened, tensor), content, "{name}");
    }
}
