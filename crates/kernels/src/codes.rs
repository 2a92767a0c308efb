//! Products of integer codes with activations in signed bytes: see `integer.rs` for what they are to the bit.
//!
//! With a few tokens each row is multiplied as it streams by. With more, rows are spelled out once, a block at
//! a time, and multiplied with tokens laid side by side, where the instruction set can.

use std::array;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use quant::{Matrix, Strip};

use crate::activations::{ActivationStrip, STRIP, turn};
use crate::isa::check_matrix;
use crate::product::{Columns, Compute, Inputs, Job, WORTH_FORKING, Weights, grown};
use crate::tiles::{
    ABREAST, Block, FEW, FOUR, Lane, Many, Order, ROWS, RowGroup, RowTile, Rows, SEVERAL, Sums, TILES, Tiles,
    TokenGroup, TokenTile, Tokens, Twelve, WIDTH, lay_out_group,
};

/// Bytes of rows that a thread spells out together: half of a second-level cache, beside the tokens.
const SPELLED: usize = 1 << 20;

/// Tiles of twelve rows in a block at most.
const PANELS: usize = 4;

/// Tokens that are multiplied together.
const TOGETHER: usize = ABREAST * WIDTH;

/// Bytes of weights that a thread claims at a time when each is used once.
const CLAIM: usize = 64 << 10;

/// And when they are used again for the next tokens: what stays in the second-level cache beside those.
const LARGE_CLAIM: usize = 512 << 10;

/// Rows that it claims then, at most.
const GROUP: usize = 128;

/// What these products need of memory.
#[derive(Default)]
pub(crate) struct CodesScratch {
    tokens: Vec<ActivationStrip>,
    tiles: Vec<TokenTile>,
    groups: Vec<TokenGroup>,
    /// For each thread, a row spelled out.
    spelled: Vec<Strip>,
    /// For each thread, a block of rows.
    blocks: Vec<BlockScratch>,
}

/// A block of rows spelled out, and their sums with some tokens.
#[derive(Clone, Default)]
struct BlockScratch {
    tiles: Vec<RowTile>,
    groups: Vec<RowGroup>,
    sums: Vec<Sums>,
}

/// Bytes that products of `tokens` tokens keep from one to the next, with rows of up to `cols` columns; and units side by
/// side with `uses` tokens, of all of them together.
pub fn codes_scratch_bytes(cols: usize, tokens: usize, uses: usize, threads: usize) -> usize {
    let strips = cols.div_ceil(STRIP);
    let most = tokens.max(uses).max(2);
    let one_by_one = strips * (most * size_of::<ActivationStrip>() + threads * size_of::<Strip>());
    if tokens <= FEW {
        return one_by_one;
    }
    // Groups of 16 columns: as many as tiles.
    let of_tokens = TILES * tokens.div_ceil(WIDTH) * (size_of::<TokenTile>() + size_of::<TokenGroup>());
    let laid = strips * (of_tokens + TOGETHER * size_of::<ActivationStrip>());
    let panel = strips * TILES * (size_of::<RowTile>() + size_of::<RowGroup>());
    // Of two formats one may have the most tiles, the other the most groups: 16 % more than of either, at worst.
    let spelled = (SPELLED + SPELLED / 6).clamp(2 * panel, 2 * PANELS * panel);
    one_by_one.max(laid + threads * (spelled + 2 * PANELS * size_of::<Sums>()))
}

/// Whether products with these weights can go by their codes.
pub(crate) fn has_codes(weights: &Weights<'_>) -> bool {
    let has = |matrix: &Matrix<'_>| matrix.quant().strip_group().is_some();
    has(&weights.w) && weights.up.as_ref().is_none_or(|up| has(&up.w))
}

/// Whether rows are best multiplied as they stream by.
pub(crate) fn are_few(compute: &Compute<'_>, job: &Job<'_>) -> bool {
    match compute.kernels.many() {
        Many::Tiles(_, tiles) => job.x.len() <= tiles.few || !job.weights.same_groups(),
        Many::OneByOne { .. } | Many::Rows(_) => true,
    }
}

