//! The types of GGML: which number stands for which, and how many bytes a block of each takes.
//!
//! A type that is computed with has the name of a [`Quant`], and needs nothing but its row here. The others have a
//! row too, so that a model which uses one is refused by name.

use quant::Quant;

use crate::element::Element;

/// A type a GGUF file can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GgmlType {
    /// Its number in the file.
    pub id: u32,
    /// Its name, as in `GGML_TYPE_…`.
    pub name: &'static str,
    /// How it is laid out; `None` for types that were withdrawn, that never reach a file, or that exist only in the
    /// `ik_llama.cpp` fork.
    pub block: Option<Block>,
}

/// The unit in which a row is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Values in a block; a row is a whole number of blocks.
    pub len: u64,
    /// Bytes of a block.
    pub bytes: u64,
}

impl GgmlType {
    /// The type of number `id`.
    pub fn by_id(id: u32) -> Option<&'static Self> {
        TYPES.iter().find(|row| row.id == id)
    }

    /// The type that is called `name`.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        TYPES.iter().find(|row| row.name == name)
    }

    /// What a tensor of this type holds.
    pub fn element(&self) -> Element {
        match self.name {
            "I32" => Element::I32,
            "I64" => Element::I64,
            name => match Quant::ALL.iter().find(|quant| quant.name() == name) {
                Some(quant) => Element::Weight(*quant),
                None => Element::Other(name.to_owned()),
            },
        }
    }
}

/// Every known type, by number.
pub const TYPES: &[GgmlType] = &[
    row(0, "F32", 1, 4),
    row(1, "F16", 1, 2),
    row(2, "Q4_0", 32, 18),
    row(3, "Q4_1", 32, 20),
    bare(4, "Q4_2"),
    bare(5, "Q4_3"),
    row(6, "Q5_0", 32, 22),
    row(7, "Q5_1", 32, 24),
    row(8, "Q8_0", 32, 34),
    bare(9, "Q8_1"),
    row(10, "Q2_K", 256, 84),
    row(11, "Q3_K", 256, 110),
    row(12, "Q4_K", 256, 144),
    row(13, "Q5_K", 256, 176),
    row(14, "Q6_K", 256, 210),
    bare(15, "Q8_K"),
    row(16, "IQ2_XXS", 256, 66),
    row(17, "IQ2_XS", 256, 74),
    row(18, "IQ3_XXS", 256, 98),
    row(19, "IQ1_S", 256, 50),
    row(20, "IQ4_NL", 32, 18),
    row(21, "IQ3_S", 256, 110),
    row(22, "IQ2_S", 256, 82),
    row(23, "IQ4_XS", 256, 136),
    row(24, "I8", 1, 1),
    row(25, "I16", 1, 2),
    row(26, "I32", 1, 4),
    row(27, "I64", 1, 8),
    row(28, "F64", 1, 8),
    row(29, "IQ1_M", 256, 56),
    row(30, "BF16", 1, 2),
    bare(31, "Q4_0_4_4"),
    bare(32, "Q4_0_4_8"),
    bare(33, "Q4_0_8_8"),
    row(34, "TQ1_0", 256, 54),
    row(35, "TQ2_0", 256, 66),
    bare(36, "I2_S"),
    bare(37, "IQ4_NL_4_8"),
    bare(38, "IQ4_NL_8_8"),
    row(39, "MXFP4", 32, 17),
    row(40, "NVFP4", 64, 36),
    row(41, "Q1_0", 128, 18),
    row(42, "Q2_0", 64, 18),
    // From here on: ik_llama.cpp.
    bare(97, "Q8_0_X4"),
    bare(98, "Q8_1_X4"),
    bare(99, "Q8_2_X4"),
    bare(133, "Q6_0"),
    bare(134, "IQ1_BN"),
    bare(135, "IQ2_BN"),
    bare(136, "Q8_K64"),
    bare(137, "IQ2_K"),
    bare(138, "IQ3_K"),
    bare(139, "IQ4_K"),
    bare(140, "IQ5_K"),
    bare(141, "IQ6_K"),
    bare(142, "IQ2_TN"),
    bare(143, "IQ1_TN"),
    bare(144, "IQ4_KS"),
    bare(145, "IQ2_KS"),
    bare(146, "IQ4_KSS"),
    bare(147, "Q8_K16"),
    bare(148, "Q8_K32"),
    bare(149, "Q8_KR8"),
    bare(150, "Q8_K128"),
    bare(151, "Q8_KV"),
    bare(152, "IQ5_KS"),
    bare(153, "IQ2_KT"),
    bare(154, "IQ3_KT"),
    bare(155, "IQ4_KT"),
    bare(156, "IQ3_KS"),
    bare(157, "IQ2_KL"),
    bare(158, "IQ1_KT"),
    bare(202, "Q4_0_R8"),
    bare(206, "Q5_0_R4"),
    bare(208, "Q8_0_R8"),
    bare(210, "Q2_K_R4"),
    bare(211, "Q3_K_R4"),
    bare(212, "Q4_K_R4"),
    bare(213, "Q5_K_R4"),
    bare(214, "Q6_K_R4"),
    bare(216, "IQ2_XXS_R4"),
    bare(217, "IQ2_XS_R4"),
    bare(218, "IQ3_XXS_R4"),
    bare(219, "IQ1_S_R4"),
    bare(220, "IQ4_NL_R4"),
    bare(221, "IQ3_S_R4"),
    bare(222, "IQ2_S_R4"),
    bare(223, "IQ4_XS_R8"),
    bare(229, "IQ1_M_R4"),
    bare(230, "BF16_R16"),
    bare(233, "Q6_0_R4"),
    bare(335, "IQ2_BN_R4"),
    bare(337, "IQ2_K_R4"),
    bare(338, "IQ3_K_R4"),
    bare(339, "IQ4_K_R4"),
    bare(340, "IQ5_K_R4"),
    bare(344, "IQ4_KS_R4"),
    bare(352, "IQ5_KS_R4"),
    bare(398, "Q8_KV_R8"),
    bare(399, "Q8_K_R8"),
];

