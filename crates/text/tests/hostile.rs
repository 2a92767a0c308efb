//! Tokenizers and templates that contradict themselves, or want too much: refused in one sentence, never a panic.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;

use base::Kind;
use formats::gguf::{Array, Metadata, Strings, Value as Gguf};
use serde_json::{Value, json};
use support::{fixture, folder, gguf, tokenizer};
use text::{ChatOptions, ChatTemplate, Message, Tokenizer};

/// A tokenizer of two letters, which is sound.
fn sound() -> Value {
    json!({
        "added_tokens": [{"id": 3, "content": "<e>", "special": true}],
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]},
    })
}

#[test]
fn a_tokenizer_json_that_contradicts_itself_is_refused() {
    let text = Tokenizer::from_json(sound().to_string().as_bytes()).unwrap();
    assert_eq!(text.encode("abb").unwrap(), [2, 1]);
    assert!(text.encode("c").unwrap_err().to_string().contains("no token for byte 0x63"));

    let cases = [
        ("/model/merges", json!([["a", "x"]]), "merge 0 needs `x`, which is not in the vocabulary"),
        ("/model/merges", json!([["b", "a"]]), "merge 0 needs `ba`, which is not in the vocabulary"),
        ("/model/merges", json!(["a b", "ab"]), "merge 1 is `ab`, expected two tokens"),
        ("/model/merges", json!([["a", "b", "a"]]), "is not the JSON that was expected"),
        ("/model/merges", json!([7]), "is not the JSON that was expected"),
        ("/model/vocab", json!({}), "merge 0 needs `a`"),
        ("/model/vocab", json!({"a": -1}), "is not the JSON that was expected"),
        ("/model/vocab", json!({"a": 4294967295u32, "b": 1}), "token `a` has id 4294967295"),
        ("/model/vocab", json!({"a": 0, "b": 0}), "tokens `a` and `b` both have id 0"),
        ("/model/vocab", json!({"a": 0, "b": 3, "ab": 2}), "tokens `b` and `<e>` both have id 3"),
        (
            "/model/vocab",
            json!({"a": 0, "b": 1, "ab": 2, "<e>": 4}),
            "`<e>` has id 4 in the vocabulary and 3 among",
        ),
        ("/model/vocab", json!([["a", 0.5]]), "merge 0 needs `a`"),
        ("/model/type", json!("Unigram"), "the model is `Unigram`, expected `BPE`"),
        ("/model/dropout", json!(0.1), "the model uses dropout"),
        ("/model/byte_fallback", json!(true), "pre_tokenizer: the step `ByteLevel` is not supported"),
        (
            "/model/end_of_word_suffix",
            json!("</w>"),
            "the model uses continuing_subword_prefix or end_of_word_suffix",
        ),
        ("/model", json!(null), "is not the JSON that was expected"),
        ("/normalizer", json!({"type": "Lowercase"}), "normalizer: the step `Lowercase` is not supported"),
        ("/normalizer", json!({"type": "Sequence"}), "normalizer: a `Sequence` has no normalizers"),
        ("/normalizer", json!({}), "normalizer: a step has no type"),
        ("/pre_tokenizer", json!(null), "the pre_tokenizer has no `ByteLevel`"),
        ("/pre_tokenizer", json!({"type": "Metaspace"}), "the step `Metaspace` is not supported"),
        ("/pre_tokenizer", json!({"type": "ByteLevel"}), "adds a space before the text"),
        ("/pre_tokenizer", split("(", "Isolated"), "the split `(` is not an expression known here"),
        ("/pre_tokenizer", split("a(?=b)", "Isolated"), "the split `a(?=b)` is not an expression known here"),
        (
            "/pre_tokenizer",
            split("a", "Contiguous"),
            "the step `Split with behavior Contiguous` is not supported",
        ),
        ("/added_tokens", json!([{"id": 1 << 30, "content": "<e>"}]), "has id 1073741824"),
        ("/added_tokens", json!([{"content": "<e>"}]), "is not the JSON that was expected"),
    ];
    for (place, value, expected) in cases {
        let mut json = sound();
        match json.pointer_mut(place) {
            Some(old) => *old = value,
            None => drop(json["model"].as_object_mut().unwrap().insert(place.replace("/model/", ""), value)),
        }
        check(Tokenizer::from_json(json.to_string().as_bytes()), expected);
    }
    check(Tokenizer::from_json(b"{"), "is not the JSON that was expected");
    check(Tokenizer::from_json("[".repeat(100_000).as_bytes()), "is not the JSON that was expected");
}