fn order(weights: &Weights<'_>) -> Order {
    Order::new(weights.w.quant(), weights.w.cols().div_ceil(STRIP))
}

/// One product, by its codes.
pub(crate) fn product(compute: &Compute<'_>, job: &Job<'_>, scratch: &mut CodesScratch) {
    match compute.kernels.many() {
        Many::Tiles(_, tiles) if !are_few(compute, job) => {
            by_tiles(compute, tiles, order(&job.weights), job, scratch)
        }
        _ => by_rows(compute, std::slice::from_ref(job), scratch),
    }
}

/// Rows of a job that a thread claims together.
struct Groups<'a> {
    job: &'a Job<'a>,
    /// Its tokens, [tokens, strips].
    x: &'a [ActivationStrip],
    /// Rows of a group.
    rows: usize,
    /// Groups of the jobs before, and of this one, too.
    end: usize,
}

/// Products of a few tokens each, all in one parallel region: each row as it streams by.
pub(crate) fn by_rows(compute: &Compute<'_>, jobs: &[Job<'_>], scratch: &mut CodesScratch) {
    let CodesScratch { tokens, spelled, .. } = scratch;
    let places = quantize(compute, jobs, tokens);
    let work = jobs.iter().map(|job| job.weights.multiplications(job.x.floats())).sum::<usize>();
    let lanes = if work < WORTH_FORKING { 1 } else { compute.threads.count() };
    let mut end = 0;
    let groups = jobs.iter().zip(places).map(|(job, place)| {
        let (rows, strips) = (job.weights.w.rows(), job.weights.w.cols().div_ceil(STRIP));
        let row_bytes = job.weights.w.row(0).values.len() * job.weights.matrices();
        let claim = if job.x.len() > SEVERAL { LARGE_CLAIM } else { CLAIM };
        let group = (claim / row_bytes).min(rows.div_ceil(lanes * 4)).clamp(1, GROUP);
        let group = if job.x.len() > 1 { group.next_multiple_of(FOUR) } else { group };
        end += rows.div_ceil(group);
        Groups { job, x: &tokens[place..][..job.x.len() * strips], rows: group, end }
    });
    let groups: Vec<Groups<'_>> = groups.collect();
    let room = groups.iter().map(|groups| groups.rows * groups.job.x.len().min(SEVERAL)).max().unwrap_or(0);
    let most = jobs.iter().map(|job| job.weights.w.cols().div_ceil(STRIP)).max().unwrap_or(0);

    let next = AtomicUsize::new(0);
    compute.threads.for_chunks(grown(spelled, lanes * most, Strip::ZERO), most, &|_, spelled| {
        let mut sums = [vec![0.0; room], vec![0.0; room]];
        loop {
            let claimed = next.fetch_add(1, Ordering::Relaxed);
            let Some(groups) = groups.get(groups.partition_point(|groups| groups.end <= claimed)) else {
                return;
            };
            let first = groups.first_row(claimed);
            groups.multiply(compute, first, spelled, &mut sums);
        }
    });
}

/// Tokens of all jobs in signed bytes, as `sum_rows` takes them, those of jobs with the same ones but once; where those of
/// each job begin.
fn quantize(compute: &Compute<'_>, jobs: &[Job<'_>], out: &mut Vec<ActivationStrip>) -> Vec<usize> {
    let strips = |job: &Job<'_>| job.x.len() * job.weights.w.cols().div_ceil(STRIP);
    let (mut places, mut end) = (Vec::with_capacity(jobs.len()), 0);
    for (at, job) in jobs.iter().enumerate() {
        match at.checked_sub(1).filter(|before| jobs[*before].x.same(&job.x)) {
            Some(before) => places.push(places[before]),
            None => {
                places.push(end);
                end += strips(job);
            }
        }
    }
    let out = grown(out, end, ActivationStrip::ZERO);
    let turned = !matches!(compute.kernels.many(), Many::OneByOne { .. });
    for (at, (job, place)) in jobs.iter().zip(&places).enumerate() {
        if at > 0 && places[at - 1] == *place {
            continue;
        }
        let out = &mut out[*place..][..strips(job)];
        compute.threads.for_chunks(out, job.weights.w.cols().div_ceil(STRIP), &|token, strips| {
            compute.kernels.quantize(job.x.row(token), strips);
            if turned && job.x.len() > 1 {
                strips.iter_mut().for_each(turn);
            }
        });
    }
    places
}

