//! What the GGUF writer writes, the reader reads: any metadata, any tensors, in pieces of any size.
#![allow(clippy::unwrap_used)] // a test that cannot set itself up should stop

use base::{FileId, Kind};
use formats::Element;
use formats::gguf::write::{Tensor, Writer};
use formats::gguf::{Array, Metadata, Value, read_header};
use proptest::collection::vec;
use proptest::prelude::*;
use quant::Quant;

fn array() -> impl Strategy<Value = Array> {
    let flat = prop_oneof![
        vec(any::<u8>(), 0..9).prop_map(Array::U8),
        vec(any::<i8>(), 0..9).prop_map(Array::I8),
        vec(any::<u16>(), 0..9).prop_map(Array::U16),
        vec(any::<i16>(), 0..9).prop_map(Array::I16),
        vec(any::<u32>(), 0..9).prop_map(Array::U32),
        vec(any::<i32>(), 0..9).prop_map(Array::I32),
        vec(any::<f32>(), 0..9).prop_map(Array::F32),
        vec(any::<bool>(), 0..9).prop_map(Array::Bool),
        vec(any::<String>(), 0..9).prop_map(|strings| Array::String(strings.into_iter().collect())),
        vec(any::<u64>(), 0..9).prop_map(Array::U64),
        vec(any::<i64>(), 0..9).prop_map(Array::I64),
        vec(any::<f64>(), 0..9).prop_map(Array::F64),
    ];
    flat.prop_recursive(3, 20, 4, |inner| vec(inner, 0..4).prop_map(Array::Array))
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u8>().prop_map(Value::U8),
        any::<i8>().prop_map(Value::I8),
        any::<u16>().prop_map(Value::U16),
        any::<i16>().prop_map(Value::I16),
        any::<u32>().prop_map(Value::U32),
        any::<i32>().prop_map(Value::I32),
        any::<f32>().prop_map(Value::F32),
        any::<bool>().prop_map(Value::Bool),
        any::<String>().prop_map(Value::String),
        array().prop_map(Value::Array),
        any::<u64>().prop_map(Value::U64),
        any::<i64>().prop_map(Value::I64),
        any::<f64>().prop_map(Value::F64),
    ]
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let entries = vec((any::<String>(), value()), 0..6);
    (entries, proptest::option::of(3..9u32)).prop_map(|(entries, alignment)| {
        let mut metadata = Metadata::default();
        entries.into_iter().for_each(|(key, value)| metadata.set(&key, value));
        alignment.into_iter().for_each(|log| metadata.set("general.alignment", 1u32 << log));
        metadata
    })
}

/// A tensor that needs 0 to a few thousand bytes, and how many it needs.
fn tensor() -> impl Strategy<Value = (Tensor, usize)> {
    let quants: Vec<Quant> = Quant::ALL
        .iter()
        .copied()
        .filter(|quant| quant.plane_bytes(1, quant.block_len()).unwrap().scales == 0)
        .collect();
    let outer = vec(0..4u64, 0..4);
    (any::<String>(), proptest::sample::select(quants), outer, 0..3usize).prop_map(
        |(name, quant, outer, blocks)| {
            let cols = blocks * quant.block_len();
            let rows: u64 = outer.iter().product();
            let bytes = quant.plane_bytes(rows as usize, cols).unwrap().values;
            let shape = outer.into_iter().chain([cols as u64]).collect();
            (Tensor { name, element: Element::Weight(quant), shape }, bytes)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(metadata in metadata(), given in vec(tensor(), 0..5), piece in 1..700usize) {
        let (tensors, lengths): (Vec<_>, Vec<_>) = given
            .into_iter()
            .enumerate()
            .map(|(index, (tensor, bytes))| (Tensor { name: format!("{index}{}", tensor.name), ..tensor }, bytes))
            .unzip();
        let content = |index: usize| (0..lengths[index]).map(|at| (at * 7 + index) as u8).collect::<Vec<u8>>();

        let mut writer = Writer::new(Vec::new(), &metadata, &tensors).unwrap();
        for index in 0..tensors.len() {
            content(index).chunks(piece).for_each(|bytes| writer.append(bytes).unwrap());
        }
        let file = writer.finish().unwrap();

        let header = read_header(file.as_slice(), FileId(3), file.len() as u64).unwrap();
        prop_assert_eq!(&header.metadata, &metadata);
        prop_assert_eq!(header.tensors.len(), tensors.len());
        for (index, (read, tensor)) in header.tensors.iter().zip(&tensors).enumerate() {
            prop_assert_eq!((&read.name, &read.element, &read.shape), (&tensor.name, &tensor.element, &tensor.shape));
            let start = read.extent.offset as usize;
            prop_assert_eq!(&file[start..start + read.extent.len as usize], content(index));
            prop_assert_eq!(read.extent.file, FileId(3));
        }
    }
}

fn weights(name: &str, quant: Quant, shape: &[u64]) -> Tensor {
    Tensor { name: name.to_owned(), element: Element::Weight(quant), shape: shape.to_vec() }
}

#[test]
fn what_could_not_be_read_is_not_written() {
    let crooked = |alignment: u32| {
        let mut metadata = Metadata::default();
        metadata.set("general.alignment", alignment);
        metadata
    };
    let ok = || weights("x", Quant::F32, &[1]);
    let other = |name: &str| Tensor { element: Element::Other(name.to_owned()), ..ok() };
    let cases = [
        (crooked(4), vec![], "general.alignment is 4"),
        (crooked(24), vec![], "general.alignment is 24"),
        (Metadata::default(), vec![ok(), ok()], "tensor `x` is given twice"),
        (Metadata::default(), vec![weights("x", Quant::Q4K, &[128])], "tensor `x`: its rows of 128 values"),
        (Metadata::default(), vec![weights("x", Quant::Int4G32, &[32])], "INT4_G32, which GGUF cannot hold"),
        (Metadata::default(), vec![other("IQ4_KS")], "IQ4_KS, which GGUF cannot hold"),
        (Metadata::default(), vec![weights("x", Quant::F32, &[1; 5])], "has 5 dimensions"),
        (Metadata::default(), vec![weights("x", Quant::F32, &[1 << 62])], "overflow"),
    ];
    for (metadata, tensors, words) in cases {
        let error = Writer::new(Vec::new(), &metadata, &tensors).unwrap_err();
        assert!(error.to_string().contains(words), "{error} does not say {words}");
    }
}

#[test]
fn a_writer_takes_neither_more_nor_fewer_bytes_than_its_tensors_need() {
    let tensors =
        [weights("a", Quant::F32, &[2]), weights("none", Quant::F32, &[0]), weights("b", Quant::F32, &[1])];
    let writer = || Writer::new(Vec::new(), &Metadata::default(), &tensors).unwrap();

    let mut long = writer();
    let error = long.append(&[0; 12]).unwrap_err();
    assert_eq!(error.to_string(), "12 bytes were given for tensor `a`, which needs 8 more");

    let mut short = writer();
    short.append(&[0; 8]).unwrap();
    assert_eq!(short.finish().unwrap_err().to_string(), "tensor `b` still needs 4 bytes");

    let mut full = writer();
    full.append(&[0; 8]).unwrap();
    full.append(&[0; 4]).unwrap();
    assert_eq!(full.append(&[0]).unwrap_err().kind(), Kind::Input);
    full.append(&[]).unwrap();
    full.finish().unwrap();
}
