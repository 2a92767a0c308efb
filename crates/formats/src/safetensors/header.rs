//! Reading the header of one safetensors file.
//!
//! The JSON is parsed as it is read, straight into entries: of a file that lies about its length or is no safetensors
//! file at all, next to nothing is read, and a name that occurs twice is seen (a JSON map would keep one).

use std::fmt;
use std::io::{BufReader, Read};
use std::ops::Range;

use base::{Context, Error, Extent, FileId, Quoted, Result};
use quant::Quant;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::element::Element;
use crate::file::err_json;
use crate::layout::{check_covering, check_inside};
use crate::tensor::{MAX_TENSORS, TensorEntry};

/// The longest header there may be; the limit of the reference implementation.
const MAX_HEADER_BYTES: u64 = 100_000_000;
/// The most sizes a tensor may have.
const MAX_DIMENSIONS: usize = 8;

/// Reads the header of a file of `file_bytes` bytes from its start; the extents are given to `file`.
///
/// Names may still be twice in the answer: that is judged over all files of a model. Fails with
/// [`base::Kind::Corrupt`] for whatever the file contradicts.
pub fn read_header(source: impl Read, file: FileId, file_bytes: u64) -> Result<Vec<TensorEntry>> {
    let mut source = BufReader::with_capacity(64 << 10, source);
    let data = data_of(&mut source, file_bytes)?;
    let mut entries = Entries { file, data: &data, tensors: Vec::new(), unread: None, refusal: None };
    let mut json = serde_json::Deserializer::from_reader(source.take(data.start - 8));
    let parsed = entries.deserialize(&mut json).and_then(|()| json.end());
    if let Some(refusal) = entries.refusal {
        return Err(refusal);
    }
    if let Err(error) = parsed {
        return Err(err_header(&error, entries.unread.as_deref()));
    }
    check_covering(&entries.tensors, &data)?;
    Ok(entries.tensors)
}

/// Reads the length of the header; answers with the part of the file that is data.
fn data_of(source: &mut impl Read, file_bytes: u64) -> Result<Range<u64>> {
    if file_bytes < 8 {
        return Err(Error::corrupt(format!("has {file_bytes} bytes, too few for a safetensors file")));
    }
    let mut length = [0; 8];
    source.read_exact(&mut length).map_err(|error| Error::io("the header cannot be read", &error))?;
    let header_bytes = u64::from_le_bytes(length);
    if header_bytes > file_bytes - 8 {
        return Err(err_length(header_bytes, file_bytes));
    }
    if header_bytes > MAX_HEADER_BYTES {
        return Err(Error::corrupt(format!(
            "its header has {header_bytes} bytes, expected at most {MAX_HEADER_BYTES}"
        )));
    }
    Ok(8 + header_bytes..file_bytes)
}

/// The entries of a header, gathered as they are read.
struct Entries<'a> {
    file: FileId,
    data: &'a Range<u64>,
    tensors: Vec<TensorEntry>,
    /// The tensor whose description could not be read.
    unread: Option<String>,
    /// Why reading stopped, when it was not the JSON.
    refusal: Option<Error>,
}

/// What the header says of one tensor.
#[derive(Deserialize)]
struct Description {
    dtype: String,
    shape: Shape,
    data_offsets: (u64, u64),
}

impl<'de> DeserializeSeed<'de> for &mut Entries<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Entries<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of tensors")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let description = map.next_value().inspect_err(|_| self.unread = Some(name.clone()))?;
            match entry(name, description, self.file, self.data) {
                Ok(entry) if self.tensors.len() < MAX_TENSORS => self.tensors.push(entry),
                Ok(_) => return Err(self.refuse(err_too_many())),
                Err(error) => return Err(self.refuse(error)),
            }
        }
        Ok(())
    }
}

impl Entries<'_> {
    /// Keeps our own error, which says more than one of the JSON reader can, and makes the reader stop.
    fn refuse<E: serde::de::Error>(&mut self, error: Error) -> E {
        self.refusal = Some(error);
        E::custom("refused")
    }
}

fn entry(name: String, described: Description, file: FileId, data: &Range<u64>) -> Result<TensorEntry> {
    let located = extent(&described, file, data).within(|| format!("tensor {}", Quoted(&name)));
    let (element, extent) = located?;
    Ok(TensorEntry { name, element, shape: described.shape.0, extent })
}