impl Groups<'_> {
    /// The first row of a group, by its number among those of all jobs.
    fn first_row(&self, claimed: usize) -> usize {
        let count = self.job.weights.w.rows().div_ceil(self.rows);
        (claimed + count - self.end) * self.rows
    }

    /// The answers of the group that begins with row `first`, to each of the tokens.
    fn multiply(&self, compute: &Compute<'_>, first: usize, spelled: &mut [Strip], sums: &mut [Vec<f32>; 2]) {
        let Job { weights, x, out } = self.job;
        let strips = self.x.len() / x.len();
        let rows = first..weights.w.rows().min(first + self.rows);
        let [values, ups] = sums;
        let mut at = 0;
        while at < x.len() {
            let count = few_of(x.len() - at);
            let tokens = &self.x[at * strips..][..count * strips];
            let (values, ups) = (&mut values[..rows.len() * count], &mut ups[..rows.len() * count]);
            sum_rows(compute, weights.w, rows.clone(), tokens, spelled, values);
            if let Some(up) = &weights.up {
                sum_rows(compute, up.w, rows.clone(), tokens, spelled, ups);
            }
            weights.finish(compute.kernels, first, count, values, ups);
            // SAFETY: each group of rows is claimed by one thread, and no two jobs have a place in common.
            unsafe { out.set_block(first, at, count, values) };
            at += count;
        }
    }
}

/// Of `left` tokens, how many [`ByRows`](crate::tiles::ByRows) takes next: never the last one by itself, unless it is the only one.
fn few_of(left: usize) -> usize {
    match left == SEVERAL + 1 {
        true => SEVERAL - 1,
        false => left.min(SEVERAL),
    }
}

/// Rows with each of the tokens `x`, [tokens, strips]: `out` is [rows, tokens]; `spelled` holds one row.
fn sum_rows(
    compute: &Compute<'_>,
    matrix: Matrix<'_>,
    rows: Range<usize>,
    x: &[ActivationStrip],
    spelled: &mut [Strip],
    out: &mut [f32],
) {
    let (quant, tokens) = (matrix.quant(), out.len() / rows.len());
    let strips = x.len() / tokens;
    check_matrix(matrix, strips);
    match compute.kernels.many() {
        // SAFETY: the table was handed out for this CPU, and the matrix was checked.
        Many::Rows(by_rows) | Many::Tiles(by_rows, _) => unsafe { by_rows(matrix, rows, x, out) },
        Many::OneByOne { spell, dot } => {
            for (row, out) in rows.zip(out.chunks_exact_mut(tokens)) {
                if let [out] = out {
                    *out = compute.kernels.dot_codes(quant, matrix.row(row), x);
                    continue;
                }
                let spelled = &mut spelled[..strips];
                // SAFETY: the table was handed out for this CPU, and the matrix was checked.
                unsafe {
                    spell(quant, matrix.row(row), spelled);
                    for (x, out) in x.chunks_exact(strips).zip(out) {
                        *out = dot(quant, spelled, x);
                    }
                }
            }
        }
    }
}