fn split(pattern: &str, behavior: &str) -> Value {
    json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": false})
}

#[test]
fn a_gguf_vocabulary_that_contradicts_itself_is_refused() {
    let strings = |items: &[&str]| Gguf::from(items.iter().collect::<Strings>());
    let types = |items: &[i32]| Gguf::Array(Array::I32(items.to_vec()));
    let cases = [
        ("model", "llama".into(), "tokenizer.ggml.scores is missing"),
        ("model", "bert".into(), "tokenizer.ggml.model is `bert`, expected `gpt2` or `llama`"),
        ("model", "none".into(), "tokenizer.ggml.model is `none`, expected `gpt2` or `llama`"),
        ("model", 7u32.into(), "metadata `tokenizer.ggml.model` is U32, expected a string"),
        ("pre", "viking".into(), "tokenizer.ggml.pre is `viking`, expected one of gpt-2, olmo, default, "),
        ("tokens", strings(&[]), "the vocabulary has no tokens"),
        ("tokens", 7u32.into(), "metadata `tokenizer.ggml.tokens` is U32"),
        ("tokens", strings(&["a", "a", "ab"]), "tokens 0 and 1 of the vocabulary are both `a`"),
        (
            "token_type",
            types(&[1, 1]),
            "tokenizer.ggml.token_type has 2 entries, expected one for each of 4 tokens",
        ),
        ("token_type", types(&[1, 1, 1, 9]), "token 3: its type is 9, expected 1 to 6"),
        ("token_type", types(&[6, 1, 1, 3]), "token 0: `a` is no byte"),
        ("merges", strings(&["a x"]), "tokenizer.ggml.merges: merge 0 needs `x`"),
        ("merges", strings(&["ab"]), "tokenizer.ggml.merges: merge 0 is `ab`, expected two tokens"),
        ("merges", strings(&["a b", ""]), "tokenizer.ggml.merges: merge 1 is ``, expected two tokens"),
        ("eos_token_id", 4u32.into(), "tokenizer.ggml.eos_token_id is 4, past the vocabulary of 4 tokens"),
        ("bos_token_id", u64::MAX.into(), "tokenizer.ggml.bos_token_id is 18446744073709551615, past"),
        ("add_bos_token", "yes".into(), "metadata `tokenizer.ggml.add_bos_token` is String, expected a bool"),
    ];
    for (key, value, expected) in cases {
        let mut metadata = Metadata::default();
        metadata.set("tokenizer.ggml.model", "gpt2");
        metadata.set("tokenizer.ggml.pre", "gpt-2");
        metadata.set("tokenizer.ggml.tokens", strings(&["a", "b", "ab", "<e>"]));
        metadata.set("tokenizer.ggml.merges", strings(&["a b"]));
        assert_eq!(Tokenizer::from_metadata(&metadata).unwrap().encode("ab").unwrap(), [2]);
        metadata.set(&format!("tokenizer.ggml.{key}"), value);
        check(Tokenizer::from_metadata(&metadata), expected);
    }
    check(Tokenizer::from_checkpoint(&gguf(Metadata::default())), "model.gguf: has no tokenizer");
}

#[test]
fn an_error_names_the_file() {
    let root = tempfile::tempdir().unwrap();
    let open = || Tokenizer::from_checkpoint(&folder(root.path().into(), json!({}), None));
    check(open(), "has no tokenizer: neither tokenizer.json nor tiktoken.model nor tokenizer.model");
    fs::write(root.path().join("tiktoken.model"), "YQ== 0\nYQ== 1\n").unwrap();
    check(open(), "tiktoken.model: tokens 0 and 1 of the vocabulary are both `a`");
    fs::write(root.path().join("tokenizer.json"), "{}").unwrap();
    check(open(), "tokenizer.json: is not the JSON that was expected: missing field");
    fs::write(root.path().join("tokenizer_config.json"), "[]").unwrap();
    check(open(), "tokenizer_config.json: is not the JSON that was expected");
}