fn extent(described: &Description, file: FileId, data: &Range<u64>) -> Result<(Element, Extent)> {
    let (start, end) = described.data_offsets;
    let offset = data.start.checked_add(start);
    let (offset, len) = offset.zip(end.checked_sub(start)).ok_or_else(|| err_offsets(start, end))?;
    let extent = Extent { file, offset, len };
    check_inside(extent, data)?;

    let (element, bits) = element(&described.dtype);
    if let Some(bits) = bits {
        let bytes = tensor_bytes(&described.shape.0, bits)?;
        if bytes != len {
            return Err(err_bytes(&described.dtype, &described.shape.0, bytes, len));
        }
    }
    Ok((element, extent))
}

/// What a dtype is, and how many bits a number of it takes if that is known.
fn element(dtype: &str) -> (Element, Option<u64>) {
    let other = || Element::Other(dtype.to_owned());
    match dtype {
        "F32" => (Element::Weight(Quant::F32), Some(32)),
        "F16" => (Element::Weight(Quant::F16), Some(16)),
        "BF16" => (Element::Weight(Quant::BF16), Some(16)),
        "F8_E4M3" => (Element::F8E4M3, Some(8)),
        "F8_E8M0" => (Element::E8M0, Some(8)),
        "I32" => (Element::I32, Some(32)),
        "I64" => (Element::I64, Some(64)),
        "I8" => (Element::I8, Some(8)),
        "U8" => (Element::U8, Some(8)),
        "F4" => (other(), Some(4)),
        "F6_E2M3" | "F6_E3M2" => (other(), Some(6)),
        "BOOL" | "F8_E5M2" | "F8_E4M3FNUZ" | "F8_E5M2FNUZ" => (other(), Some(8)),
        "I16" | "U16" => (other(), Some(16)),
        "U32" => (other(), Some(32)),
        "F64" | "U64" | "C64" => (other(), Some(64)),
        _ => (other(), None),
    }
}

fn tensor_bytes(shape: &[u64], bits: u64) -> Result<u64> {
    let all_bits = shape.iter().try_fold(bits, |bits, size| bits.checked_mul(*size));
    let all_bits = all_bits.ok_or_else(|| Error::corrupt(format!("its shape {shape:?} overflows")))?;
    if !all_bits.is_multiple_of(8) {
        return Err(Error::corrupt(format!("its {all_bits} bits are no whole number of bytes")));
    }
    Ok(all_bits / 8)
}

/// Sizes, outermost first; not more than [`MAX_DIMENSIONS`].
struct Shape(Vec<u64>);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Sizes;

        impl<'de> Visitor<'de> for Sizes {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a shape of at most {MAX_DIMENSIONS} sizes")
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Shape, S::Error> {
                let mut sizes = Vec::new();
                while let Some(size) = seq.next_element()? {
                    if sizes.len() == MAX_DIMENSIONS {
                        return Err(serde::de::Error::invalid_length(sizes.len() + 1, &self));
                    }
                    sizes.push(size);
                }
                Ok(Shape(sizes))
            }
        }

        json.deserialize_seq(Sizes)
    }
}

fn err_header(error: &serde_json::Error, unread: Option<&str>) -> Error {
    let places = unread.map(|name| format!("tensor {}", Quoted(name)));
    places.into_iter().fold(err_json(error), Error::within).within("the header")
}

fn err_length(header_bytes: u64, file_bytes: u64) -> Error {
    Error::corrupt(format!("its header claims {header_bytes} bytes, but the file has {file_bytes}"))
        .hint("the file may be incomplete, or no safetensors file")
}

fn err_too_many() -> Error {
    Error::corrupt(format!("has more than {MAX_TENSORS} tensors"))
}

fn err_offsets(start: u64, end: u64) -> Error {
    Error::corrupt(format!("its data offsets {start} and {end} are no range"))
}

fn err_bytes(dtype: &str, shape: &[u64], expected: u64, found: u64) -> Error {
    let dtype = Quoted(dtype);
    Error::corrupt(format!("has {found} bytes of data, expected {expected} for {dtype} of shape {shape:?}"))
}
