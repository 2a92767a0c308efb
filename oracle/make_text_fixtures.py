"""Makes crates/text/tests/fixtures: small tokenizers for each way of splitting text, awkward strings with the ids the
reference implementations give them, and chat templates with what jinja2 renders, set up as transformers does.

    venv/bin/python make_text_fixtures.py DEMO ../crates/text/tests/fixtures

DEMO is the folder of a model whose tokenizer.json is copied. The same bytes come out each time.
"""

import base64
import json
import random
import shutil
import sys
from pathlib import Path

import gguf
import tiktoken
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers.utils.chat_template_utils import render_jinja_template

from text_corpus import CORPUS, TRAINING
from text_templates import CASES, TEMPLATES

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
TAIL = r"\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}%s]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}%s]"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def cased(without, slash):
    """The GPT-4o expression: words by case, with contractions at their end."""
    upper, lower = UPPER % without, LOWER % without
    head = r"[^\r\n\p{L}\p{N}]?"
    return "|".join([
        f"{head}{upper}*{lower}+{CONTRACTIONS}?",
        f"{head}{upper}+{lower}*{CONTRACTIONS}?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n" + slash + "]*",
        TAIL,
    ])


def letters_first(letters, numbers):
    """The Llama-3 expression and its descendants."""
    return "|".join([
        CONTRACTIONS,
        rf"[^\r\n\p{{L}}\p{{N}}]?{letters}+",
        numbers,
        rf" ?[^\s{letters.strip('[]')}\p{{N}}]+[\r\n]*",
        TAIL,
    ])


DEEPSEEK3 = "|".join([
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+",
    r"[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+",
    r" ?[\p{P}\p{S}]+[\r\n]*",
    TAIL,
])
KIMI = r"[\p{Han}]+|" + cased(r"&&[^\p{Han}]", "")

# Letters of the scripts that know upper and lower case, as DeepSeek spells them.
DEEPSEEK_LETTERS = "[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]"

# tokenizer.ggml.pre: the splits, the normalizer, ignore_merges
FAMILIES = {
    "gpt-2": ([GPT2], None, False),
    "llama-bpe": ([letters_first(r"\p{L}", r"\p{N}{1,3}")], None, True),
    "qwen2": ([letters_first(r"\p{L}", r"\p{N}")], normalizers.NFC(), False),
    "qwen35": ([letters_first(r"[\p{L}\p{M}]", r"\p{N}")], normalizers.NFC(), False),
    "deepseek-v3": ([r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+", DEEPSEEK3], None, False),
    "deepseek-llm": (
        [r"[\r\n]", rf"\s?{DEEPSEEK_LETTERS}+", r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", "[一-龥ࠀ-一가-퟿]+", r"\p{N}"],
        None, False,
    ),
    "gpt-4o": ([cased("", "/")], None, True),
}
ALIASES = {"glm4": "llama-bpe", "minimax-m2": "gpt-4o"}
VOCABULARY = 900

SPECIAL = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "[BOS]", "[EOS]", "<|im_user|>", "<|im_assistant|>",
    "<|im_system|>", "<|im_middle|>", "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "[gMASK]", "<sop>", "<|system|>",
    "<|user|>", "<|assistant|>", "<|observation|>", "<|object_ref_start|>",
]
# Hugging Face calls these not special, and yet they steer the model.
MARKERS = [
    "<think>", "</think>", "<tool_call>", "</tool_call>", "<｜User｜>", "<｜Assistant｜>", "<｜tool▁calls▁begin｜>",
    "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>", "<｜tool▁sep｜>", "<|tool_calls_section_begin|>",
    "<|tool_calls_section_end|>", "<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>",
]
# Added like the others, but words.
WORDS = ["        ", "Covid19"]


def train(splits, normalizer, ignore_merges):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    steps = [pre_tokenizers.Split(Regex(split), "isolated") for split in splits]
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(TRAINING, trainer)
    return tokenizer


def add_tokens(tokenizer, control):
    if control:
        tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in SPECIAL])
        tokenizer.add_tokens([AddedToken(text, normalized=False) for text in MARKERS])
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in WORDS])
    return tokenizer


