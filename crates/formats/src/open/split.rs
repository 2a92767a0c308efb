//! The names of the files of a split model: `NAME-00002-of-00003.gguf`, counted from 1.

/// The name of one file of a split model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SplitName {
    stem: String,
    /// Which of them, from 0.
    pub(super) index: u32,
    /// How many there are, at least 1.
    pub(super) count: u32,
}

impl SplitName {
    /// `None` when `file_name` is not of this form.
    pub(super) fn parse(file_name: &str) -> Option<Self> {
        let (rest, count) = file_name.strip_suffix(".gguf")?.rsplit_once("-of-")?;
        let (stem, number) = rest.rsplit_once('-')?;
        let (number, count) = (five_digits(number)?, five_digits(count)?);
        let index = number.checked_sub(1).filter(|index| *index < count)?;
        Some(Self { stem: stem.to_owned(), index, count })
    }

    /// The name of file `index` of the same set.
    pub(super) fn sibling(&self, index: u32) -> String {
        format!("{}-{:05}-of-{:05}.gguf", self.stem, index + 1, self.count)
    }
}

fn five_digits(text: &str) -> Option<u32> {
    (text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_split_files_are_recognised_and_made() {
        let name = SplitName::parse("a-b-of-c-00002-of-00003.gguf").unwrap();
        assert_eq!((name.stem.as_str(), name.index, name.count), ("a-b-of-c", 1, 3));
        assert_eq!(name.sibling(2), "a-b-of-c-00003-of-00003.gguf");
        let others = [
            "model.gguf",
            "m-00000-of-00003.gguf",
            "m-00004-of-00003.gguf",
            "m-1-of-3.gguf",
            "m-+0001-of-00003.gguf",
            "m-00001-of-00003.safetensors",
            "00001-of-00003.gguf",
        ];
        for other in others {
            assert_eq!(SplitName::parse(other), None, "{other}");
        }
    }
}