#[test]
fn a_template_that_does_not_end_is_stopped() {
    let tokenizer = tokenizer("qwen2");
    let nested_sets = "{% set x = [x] %}".repeat(2000);
    let cases = [
        (
            "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
            "takes too many steps",
        ),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "the chat template"),
        ("{% for i in range(1000000000) %}{% endfor %}", "range has too many elements"),
        ("{% include 'chat_template' %}", "the chat template"),
        ("{{ 'x' * 1000000000 }}", "repeated string is too large"),
        ("{% for i in range(90) %}{{ 'x' * 90000 }}{% endfor %}", "longer than 4194"),
        (
            "{% set ns = namespace(x=[]) %}{% for i in range(100000) %}{% set ns.x = [ns.x] %}{% endfor %}",
            "too many steps",
        ),
        (
            "{% set ns = namespace(x=[]) %}{% for i in range(9000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x|tojson }}",
            "nested too deeply",
        ),
        (&format!("{{% set x = [] %}}{nested_sets}{{{{ x | tojson }}}}"), "nested too deeply"),
        ("{{ ''[::-1] }}", "the interpreter gave up"),
        (
            "{{ raise_exception('No, \"this\"\nis not how.') }}",
            "the chat template refuses: No, \"this\"\\nis not how. (line 1)",
        ),
        ("{{ messages.x.y }}", "the chat template fails"),
        ("{{ nothing() }}", "the chat template fails: nothing is unknown"),
        ("{{ strftime_now('%Q%') }}", "strftime_now"),
        ("{{ messages | tojson(indent=1000) }}", "the chat template"),
    ];
    for (source, expected) in cases {
        let template = ChatTemplate::new(source, &tokenizer).unwrap();
        check(template.render(&[Message::user("hi")], &ChatOptions::default()), expected);
    }
}

#[test]
fn a_template_that_is_no_jinja_is_refused() {
    let tokenizer = tokenizer("qwen2");
    let deep = "(".repeat(100_000);
    for source in [
        "{% if %}",
        "{{ 'a }}",
        "{% for %}",
        "{% endfor %}",
        "{{ }",
        "{% generation %}",
        &format!("{{{{ {deep} }}}}"),
    ] {
        check(ChatTemplate::new(source, &tokenizer), "the chat template is not understood: ");
    }
}

#[test]
fn a_huge_template_is_refused() {
    let root = tempfile::tempdir().unwrap();
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        fs::copy(fixture("demo").join(file), root.path().join(file)).unwrap();
    }
    fs::write(root.path().join("chat_template.jinja"), " ".repeat(2 << 20)).unwrap();
    let checkpoint = folder(root.path().into(), json!({}), None);
    let tokenizer = Tokenizer::from_checkpoint(&checkpoint).unwrap();
    check(
        ChatTemplate::from_checkpoint(&checkpoint, &tokenizer),
        "chat_template.jinja: has more than 1048576 bytes",
    );

    let mut metadata = Metadata::default();
    metadata.set("tokenizer.chat_template", " ".repeat(2 << 20));
    check(
        ChatTemplate::from_checkpoint(&gguf(metadata), &tokenizer),
        "model.gguf: the chat template has 2097152 bytes",
    );
}

#[test]
fn a_refusal_by_the_template_is_the_callers_mistake() {
    let template =
        ChatTemplate::new("{{ raise_exception('roles must alternate') }}", &tokenizer("qwen2")).unwrap();
    let error = template.render(&[], &ChatOptions::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Input);
}

/// Refused, in one sentence that says so.
fn check<T>(result: Result<T, base::Error>, expected: &str) {
    let error = result.err().unwrap_or_else(|| panic!("accepted, expected: {expected}"));
    let text = error.to_string();
    assert!(text.contains(expected), "{text}\nexpected: {expected}");
    assert!(text.len() < 600 && !text.contains(char::is_control), "{text:?}");
}
