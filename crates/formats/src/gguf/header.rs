//! Reading the header of one GGUF file.

use std::io::Read;
use std::ops::Range;

use base::{Context, Error, Extent, FileId, Quoted, Result};

use super::fields::Fields;
use super::metadata::Metadata;
use super::types::{Block, GgmlType};
use super::value::{Array, Value, ValueType};
use super::{ALIGNMENT_KEY, MAGIC, MAX_DIMENSIONS, VERSION, check_alignment};
use crate::layout::{check_apart, check_inside};
use crate::tensor::{MAX_TENSORS, TensorEntry, place};

/// The most keys metadata may have; real files have some fifty.
const MAX_KEYS: u64 = 8192;
/// How deep arrays may be nested; no known key nests them at all.
const MAX_NESTING: usize = 4;
/// The most arrays that may lie in other arrays, all together.
const MAX_NESTED_ARRAYS: usize = 1 << 16;

/// What the head of one file says.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// What it says about the model; in a split model only the first file says much.
    pub metadata: Metadata,
    /// The tensors in this file, in its order.
    pub tensors: Vec<TensorEntry>,
    /// Where their bytes begin.
    pub data_start: u64,
}

/// Reads the header of a file of `file_bytes` bytes from its start; the extents are given to `file`.
///
/// Names may still be twice in the answer: that is judged over all files of a model. Fails with
/// [`base::Kind::Unsupported`] for another version, and for a type whose size is not known, and otherwise with
/// [`base::Kind::Corrupt`] for whatever the file contradicts.
pub fn read_header(source: impl Read, file: FileId, file_bytes: u64) -> Result<Header> {
    let mut fields = Fields::new(source, file_bytes);
    check_magic(&mut fields)?;
    let tensor_count = fields.u64()?;
    let key_count = fields.u64()?;
    let metadata = read_metadata(&mut fields, key_count)?;
    let alignment = check_alignment(metadata.u64(ALIGNMENT_KEY)?).map_err(Error::corrupt)?;
    let mut tensors = read_tensors(&mut fields, tensor_count, file)?;

    let data_start = fields.at().next_multiple_of(alignment);
    let data = data_start..file_bytes;
    for tensor in &mut tensors {
        tensor.extent = locate(tensor.extent, alignment, &data).within(|| place(tensor))?;
    }
    check_apart(&tensors)?;
    Ok(Header { metadata, tensors, data_start })
}

fn check_magic(fields: &mut Fields<impl Read>) -> Result<()> {
    let magic = fields.bytes()?;
    if magic != MAGIC {
        return Err(err_magic(magic));
    }
    match fields.u32()? {
        VERSION => Ok(()),
        version if version.swap_bytes() == VERSION => Err(err_big_endian()),
        version => Err(err_version(version)),
    }
}

fn read_metadata(fields: &mut Fields<impl Read>, count: u64) -> Result<Metadata> {
    // A key, a type and a value: at least an empty string, four bytes and one.
    fields.claim(count, 13, "metadata entries")?;
    if count > MAX_KEYS {
        return Err(Error::corrupt(format!("has {count} metadata entries, expected at most {MAX_KEYS}")));
    }
    let mut metadata = Metadata::default();
    let mut arrays_left = MAX_NESTED_ARRAYS;
    for index in 0..count {
        let key = fields.string().within(|| format!("metadata entry {index}"))?;
        let value = read_value(fields, &mut arrays_left).within(|| format!("metadata {}", Quoted(&key)))?;
        if metadata.get(&key).is_some() {
            return Err(Error::corrupt(format!("metadata {} occurs twice", Quoted(&key))));
        }
        metadata.set(&key, value);
    }
    Ok(metadata)
}