const fn row(id: u32, name: &'static str, len: u64, bytes: u64) -> GgmlType {
    GgmlType { id, name, block: Some(Block { len, bytes }) }
}

const fn bare(id: u32, name: &'static str) -> GgmlType {
    GgmlType { id, name, block: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_unique_and_the_numbers_ascend() {
        assert!(TYPES.windows(2).all(|pair| pair[0].id < pair[1].id));
        for row in TYPES {
            assert_eq!(GgmlType::by_id(row.id), Some(row));
            assert_eq!(GgmlType::by_name(row.name), Some(row), "{}", row.name);
        }
    }

    #[test]
    fn every_type_that_is_computed_with_agrees_with_its_quant() {
        let mut found = 0;
        for row in TYPES {
            let Element::Weight(quant) = row.element() else { continue };
            let block = row.block.unwrap();
            assert_eq!(quant.name(), row.name);
            assert_eq!(quant.block_len() as u64, block.len, "{}", row.name);
            let planes = quant.plane_bytes(3, quant.block_len()).unwrap();
            assert_eq!((planes.values as u64, planes.scales), (3 * block.bytes, 0), "{}", row.name);
            found += 1;
        }
        assert_eq!(found, 28);
    }

    #[test]
    fn other_types_keep_their_names() {
        let element = |id| GgmlType::by_id(id).unwrap().element();
        assert_eq!(element(9), Element::Other("Q8_1".to_owned()));
        assert_eq!(element(144), Element::Other("IQ4_KS".to_owned()));
        assert_eq!(element(26), Element::I32);
        assert_eq!(GgmlType::by_id(250), None);
    }
}
