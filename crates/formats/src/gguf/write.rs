//! Writing GGUF v3: the header at once, then the bytes of the tensors as they come.
//!
//! ```
//! use formats::gguf::{Metadata, write::{Tensor, Writer}};
//! use formats::Element;
//! use quant::Quant;
//!
//! let mut metadata = Metadata::default();
//! metadata.set("general.architecture", "example");
//! let bias = Tensor { name: "bias".into(), element: Element::Weight(Quant::F32), shape: vec![2] };
//!
//! let mut writer = Writer::new(Vec::new(), &metadata, &[bias])?;
//! writer.append(&1.5f32.to_le_bytes())?;
//! writer.append(&2.5f32.to_le_bytes())?;
//! let file = writer.finish()?;
//! assert_eq!(&file[..4], b"GGUF");
//! # Ok::<(), base::Error>(())
//! ```

use std::collections::{HashSet, VecDeque};
use std::io::Write;

use base::{Context, Error, Quoted, Result};

use super::header::tensor_bytes;
use super::types::{Block, GgmlType};
use super::value::{Array, Value};
use super::{ALIGNMENT_KEY, MAGIC, MAX_DIMENSIONS, Metadata, VERSION, check_alignment};
use crate::element::Element;

/// A tensor to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Its name, unique in the file.
    pub name: String,
    /// What its numbers are; a type that GGML has.
    pub element: Element,
    /// Its sizes, outermost first.
    pub shape: Vec<u64>,
}

/// A file being written: its header is out, and so are the first bytes of its tensors.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    alignment: u64,
    /// The tensors that are not complete, with the bytes each still needs.
    pending: VecDeque<(String, u64)>,
    /// Bytes written so far.
    written: u64,
}

impl<W: Write> Writer<W> {
    /// Writes the header of a file of `tensors`, whose bytes are then to be appended in that order.
    ///
    /// Fails with [`base::Kind::Input`] for what a reader would refuse: a name given twice, a type that GGML does
    /// not have, rows that are no whole number of blocks, an alignment that is no power of two or below 8.
    pub fn new(out: W, metadata: &Metadata, tensors: &[Tensor]) -> Result<Self> {
        let alignment = check_alignment(metadata.u64(ALIGNMENT_KEY)?).map_err(Error::input)?;
        let mut header = Vec::new();
        header.extend(MAGIC);
        header.extend(VERSION.to_le_bytes());
        header.extend((tensors.len() as u64).to_le_bytes());
        header.extend((metadata.len() as u64).to_le_bytes());
        for (key, value) in metadata.iter() {
            put_string(&mut header, key);
            header.extend((value.value_type() as u32).to_le_bytes());
            put_value(&mut header, value);
        }
        let pending = put_tensors(&mut header, tensors, alignment)?;
        let mut writer = Self { out, alignment, pending, written: 0 };
        writer.put(&header)?;
        writer.pad()?;
        Ok(writer)
    }

    /// Appends bytes of the first tensor that is not complete. They must not reach into the next tensor.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.skip_complete();
        let Some((name, left)) = self.pending.front_mut() else {
            return if bytes.is_empty() {
                Ok(())
            } else {
                Err(Error::input("all tensors are complete already"))
            };
        };
        match left.checked_sub(bytes.len() as u64) {
            Some(rest) => *left = rest,
            None => return Err(err_too_many(name, bytes.len(), *left)),
        }
        let complete = *left == 0;
        self.put(bytes)?;
        if complete { self.pad() } else { Ok(()) }
    }

    /// Ends the file and gives back what it was written to. Fails when a tensor is not complete.
    pub fn finish(mut self) -> Result<W> {
        self.skip_complete();
        if let Some((name, left)) = self.pending.front() {
            return Err(Error::input(format!("tensor {} still needs {left} bytes", Quoted(name))));
        }
        self.out.flush().map_err(|error| err_write(&error))?;
        Ok(self.out)
    }

    fn skip_complete(&mut self) {
        while self.pending.front().is_some_and(|(_, left)| *left == 0) {
            self.pending.pop_front();
        }
    }

    fn pad(&mut self) -> Result<()> {
        const ZEROS: [u8; 4096] = [0; 4096];
        let mut left = self.written.next_multiple_of(self.alignment) - self.written;
        while left > 0 {
            let step = left.min(ZEROS.len() as u64);
            self.put(&ZEROS[..step as usize])?;
            left -= step;
        }
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|error| err_write(&error))?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}