fn read_value(fields: &mut Fields<impl Read>, arrays_left: &mut usize) -> Result<Value> {
    Ok(match read_type(fields)? {
        ValueType::U8 => Value::U8(fields.bytes().map(u8::from_le_bytes)?),
        ValueType::I8 => Value::I8(fields.bytes().map(i8::from_le_bytes)?),
        ValueType::U16 => Value::U16(fields.bytes().map(u16::from_le_bytes)?),
        ValueType::I16 => Value::I16(fields.bytes().map(i16::from_le_bytes)?),
        ValueType::U32 => Value::U32(fields.u32()?),
        ValueType::I32 => Value::I32(fields.bytes().map(i32::from_le_bytes)?),
        ValueType::F32 => Value::F32(fields.bytes().map(f32::from_le_bytes)?),
        ValueType::Bool => Value::Bool(fields.bool()?),
        ValueType::String => Value::String(fields.string()?),
        ValueType::Array => Value::Array(read_array(fields, MAX_NESTING, arrays_left)?),
        ValueType::U64 => Value::U64(fields.u64()?),
        ValueType::I64 => Value::I64(fields.bytes().map(i64::from_le_bytes)?),
        ValueType::F64 => Value::F64(fields.bytes().map(f64::from_le_bytes)?),
    })
}

fn read_array(fields: &mut Fields<impl Read>, nesting_left: usize, arrays_left: &mut usize) -> Result<Array> {
    let item = read_type(fields)?;
    let count = fields.u64()?;
    let count = fields.claim(count, item.least_bytes(), "array items")?;
    Ok(match item {
        ValueType::U8 => Array::U8(fields.numbers(count, u8::from_le_bytes)?),
        ValueType::I8 => Array::I8(fields.numbers(count, i8::from_le_bytes)?),
        ValueType::U16 => Array::U16(fields.numbers(count, u16::from_le_bytes)?),
        ValueType::I16 => Array::I16(fields.numbers(count, i16::from_le_bytes)?),
        ValueType::U32 => Array::U32(fields.numbers(count, u32::from_le_bytes)?),
        ValueType::I32 => Array::I32(fields.numbers(count, i32::from_le_bytes)?),
        ValueType::F32 => Array::F32(fields.numbers(count, f32::from_le_bytes)?),
        ValueType::Bool => Array::Bool((0..count).map(|_| fields.bool()).collect::<Result<_>>()?),
        ValueType::String => Array::String(fields.strings(count)?),
        ValueType::Array => {
            let nesting_left =
                nesting_left.checked_sub(1).filter(|left| *left > 0).ok_or_else(err_nesting)?;
            *arrays_left = arrays_left.checked_sub(count).ok_or_else(err_nested_arrays)?;
            let items = (0..count).map(|_| read_array(fields, nesting_left, arrays_left));
            Array::Array(items.collect::<Result<_>>()?)
        }
        ValueType::U64 => Array::U64(fields.numbers(count, u64::from_le_bytes)?),
        ValueType::I64 => Array::I64(fields.numbers(count, i64::from_le_bytes)?),
        ValueType::F64 => Array::F64(fields.numbers(count, f64::from_le_bytes)?),
    })
}

fn read_type(fields: &mut Fields<impl Read>) -> Result<ValueType> {
    let id = fields.u32()?;
    ValueType::by_id(id)
        .ok_or_else(|| Error::corrupt(format!("value type {id} is unknown, expected 0 to 12")))
}

/// The extents of the answer still count from where the data begins.
fn read_tensors(fields: &mut Fields<impl Read>, count: u64, file: FileId) -> Result<Vec<TensorEntry>> {
    // A name, a count of sizes, a type and an offset: at least an empty string and 16 bytes.
    let count = fields.claim(count, 24, "tensors")?;
    if count > MAX_TENSORS {
        return Err(Error::corrupt(format!("has {count} tensors, expected at most {MAX_TENSORS}")));
    }
    (0..count).map(|index| read_tensor(fields, index, file)).collect()
}

