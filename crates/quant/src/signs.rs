//! Signs and codebooks, which the IQ formats share: eights of magnitudes by an index, and a bit for each sign.

/// The sign byte of a seven-bit index: the eighth sign makes the number of minuses even.
const EVEN: [u8; 128] = {
    let mut signs = [0; 128];
    let mut i = 0;
    while i < 128 {
        signs[i] = i as u8 | ((i.count_ones() % 2) as u8) << 7;
        i += 1;
    }
    signs
};

/// The sign byte of a seven-bit index.
#[inline(always)]
pub fn even(index: usize) -> u8 {
    EVEN[index & 127]
}

/// Writes `magnitudes`, less than zero where the bit of `signs` is set.
#[inline(always)]
pub(crate) fn put(magnitudes: &[i8; 8], signs: u8, codes: &mut [i8; 8]) {
    for (j, (code, magnitude)) in codes.iter_mut().zip(magnitudes).enumerate() {
        let minus = if signs & 1 << j != 0 { -1 } else { 0 };
        *code = (magnitude ^ minus) - minus;
    }
}

/// Two fours as an eight.
#[inline(always)]
pub(crate) fn pair(first: &[i8; 4], second: &[i8; 4]) -> [i8; 8] {
    std::array::from_fn(|j| if j < 4 { first[j] } else { second[j - 4] })
}

/// The entry of `grid` nearest to `wanted`.
pub(crate) fn nearest<const WIDTH: usize>(grid: &[[i8; WIDTH]], wanted: &[f32; WIDTH]) -> usize {
    let distance = |entry: &[i8; WIDTH]| {
        entry.iter().zip(wanted).map(|(g, w)| (f32::from(*g) - w) * (f32::from(*g) - w)).sum::<f32>()
    };
    let mut best = (0, f32::INFINITY);
    for (index, entry) in grid.iter().enumerate() {
        let distance = distance(entry);
        if distance < best.1 {
            best = (index, distance);
        }
    }
    best.0
}

/// The sign byte of eight values.
pub(crate) fn of(values: &[f32; 8]) -> u8 {
    values.iter().enumerate().fold(0, |signs, (j, value)| signs | u8::from(*value < 0.0) << j)
}

/// The sign byte of eight values with an even number of minuses: the least value gives way.
pub(crate) fn even_of(values: &[f32; 8]) -> u8 {
    let signs = of(values);
    let least = (0..8).min_by(|a, b| values[*a].abs().total_cmp(&values[*b].abs())).unwrap_or(0);
    if signs.count_ones().is_multiple_of(2) { signs } else { signs ^ 1 << least }
}

/// Steps of the groups of a block, each the level out of `levels` by which the group's extreme becomes `top`, and what a
/// level of 1 is worth, as an f16 bit pattern keeps it.
pub(crate) fn steps<const GROUPS: usize>(
    values: &[f32; 256],
    top: f32,
    level: impl Fn(u8) -> f32,
    most: u8,
) -> (f32, [u8; GROUPS]) {
    let wanted: [f32; GROUPS] = std::array::from_fn(|g| {
        let len = 256 / GROUPS;
        crate::block::extreme(&values[g * len..][..len]).abs() / top
    });
    let d = wanted.iter().copied().fold(0.0, f32::max) / level(most);
    let d = crate::float::f16_to_f32(crate::float::f32_to_f16(d));
    let nearest = |wanted: f32| {
        let distance = |step: &u8| (level(*step) * d - wanted).abs();
        (0..=most).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(0)
    };
    (d, wanted.map(nearest))
}

/// The values `at..`, in units of `step`.
pub(crate) fn in_steps<const WIDTH: usize>(values: &[f32; 256], at: usize, step: f32) -> [f32; WIDTH] {
    std::array::from_fn(|j| values[at + j] * crate::block::inverse(step))
}