/// Appends the descriptions of the tensors; answers with the bytes each will need.
fn put_tensors(header: &mut Vec<u8>, tensors: &[Tensor], alignment: u64) -> Result<VecDeque<(String, u64)>> {
    let mut names = HashSet::new();
    let mut pending = VecDeque::new();
    let mut offset = 0u64;
    for tensor in tensors {
        if !names.insert(tensor.name.as_str()) {
            return Err(Error::input(format!("tensor {} is given twice", Quoted(&tensor.name))));
        }
        let place = || format!("tensor {}", Quoted(&tensor.name));
        let bytes = put_tensor(header, tensor, offset).within(place)?;
        pending.push_back((tensor.name.clone(), bytes));
        let end = offset.checked_add(bytes).and_then(|end| end.checked_next_multiple_of(alignment));
        offset = end.ok_or_else(|| Error::input("ends where no file can").within(place()))?;
    }
    Ok(pending)
}

fn put_tensor(header: &mut Vec<u8>, tensor: &Tensor, offset: u64) -> Result<u64> {
    if tensor.shape.len() > MAX_DIMENSIONS {
        return Err(Error::input(format!("has {} dimensions, expected at most 4", tensor.shape.len())));
    }
    let (ggml_type, block) = ggml_type(&tensor.element)?;
    let sizes: Vec<u64> = tensor.shape.iter().rev().copied().collect();
    let bytes = tensor_bytes(&sizes, ggml_type, block)?;
    put_string(header, &tensor.name);
    header.extend((sizes.len() as u32).to_le_bytes());
    header.extend(sizes.iter().flat_map(|size| size.to_le_bytes()));
    header.extend(ggml_type.id.to_le_bytes());
    header.extend(offset.to_le_bytes());
    Ok(bytes)
}

fn ggml_type(element: &Element) -> Result<(&'static GgmlType, Block)> {
    let found = GgmlType::by_name(element.name());
    let found = found.and_then(|ggml_type| Some((ggml_type, ggml_type.block?)));
    found.ok_or_else(|| Error::input(format!("is of type {}, which GGUF cannot hold", element.name())))
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::U8(value) => out.extend(value.to_le_bytes()),
        Value::I8(value) => out.extend(value.to_le_bytes()),
        Value::U16(value) => out.extend(value.to_le_bytes()),
        Value::I16(value) => out.extend(value.to_le_bytes()),
        Value::U32(value) => out.extend(value.to_le_bytes()),
        Value::I32(value) => out.extend(value.to_le_bytes()),
        Value::F32(value) => out.extend(value.to_le_bytes()),
        Value::Bool(value) => out.push(u8::from(*value)),
        Value::String(value) => put_string(out, value),
        Value::Array(value) => put_array(out, value),
        Value::U64(value) => out.extend(value.to_le_bytes()),
        Value::I64(value) => out.extend(value.to_le_bytes()),
        Value::F64(value) => out.extend(value.to_le_bytes()),
    }
}

fn put_array(out: &mut Vec<u8>, array: &Array) {
    out.extend((array.item_type() as u32).to_le_bytes());
    out.extend((array.len() as u64).to_le_bytes());
    match array {
        Array::U8(items) => out.extend(items),
        Array::I8(items) => out.extend(items.iter().flat_map(|item| item.to_le_bytes())),
        Array::U16(items) => out.extend(items.iter().flat_map(|item| item.to_le_bytes())),
        Array::I16(items) => out.extend(items.iter().flat_map(|item| item.to_le_bytes())),
        Array::U32(items) => out.extend(items.iter().flat_map(|item| item.to_le_bytes())),
        Array::I32(items) => out.extend(items.iter().flat_map(|item| item.to_le_bytes())),
        Array::F32(items) => out.extend(items.iter().flat_map(|item| item.to_le_bytes())),
        Array::Bool(items) => out.extend(items.iter().map(|item| u8::from(*item))),
        Array::String(items) => items.iter().for_each(|item| put_string(out, item)),
        Array::Array(items) => items.iter().for_each(|item| put_array(out, item)),
        Array::U64(items) => out.extend(items.iter().flat_map(|item| item.to_le_bytes())),
        Array::I64(items) => out.extend(items.iter().flat_map(|item| item.to_le_bytes())),
        Array::F64(items) => out.extend(items.iter().flat_map(|item| item.to_le_bytes())),
    }
}

fn err_too_many(name: &str, bytes: usize, left: u64) -> Error {
    Error::input(format!("{bytes} bytes were given for tensor {}, which needs {left} more", Quoted(name)))
}

fn err_write(error: &std::io::Error) -> Error {
    Error::io("the GGUF file cannot be written", error)
}
