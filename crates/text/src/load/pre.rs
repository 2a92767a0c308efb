//! The pre-tokenizers that GGUF files name in `tokenizer.ggml.pre`, by the expressions of the original tokenizers.

use base::{Error, Quoted, Result};

use crate::normalize::Normalization;
use crate::pretokenize::GPT2;

/// How a family of tokenizers treats text before it merges bytes.
pub(super) struct Pre {
    /// What files call it.
    names: &'static [&'static str],
    /// The splits, one after the other.
    pub splits: &'static [&'static str],
    /// Whether a word that is a token is taken as it is, before merging.
    pub whole_words: bool,
    /// Whether a prompt begins with the start token when the file does not say.
    pub adds_bos: bool,
    /// The original tokenizers of the family normalize, which GGUF has no key for.
    pub normalization: Option<Normalization>,
}

const PLAIN: Pre =
    Pre { names: &[], splits: &[GPT2], whole_words: false, adds_bos: false, normalization: None };

/// For a vocabulary of SentencePiece, which is not split.
pub(super) static SENTENCE: Pre =
    Pre { names: &[], splits: &[], whole_words: false, adds_bos: true, normalization: None };

/// All that are known.
static KNOWN: &[Pre] = &[
    Pre { names: &["gpt-2"], ..PLAIN },
    Pre { names: &["olmo"], normalization: Some(Normalization::Nfc), ..PLAIN },
    // What llama.cpp takes for a file that does not say.
    Pre {
        names: &["default"],
        splits: &[r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
        ..PLAIN
    },
    Pre {
        names: &["llama-bpe", "llama3", "llama-v3"],
        splits: &[LLAMA3],
        whole_words: true,
        adds_bos: true,
        ..PLAIN
    },
    Pre { names: &["glm4", "glm5"], splits: &[LLAMA3], whole_words: true, ..PLAIN },
    Pre { names: &["chatglm-bpe"], splits: &[LLAMA3], ..PLAIN },
    Pre { names: &["qwen2"], splits: &[QWEN2], normalization: Some(Normalization::Nfc), ..PLAIN },
    Pre { names: &["qwen35"], splits: &[QWEN35], normalization: Some(Normalization::Nfc), ..PLAIN },
    Pre {
        names: &["deepseek-v3"], splits: &[r"\p{N}{1,3}", "[一-龥\u{3040}-ゟ゠-ヿ]+", DEEPSEEK3], ..PLAIN
    },
    Pre { names: &["deepseek-llm"], splits: DEEPSEEK_LLM, ..PLAIN },
    Pre { names: &["gpt-4o", "llama4"], splits: &[GPT4O], whole_words: true, ..PLAIN },
    Pre { names: &["minimax-m2"], splits: &[GPT4O], ..PLAIN },
    Pre { names: &["kimi-k2"], splits: &[KIMI], whole_words: true, ..PLAIN },
];

/// The pre-tokenizer called `name`. Refuses an unknown one, because splitting in another way gives other ids.
pub(super) fn by_name(name: &str) -> Result<&'static Pre> {
    KNOWN.iter().find(|pre| pre.names.contains(&name)).ok_or_else(|| err_unknown(name))
}

fn err_unknown(name: &str) -> Error {
    let known: Vec<&str> = KNOWN.iter().flat_map(|pre| pre.names).copied().collect();
    let name = Quoted(name);
    Error::unsupported(format!("tokenizer.ggml.pre is {name}, expected one of {}", known.join(", ")))
}

const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

const QWEN35: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

const DEEPSEEK3: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##;

/// DeepSeek LLM, Coder V2 and V2: letters of the scripts that know upper and lower case, and digits one by one.
const DEEPSEEK_LLM: &[&str] = &[
    r"[\r\n]",
    r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+",
    r"\s?[!-/:-~！-／：-～‘-‟　-。]+",
    r"\s+$",
    "[一-龥ࠀ-一가-\u{d7ff}]+",
    r"\p{N}",
];

const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Chinese characters apart, then as GPT-4o; Kimi's own expression, the only one its `tiktoken.model` is used with.
pub(super) const KIMI: &str = r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pretokenize::Pretokenizer;

    #[test]
    fn all_known_splits_compile_and_an_unknown_one_is_refused_by_name() {
        for pre in KNOWN {
            Pretokenizer::new(pre.splits).unwrap();
        }
        let error = by_name("viking").err().unwrap().to_string();
        assert!(
            error.starts_with("tokenizer.ggml.pre is `viking`, expected one of gpt-2, olmo, default,"),
            "{error}"
        );
    }
}
