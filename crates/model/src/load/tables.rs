//! Tables that say the experts of each token.

use base::{Context, Error, ExpertId, Quoted, Result};
use manifest::Table;

use super::ReadExact;

/// The experts of each token, of which a layer has `count`.
///
/// Fails when the table names others.
pub(super) fn read(table: &Table, count: usize, read: ReadExact<'_>) -> Result<Vec<ExpertId>> {
    let mut bytes = vec![0; table.extent.len as usize];
    read(table.extent, &mut bytes)?;
    let expert = |(place, number): (usize, i64)| match u32::try_from(number) {
        Ok(expert) if (expert as usize) < count => Ok(ExpertId(expert)),
        _ => Err(Error::corrupt(format!(
            "it sends token {} to expert {number} of {count}",
            place / table.cols.max(1)
        ))),
    };
    let experts: Result<Vec<ExpertId>> = match table.number_bytes {
        4 => bytes
            .as_chunks()
            .0
            .iter()
            .map(|b| i32::from_le_bytes(*b).into())
            .enumerate()
            .map(expert)
            .collect(),
        _ => bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).enumerate().map(expert).collect(),
    };
    experts.within(|| format!("tensor {}", Quoted(&table.name)))
}