/// Blocks of rows, spelled out, with tokens side by side.
fn by_tiles(
    compute: &Compute<'_>,
    tiles: &Tiles,
    order: Order,
    Job { weights, x, out }: &Job<'_>,
    scratch: &mut CodesScratch,
) {
    let (rows, tokens) = (weights.w.rows(), x.len());
    check_matrix(weights.w, order.strips);
    if let Some(up) = &weights.up {
        check_matrix(up.w, order.strips);
    }
    let lanes = weights.lanes(compute, x.floats());
    let CodesScratch { tokens: strips, tiles: token_tiles, groups: token_groups, blocks, .. } = scratch;
    let x = lay_out(compute, tiles, *x, order, strips, (token_tiles, token_groups));

    let panel = order.tiles() * size_of::<RowTile>() + order.all_groups() * size_of::<RowGroup>();
    let most = SPELLED / (panel * weights.matrices());
    let panels = most.min(PANELS).min(rows.div_ceil(ROWS * lanes * 2)).max(1);
    let next = AtomicUsize::new(0);
    compute.threads.for_chunks(grown(blocks, lanes, BlockScratch::default()), 1, &|_, scratch| {
        let BlockScratch { tiles: row_tiles, groups: row_groups, sums } = &mut scratch[0];
        let (tiles_each, groups_each) = (panels * order.tiles(), panels * order.all_groups());
        let (w_tiles, up_tiles) =
            grown(row_tiles, tiles_each * weights.matrices(), RowTile::ZERO).split_at_mut(tiles_each);
        let (w_groups, up_groups) =
            grown(row_groups, groups_each * weights.matrices(), RowGroup::ZERO).split_at_mut(groups_each);
        let (sums, up_sums) = grown(sums, panels * weights.matrices(), Sums::ZERO).split_at_mut(panels);
        loop {
            let first = next.fetch_add(panels * ROWS, Ordering::Relaxed);
            if first >= rows {
                return;
            }
            let block = spell(tiles, weights.w, first, order, (w_tiles, w_groups));
            let sums = &mut sums[..block.rows.tiles.len() / order.tiles()];
            let up = weights.up.map(|up| spell(tiles, up.w, first, order, (up_tiles, up_groups)));
            let mut after = x;
            for token in (0..tokens).step_by(TOGETHER) {
                let (x, rest) = after.split_at(ABREAST, order);
                after = rest;
                // SAFETY: `tiles` comes from a table that was handed out for this CPU.
                unsafe { (tiles.multiply)(&block, x, rest, sums) };
                if let Some(up) = &up {
                    // SAFETY: as above.
                    unsafe { (tiles.multiply)(up, x, rest, &mut up_sums[..sums.len()]) };
                }
                finish(compute, weights, first, sums, up_sums);
                write(sums, first, token..tokens.min(token + TOGETHER), out);
            }
        }
    });
}

/// Lays out tokens: those that are multiplied together lie together.
fn lay_out<'a>(
    compute: &Compute<'_>,
    tiles: &Tiles,
    x: Inputs<'_>,
    order: Order,
    strips: &mut Vec<ActivationStrip>,
    (token_tiles, token_groups): (&'a mut Vec<TokenTile>, &'a mut Vec<TokenGroup>),
) -> Tokens<'a> {
    let (tokens, sixteens) = (x.len(), x.len().div_ceil(WIDTH));
    let token_tiles = grown(token_tiles, sixteens * order.tiles(), TokenTile::ZERO);
    let token_groups = grown(token_groups, sixteens * order.all_groups(), TokenGroup::ZERO);
    let strips = grown(strips, tokens.min(TOGETHER) * order.strips, ActivationStrip::ZERO);
    let together = token_tiles.chunks_mut(ABREAST * order.tiles());
    let together = together.zip(token_groups.chunks_mut(ABREAST * order.all_groups()));
    for (first, (token_tiles, token_groups)) in (0..tokens).step_by(TOGETHER).zip(together) {
        let strips = &mut strips[..(tokens - first).min(TOGETHER) * order.strips];
        compute.threads.for_chunks(strips, order.strips, &|token, strips| {
            compute.kernels.quantize(x.row(first + token), strips);
        });
        let strips = &*strips;
        let group = (token_tiles.len() / order.groups, token_groups.len() / order.groups);
        compute.threads.for_pairs((token_tiles, token_groups), group, &|g, token_tiles, token_groups| {
            lay_out_group(order, g, tiles.offset, strips, token_tiles, token_groups);
        });
    }
    Tokens { tiles: token_tiles, groups: token_groups }
}