def without_controls(text):
    """The reference for plain text: the same tokenizer, never told of its control tokens. The two tokens that are
    words come last, so their ids have to be moved to where they are in the full one."""
    tokenizer = Tokenizer.from_str(text)
    full = tokenizer.get_vocab()
    file = json.loads(text)
    file["added_tokens"] = []
    plain = add_tokens(Tokenizer.from_str(json.dumps(file)), control=False)
    moved = {plain.token_to_id(word): full[word] for word in WORDS}
    return lambda string: [moved.get(id, id) for id in plain.encode(string, add_special_tokens=False).ids]


def write_gguf(path, pre, tokens, types, merges, roles):
    writer = gguf.GGUFWriter(path, "deepseek2")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    if merges is not None:
        writer.add_token_merges(merges)
    writer.add_bos_token_id(roles["bos_token"])
    writer.add_eos_token_id(roles["eos_token"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def gguf_of(path, pre, tokenizer):
    file = json.loads(tokenizer.to_str())
    kinds = {token["id"]: 3 if token["special"] else 4 for token in file["added_tokens"]}
    size = tokenizer.get_vocab_size()
    tokens = [tokenizer.id_to_token(id) for id in range(size)]
    merges = [" ".join(pair) for pair in file["model"]["merges"]]
    roles = {"bos_token": tokenizer.token_to_id("[BOS]"), "eos_token": tokenizer.token_to_id("<|im_end|>")}
    write_gguf(path, pre, tokens, [kinds.get(id, 1) for id in range(size)], merges, roles)


def byte_letters():
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {**{byte: chr(byte) for byte in printable}, **{byte: chr(256 + n) for n, byte in enumerate(others)}}


def kimi(folder):
    """tiktoken.model from trained merges, and some tokens no merging would have made: equal ranks must go left."""
    trained = json.loads(train([KIMI], None, True).to_str())["model"]["vocab"]
    bytes_of = {letter: byte for byte, letter in byte_letters().items()}
    tokens = [bytes(bytes_of[letter] for letter in text) for text, _ in sorted(trained.items(), key=lambda item: item[1])]
    rng = random.Random(5)
    while len(tokens) < VOCABULARY + 60:
        made = bytes(rng.choice(b"ab ") for _ in range(rng.randint(2, 5)))
        if made not in tokens:
            tokens.append(made)
    ranks = {token: rank for rank, token in enumerate(tokens)}
    named = {len(tokens) + place: text for place, text in enumerate(SPECIAL + MARKERS)}

    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{base64.b64encode(token).decode()} {rank}\n" for token, rank in ranks.items()]
    (folder / "tiktoken.model").write_text("".join(lines))
    decoder = {str(id): {"content": text, "special": text in SPECIAL} for id, text in named.items()}
    config = {"added_tokens_decoder": decoder, "bos_token": "[BOS]", "eos_token": "[EOS]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, ensure_ascii=False, indent=0))

    letters = byte_letters()
    spelled = ["".join(letters[byte] for byte in token) for token in tokens]
    roles = {"bos_token": len(tokens) + SPECIAL.index("[BOS]"), "eos_token": len(tokens) + SPECIAL.index("[EOS]")}
    types = [1] * len(tokens) + [3] * len(SPECIAL) + [4] * len(MARKERS)
    write_gguf(folder / "vocabulary.gguf", "kimi-k2", spelled + list(named.values()), types, None, roles)
    reference = tiktoken.Encoding(
        "kimi", pat_str=KIMI, mergeable_ranks=ranks, special_tokens={text: id for id, text in named.items()}
    )
    write_ids(folder, reference.encode_ordinary, lambda text: reference.encode(text, allowed_special="all"))


def sentence(folder, metaspace):
    """A vocabulary as SentencePiece makes them and Llama 2 and Mixtral have: characters are merged, a space is ▁, and
    bytes stand for characters that are no token. `metaspace` writes the space as later files do: before the text only."""
    space = "\u2581"
    trainee = Tokenizer(models.BPE())
    trainee.pre_tokenizer = pre_tokenizers.Metaspace(replacement=space, prepend_scheme="always")
    trainee.train_from_iterator(
        TRAINING, trainers.BpeTrainer(vocab_size=700, limit_alphabet=200, show_progress=False)
    )
    trained = json.loads(trainee.to_str())["model"]
    names = ["<unk>", "<s>", "</s>"]
    tokens = names + [f"<0x{byte:02X}>" for byte in range(256)]
    tokens += [text for text, _ in sorted(trained["vocab"].items(), key=lambda item: item[1])]
    model = models.BPE(
        vocab={text: id for id, text in enumerate(tokens)}, merges=[tuple(pair) for pair in trained["merges"]],
        unk_token="<unk>", fuse_unk=True, byte_fallback=True,
    )
    tokenizer = Tokenizer(model)
    if metaspace:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=space, prepend_scheme="first", split=False)
    else:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(space), normalizers.Replace(" ", space)])
    tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in names])

    folder.mkdir(exist_ok=True)
    text = tokenizer.to_str()
    (folder / "tokenizer.json").write_text(text)
    (folder / "tokenizer_config.json").write_text('{"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": true}\n')
    file = json.loads(text)
    file["added_tokens"] = []
    plain = Tokenizer.from_str(json.dumps(file))
    encode = lambda reference: lambda text: reference.encode(text, add_special_tokens=False).ids
    write_ids(folder, encode(plain), encode(tokenizer))
    if metaspace:
        return
    ranks = {left + right: -rank for rank, (left, right) in enumerate(trained["merges"])}
    writer = gguf.GGUFWriter(folder / "llama.gguf", "llama")
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([float(ranks.get(text, -1e6)) for text in tokens])
    writer.add_token_types([2, 3, 3] + [6] * 256 + [1] * (len(tokens) - 259))
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_ids(folder, plain, trusted):
    """`plain`: ids of each string of the corpus as a user's text. `trusted`: as a template's."""
    lines = [json.dumps({"plain": plain(text), "trusted": trusted(text)}, separators=(",", ":")) for text in CORPUS]
    (folder / "ids.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


def main(demo, out):
    out.mkdir(parents=True, exist_ok=True)
    (out / "corpus.json").write_text(json.dumps(CORPUS, ensure_ascii=True, indent=0) + "\n")
    for name, family in FAMILIES.items():
        folder = out / name
        folder.mkdir(exist_ok=True)
        tokenizer = add_tokens(train(*family), control=True)
        text = tokenizer.to_str()
        (folder / "tokenizer.json").write_text(text)
        for pre in [name, *(alias for alias, of in ALIASES.items() if of == name)]:
            gguf_of(folder / f"{pre}.gguf", pre, tokenizer)
        full = Tokenizer.from_str(text)
        write_ids(folder, without_controls(text), lambda string: full.encode(string, add_special_tokens=False).ids)
    kimi(out / "kimi-k2")
    sentence(out / "llama-spm", metaspace=False)
    sentence(out / "metaspace", metaspace=True)

    folder = out / "demo"
    folder.mkdir(exist_ok=True)
    for name in ["tokenizer.json", "tokenizer_config.json"]:
        shutil.copyfile(demo / name, folder / name)
    tokenizer = Tokenizer.from_file(str(demo / "tokenizer.json"))
    file = json.loads(tokenizer.to_str())
    file["added_tokens"] = []
    bare = Tokenizer.from_str(json.dumps(file))
    encode = lambda reference: lambda text: reference.encode(text, add_special_tokens=False).ids
    write_ids(folder, encode(bare), encode(tokenizer))

    folder = out / "templates"
    folder.mkdir(exist_ok=True)
    for name, template in TEMPLATES.items():
        (folder / f"{name}.jinja").write_text(template)
    for case in CASES:
        names = {"bos_token": "[BOS]", "eos_token": "<|im_end|>", **case.get("variables", {})}
        rendered, _ = render_jinja_template(
            [case["messages"]], tools=case.get("tools"), chat_template=TEMPLATES[case["template"]],
            add_generation_prompt=case["add_generation_prompt"], **names,
        )
        case["expected"] = rendered[0]
    (folder / "cases.json").write_text(json.dumps(CASES, ensure_ascii=True, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