fn read_tensor(fields: &mut Fields<impl Read>, index: usize, file: FileId) -> Result<TensorEntry> {
    let name = fields.string().within(|| format!("tensor {index}"))?;
    let mut rest = || {
        let dimensions = usize::try_from(fields.u32()?).ok().filter(|count| *count <= MAX_DIMENSIONS);
        let dimensions = dimensions.ok_or_else(err_dimensions)?;
        let mut shape = fields.numbers(dimensions, u64::from_le_bytes)?; // innermost first
        let (ggml_type, block) = known_type(fields.u32()?)?;
        let offset = fields.u64()?;
        let len = tensor_bytes(&shape, ggml_type, block)?;
        shape.reverse();
        Ok((ggml_type.element(), shape, Extent { file, offset, len }))
    };
    let (element, shape, extent) = rest().within(|| format!("tensor {}", Quoted(&name)))?;
    Ok(TensorEntry { name, element, shape, extent })
}

fn known_type(id: u32) -> Result<(&'static GgmlType, Block)> {
    let ggml_type = GgmlType::by_id(id).ok_or_else(|| err_unknown_type(id))?;
    let block = ggml_type.block.ok_or_else(|| err_unsupported_type(ggml_type))?;
    Ok((ggml_type, block))
}

/// Bytes of a tensor whose sizes, innermost first, are `sizes`.
pub(super) fn tensor_bytes(sizes: &[u64], ggml_type: &GgmlType, block: Block) -> Result<u64> {
    let (row, outer) = sizes.split_first().map_or((1, sizes), |(row, outer)| (*row, outer));
    if !row.is_multiple_of(block.len) {
        let (name, len) = (ggml_type.name, block.len);
        return Err(Error::corrupt(format!(
            "its rows of {row} values are no whole number of {name} blocks of {len}"
        )));
    }
    let row_bytes = (row / block.len).checked_mul(block.bytes);
    let bytes = outer.iter().fold(row_bytes, |bytes, size| bytes?.checked_mul(*size));
    bytes.ok_or_else(|| Error::corrupt(format!("its sizes {sizes:?} overflow")))
}

/// Moves an extent that counts from where the data begins to where it lies in the file.
fn locate(extent: Extent, alignment: u64, data: &Range<u64>) -> Result<Extent> {
    let Extent { file, offset, len } = extent;
    if !offset.is_multiple_of(alignment) {
        return Err(Error::corrupt(format!(
            "its offset {offset} is no multiple of the alignment, {alignment}"
        )));
    }
    let offset = data.start.checked_add(offset).ok_or_else(|| err_offset(offset))?;
    let extent = Extent { file, offset, len };
    // An empty tensor at the end may lie past a file that ends without padding.
    if len > 0 {
        check_inside(extent, data)?;
    }
    Ok(extent)
}

fn err_magic(magic: [u8; 4]) -> Error {
    Error::corrupt(format!("is not a GGUF file: it starts with `{}`, expected `GGUF`", magic.escape_ascii()))
}

fn err_big_endian() -> Error {
    Error::unsupported("is a big-endian GGUF file, expected little-endian")
        .hint("gguf-convert-endian of the Python package gguf turns it around")
}

fn err_version(version: u32) -> Error {
    Error::unsupported(format!("is GGUF version {version}, expected version {VERSION}"))
}

fn err_nesting() -> Error {
    Error::corrupt(format!("its arrays are nested more than {MAX_NESTING} deep"))
}

fn err_nested_arrays() -> Error {
    Error::corrupt(format!("more than {MAX_NESTED_ARRAYS} arrays lie in other arrays"))
}

fn err_dimensions() -> Error {
    Error::corrupt(format!("has too many dimensions, expected at most {MAX_DIMENSIONS}"))
}

fn err_unknown_type(id: u32) -> Error {
    Error::unsupported(format!("is of type {id}, which is no GGML type known here"))
}

fn err_unsupported_type(ggml_type: &GgmlType) -> Error {
    Error::unsupported(format!("is of type {} ({}), which is not supported", ggml_type.name, ggml_type.id))
}

fn err_offset(offset: u64) -> Error {
    Error::corrupt(format!("its offset {offset} overflows"))
}