/// Makes answers of the first lanes of the sums of rows from `first` on.
fn finish(compute: &Compute<'_>, weights: &Weights<'_>, first: usize, sums: &mut [Sums], ups: &mut [Sums]) {
    let mut none = [];
    for (p, sums) in sums.iter_mut().enumerate() {
        let ups = ups.get_mut(p).map_or(&mut none[..], |ups| ups.0[0].as_flattened_mut());
        weights.finish(compute.kernels, first + p * ROWS, TOGETHER, sums.0[0].as_flattened_mut(), ups);
    }
}

/// Spells rows of a checked matrix from `first` on, as many as there are or `out` holds; what is left of the last twelve is
/// anything.
fn spell<'a>(
    tiles: &Tiles,
    matrix: Matrix<'_>,
    first: usize,
    order: Order,
    (row_tiles, row_groups): (&'a mut [RowTile], &'a mut [RowGroup]),
) -> Block<'a> {
    let (quant, mut anchored) = (matrix.quant(), true);
    let count = (matrix.rows() - first).min(row_tiles.len() / order.tiles() * ROWS);
    let row_tiles = &mut row_tiles[..count.div_ceil(ROWS) * order.tiles()];
    let row_groups = &mut row_groups[..count.div_ceil(ROWS) * order.all_groups()];
    let out = row_tiles.chunks_exact_mut(order.tiles()).zip(row_groups.chunks_exact_mut(order.all_groups()));
    for (p, (tiles_of_twelve, groups)) in out.enumerate() {
        let out = Twelve { tiles: tiles_of_twelve, groups };
        let few = (count - p * ROWS).min(ROWS);
        let rows: [_; ROWS] = array::from_fn(|r| matrix.row(first + p * ROWS + r.min(few - 1)));
        // SAFETY: `tiles` comes from a table that was handed out for this CPU, and the matrix was checked.
        anchored &= unsafe { (tiles.spell)(quant, &rows[..few], order, out) };
    }
    let rows = Rows { tiles: row_tiles, groups: row_groups };
    Block { rows, order, minima: quant.has_minima(), anchored }
}

/// Writes the first lane of the sums of rows from `first_row` on with `tokens`.
fn write(sums: &[Sums], first_row: usize, tokens: Range<usize>, out: &Columns<'_>) {
    for (p, sums) in sums.iter().enumerate() {
        let first = first_row + p * ROWS;
        let count = (out.rows() - first).min(ROWS);
        for (token, column) in tokens.clone().zip(&turned(&sums.0[0])) {
            // SAFETY: blocks of rows are claimed by one thread each.
            unsafe {
                match count {
                    ROWS => out.set_rows(first, token, column), // of known length, so no call
                    _ => out.set_rows(first, token, &column[..count]),
                }
            }
        }
    }
}

/// [rows, tokens] as [tokens, rows], four by four, which the compiler makes shuffles of.
fn turned(lane: &Lane) -> [[f32; ROWS]; TOGETHER] {
    let mut columns = [[0.0; ROWS]; TOGETHER];
    for (at, rows) in lane.as_chunks::<4>().0.iter().enumerate() {
        for (t, columns) in columns.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let rows: [&[f32; 4]; 4] = array::from_fn(|row| &rows[row].as_chunks().0[t]);
            for (token, column) in columns.iter_mut().enumerate() {
                column.as_chunks_mut::<4>().0[at] = array::from_fn(|row| rows[row][token]);
            }
        }
    }
    columns
}
