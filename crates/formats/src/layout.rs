//! Whether the tensors of one file lie where they may: inside it, and apart from each other.

use std::ops::Range;

use base::{Error, Extent, Quoted, Result};

use crate::tensor::{TensorEntry, place};

/// Refuses an extent that is not inside the part of the file that holds data.
pub(crate) fn check_inside(extent: Extent, data: &Range<u64>) -> Result<()> {
    match extent.end() {
        Some(end) if end <= data.end && extent.offset >= data.start => Ok(()),
        Some(end) => Err(err_outside(extent.offset, end, data)),
        None => Err(Error::corrupt(format!("byte {} plus {} overflows", extent.offset, extent.len))),
    }
}

/// Refuses two tensors of one file that share a byte. Gaps between tensors are allowed.
pub(crate) fn check_apart(tensors: &[TensorEntry]) -> Result<()> {
    let mut end = 0;
    let mut before: Option<&TensorEntry> = None;
    for tensor in in_order(tensors).into_iter().filter(|tensor| tensor.extent.len > 0) {
        if let Some(before) = before.filter(|_| tensor.extent.offset < end) {
            return Err(err_overlap(before, tensor));
        }
        end = end_of(tensor);
        before = Some(tensor);
    }
    Ok(())
}

/// Refuses tensors of one file that do not cover `data` exactly, each byte once.
pub(crate) fn check_covering(tensors: &[TensorEntry], data: &Range<u64>) -> Result<()> {
    check_apart(tensors)?;
    let mut end = data.start;
    for tensor in in_order(tensors) {
        if tensor.extent.offset != end {
            return Err(err_hole(end, tensor));
        }
        end = end_of(tensor);
    }
    if end != data.end {
        return Err(err_trailing(data.end - end));
    }
    Ok(())
}

/// By offset; of two at the same offset the empty one first.
fn in_order(tensors: &[TensorEntry]) -> Vec<&TensorEntry> {
    let mut ordered: Vec<_> = tensors.iter().collect();
    ordered.sort_unstable_by_key(|tensor| (tensor.extent.offset, tensor.extent.len));
    ordered
}

/// One past the last byte of a tensor whose extent is known not to overflow.
fn end_of(tensor: &TensorEntry) -> u64 {
    tensor.extent.offset.saturating_add(tensor.extent.len)
}

fn err_outside(start: u64, end: u64, data: &Range<u64>) -> Error {
    let Range { start: first, end: last } = data;
    Error::corrupt(format!("bytes {start} to {end} are not inside the file's data, bytes {first} to {last}"))
        .hint("the file may be incomplete: compare its size with the published one")
}

fn err_overlap(before: &TensorEntry, tensor: &TensorEntry) -> Error {
    Error::corrupt(format!("its bytes overlap those of tensor {}", Quoted(&before.name)))
        .within(place(tensor))
}

fn err_hole(end: u64, tensor: &TensorEntry) -> Error {
    let start = tensor.extent.offset;
    Error::corrupt(format!("starts at byte {start}, but the tensor before it ends at byte {end}"))
        .within(place(tensor))
}

fn err_trailing(bytes: u64) -> Error {
    Error::corrupt(format!("the file goes on for {bytes} bytes after its last tensor"))
}
