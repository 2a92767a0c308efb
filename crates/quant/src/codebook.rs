//! Four-bit codes that stand for the values of a table.

/// e2m1, the four-bit float, doubled: then all its values are integers.
pub const E2M1: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// The values of IQ4_NL and IQ4_XS.
pub const IQ4: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// The values of 16 bytes: of all low halves, then of all high halves.
#[inline(always)]
pub(crate) fn halves(table: &[i8; 16], bytes: &[u8; 16], codes: &mut [i8; 32]) {
    for j in 0..16 {
        codes[j] = table[usize::from(bytes[j] & 15)];
        codes[16 + j] = table[usize::from(bytes[j] >> 4)];
    }
}

/// The values of 16 bytes, the low half of each before its high half.
#[inline(always)]
pub(crate) fn in_order(table: &[i8; 16], bytes: &[u8; 16], codes: &mut [i8; 32]) {
    for j in 0..16 {
        codes[2 * j] = table[usize::from(bytes[j] & 15)];
        codes[2 * j + 1] = table[usize::from(bytes[j] >> 4)];
    }
}

/// The code whose value is nearest.
pub(crate) fn nearest(table: &[i8; 16], value: f32) -> u8 {
    let distance = |code: &u8| (f32::from(table[usize::from(*code)]) - value).abs();
    (0..16).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(0)
}

/// Half of the e8m0 `bits`: 2^(bits − 128), the scale of doubled e2m1. 255, which is no number by the standard, goes on
/// as the others do, as in GGML.
#[inline(always)]
pub(crate) fn half_e8m0(bits: u8) -> f32 {
    let exponent = u32::from(bits);
    f32::from_bits(if exponent < 2 { 0x20_0000 << exponent } else { (exponent - 1) << 23 })
}

/// The e8m0 by which `largest` becomes a value of e2m1's top binade.
pub(crate) fn e8m0_for(largest: f32) -> u8 {
    let exponent = (largest.to_bits() >> 23 & 0xff) as u8;
    exponent.saturating_sub(2)
}
