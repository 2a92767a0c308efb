//! The factors of routed experts: one f32 for each matrix of each expert, scattered over the files, kept in memory.

use base::{Context, Extent, Result};
use manifest::{Factor, LayerExperts};

use super::ReadExact;

/// Bytes that are read at once: factors lie near one another, or far apart.
const AT_ONCE: u64 = 64 << 10;

/// What gate, up and down of each expert are multiplied with; empty when none is.
pub(crate) fn read(experts: &LayerExperts, read: ReadExact<'_>) -> Result<Vec<[f32; 3]>> {
    let mut factors = vec![[1.0; 3]; experts.factors().len()];
    let mut places: Vec<(Factor, usize, usize)> = Vec::new();
    for (expert, three) in experts.factors().iter().enumerate() {
        places.extend(three.iter().enumerate().filter_map(|(part, factor)| Some(((*factor)?, expert, part))));
    }
    places.sort_by_key(|(factor, ..)| (factor.extent.file.0, factor.extent.offset));

    let mut rest = &places[..];
    while let Some((first, ..)) = rest.first() {
        let Extent { file, offset, .. } = first.extent;
        let near = |(factor, ..): &&(Factor, usize, usize)| {
            factor.extent.file == file && factor.extent.offset + 4 - offset <= AT_ONCE
        };
        let run;
        (run, rest) = rest.split_at(rest.iter().take_while(near).count().max(1));
        let last = run.last().map_or(offset, |(factor, ..)| factor.extent.offset);
        let mut bytes = vec![0; (last + 4 - offset) as usize];
        read(Extent { file, offset, len: bytes.len() as u64 }, &mut bytes)?;
        for (factor, expert, part) in run {
            let at = (factor.extent.offset - offset) as usize;
            let four = bytes[at..].first_chunk().copied().unwrap_or_default();
            factors[*expert][*part] = factor.spelled(four).within(|| format!("expert {expert}"))?;
        }
    }
    Ok(factors)
}
