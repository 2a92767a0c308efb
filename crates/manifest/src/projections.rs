//! Queries, keys and values that are published as one tensor become three weights, so that nothing after knows.

use std::collections::BTreeMap;

use base::{Error, Extent, LayerId, Quoted, Result};
use spec::{LayerWeight as W, ModelSpec, Role};

use crate::stored::Stored;

/// What is published as one, and what it is made of, in the order of its rows.
const JOINED: [(W, [W; 3]); 2] = [
    (W::Projections, [W::Query, W::Key, W::Value]),
    (W::ProjectionBiases, [W::QueryBias, W::KeyBias, W::ValueBias]),
];

/// Takes joined projections apart, in place. Refuses those whose rows have no bytes of their own.
pub(crate) fn take_apart(stored: &mut BTreeMap<Role, Stored>, spec: &ModelSpec) -> Result<()> {
    for layer in (0..spec.layers.len() as u32).map(LayerId) {
        for (whole, parts) in JOINED {
            let Some(joined) = stored.remove(&Role::Layer(layer, whole)) else { continue };
            let mut done = 0;
            for role in parts.map(|part| Role::Layer(layer, part)) {
                let shape = spec.shape(role).unwrap_or_default();
                let part = part_of(&joined, done, shape.iter().product())?;
                done += part.rows * part.cols;
                if let Some(twice) = stored.insert(role, part) {
                    return Err(err_twice(&twice.name, &joined.name));
                }
            }
        }
    }
    Ok(())
}

/// `count` values of `joined` from value `start` on, as a matrix as wide or a vector.
fn part_of(joined: &Stored, start: usize, count: usize) -> Result<Stored> {
    let values = (joined.rows * joined.cols) as u64;
    let bytes = joined.values.len / values.max(1);
    if joined.scales.is_some() || joined.factor.is_some() || bytes == 0 || bytes * values != joined.values.len
    {
        return Err(err_packed(&joined.name));
    }
    let (rows, cols) = if joined.rows == 1 { (1, count) } else { (count / joined.cols, joined.cols) };
    let offset = joined.values.offset + bytes * start as u64;
    let values = Extent { offset, len: bytes * count as u64, ..joined.values };
    Ok(Stored { rows, cols, values, ..joined.clone() })
}

fn err_packed(name: &str) -> Error {
    Error::unsupported(format!(
        "tensor {} joins queries, keys and values in a quantized type; expected F32, F16 or BF16",
        Quoted(name)
    ))
}

fn err_twice(name: &str, joined: &str) -> Error {
    Error::corrupt(format!("tensor {} is told again by {}", Quoted(name), Quoted(joined)))
}
