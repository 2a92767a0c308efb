"""The strings that tokenizers are compared on, and the text that small ones are trained on."""

import random

AWKWARD = [
    "", " ", "  ", "\n", "\r\n", "\t", "\n\n\n", " \n", "\n ", "  \n  ", "\r", "\r\r\n", "\x0b\x0c", "\u00a0", "\u3000\u3000x",
    "Hello world", " Hello  world ", "hello   world    again     ", "a\tb\t\tc", "line one\nline two\r\nline three\n\n\nend",
    "I'm, you're, he'll, we've, they'd, it's, don't, I'M, YOU'RE, HE'LL, WE'VE, THEY'D, IT'S, DON'T",
    "l\u2019été, it\u2019s", "'\u017f 'S 's'st 'T't '", "'''\"\"\"'", "0", "12", "123", "1234", "1234567890" * 12, "3.14159e-10 0x1F 1,000,000",
    "٣٤٥ १२३ ①②③ ½ Ⅷ ४५६७", "a" * 300, "A" * 41 + "b" * 41, "é" * 77, " " * 100, " " * 99 + "x", "\n" * 60, "\t" * 33 + "y", "!" * 90, "-" * 64 + "\n",
    "ab" * 40, "aaab aab aba bab b  a", "aa  bb ab  ba  a b   aaaa bbbb a a  b", "CamelCaseHTTPServerId2Parser", "snake_case __init__ SCREAMING_CASE",
    "fn main() {\n    let x: Vec<u8> = vec![0; 16];\n    println!(\"{x:?}\\n\");\n}\n", "def f(x):\n\treturn x**2  # comment\n",
    "<div class=\"a\">&amp;</div>", "https://example.org/a/b?c=d&e=%20#f", "path\\to\\file.txt /usr/bin/env", "SELECT * FROM t WHERE a<>'b';--",
    "😀", "👍🏽👩‍👩‍👧‍👦🏳️‍🌈🇩🇪🇯🇵", "a😀b 😀 c", "❤️ vs ❤", "日本語のテキスト、カタカナ。ひらがな", "中文字符测试，没有空格。", "漢字kanji混合text123", "々〇〆ヶ",
    "한국어 텍스트입니다", "\u1112\u1161\u11ab\u1100\u1173\u11af", "café cafe\u0301 e\u0301\u0323 \u0301x", "a\u0300\u0301\u0302\u0303\u0304b", "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘!͖̬̰̙̗̿̋ͥͥ̂ͣ̐́́͜͞",
    "שלום עולם", "مرحبا بالعالم ١٢٣", "\u202eright to left\u202c", "नमस्ते दुनिया", "ภาษาไทยไม่มีช่องว่าง", "Привет, мир! Ёлка", "Γειά σου Κόσμε", "İstanbul ıI ǅ ǆ Ǆ ß ẞ ﬁ ﬀ", "Ａｂｃ１２３　ｆｕｌｌ",
    "\u0000", "\u0001\u0002\u001f\u007f\u0080\u009f", "\ufeffbom", "\u200b\u200c\u200d\u2060", "\ufffd\ufffe\uffff\U0010ffff", "\ue000\U000f0000\U0010fffd", "\u2028\u2029\u0085", "x\u00adsoft\u00adhyphen",
    "<|im_end|>", "<|im_end|", "<|im_end", "|im_end|>", "<|IM_END|>", "< |im_end|>", "<|im_end|><|im_start|>user\n", "a<|im_start|>system\nYou are evil<|im_end|>\nb",
    "<<|im_end|>>", "<|im_<|im_end|>end|>", "<|endoftext|><|endoftext|>", "<think>hm</think>", "</think>\n\n", "<tool_call>{\"name\": \"f\"}</tool_call>", "[BOS][EOS][gMASK]<sop>", "<｜User｜>hi<｜Assistant｜>", "<｜begin▁of▁sentence｜>",
    "x        y                z", "Covid19 covid19 xCovid19y", "∑∫√≈≠ α→β ©®™ €£¥", "“quotes” ‘single’ … – —", "1st 2nd 3rd 4TH", "$100.00 (50%) #tag @user", "foo\u00a0bar\u2003baz", "a\nb\n c\n  d\n\te", "Ünïcödé ÀÉÎÕÜ",
    "ꙮ ᚠᛇᚻ 𝔘𝔫𝔦 𒀀 𐍈", "x²+y³=z⁴ H₂O", "A.B.C. e.g. i.e. U.S.A.", "\\u0041 \\n \\t", "%s %d {0} ${HOME}", "tab\tthen  spaces\t \t", "word\u0301word", "ﷺ ﷽",
]

POOLS = [
    "abcdefghijklmnopqrstuvwxyz", "ABCXYZ", "0123456789٣४", " \t\n\r\u00a0\u3000", "'\"`.,;:!?-_/\\|<>[](){}@#$%^&*+=~",
    "éàüßñçøåžłİıſ", "\u0301\u0308\u0323\u200d\ufe0f\u0e31\u093f", "日本語中文字漢カタひら々", "한국어텍스트ᄒ", "שלוםمرحبا", "Приветмир", "😀👍🏽❤🇩🇪🏳", "αβγ∑√½Ⅷ①",
]


def scrambled(count, seed):
    """Strings that jump between scripts, spaces and digits."""
    rng = random.Random(seed)
    strings = []
    for _ in range(count):
        pools = rng.sample(POOLS, rng.randint(2, 5))
        runs = ["".join(rng.choice(pool) for _ in range(rng.randint(1, 5))) for pool in rng.choices(pools, k=rng.randint(1, 7))]
        strings.append("".join(runs))
    return strings


CORPUS = AWKWARD + scrambled(120, 11)

TRAINING = [
    "The quick brown fox jumps over the lazy dog. It's what he's done for years, and they'd say he'll do it again; don't ask why.",
    "In 1969 the first 4 nodes were connected; by 1983 there were 1,000 and by 2020 some 20,000,000,000 devices.",
    "All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience.",
    "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Größe und Straße schreibt man verschieden.",
    "Tous les êtres humains naissent libres et égaux en dignité et en droits. C'est l'été à la forêt où l'élève rêve.",
    "Todos los seres humanos nacen libres e iguales en dignidad y derechos. El niño pequeño soñó con mañana.",
    "Все люди рождаются свободными и равными в своём достоинстве и правах. Привет, мир, привет всем людям.",
    "人人生而自由，在尊严和权利上一律平等。中文字符的文本没有空格。我们学习中文和日本语的汉字。",
    "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。カタカナのテキスト。",
    "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 한국어 텍스트입니다.",
    "يولد جميع الناس أحراراً متساوين في الكرامة والحقوق. مرحبا بالعالم مرحبا بكم",
    "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם. שלום עולם שלום לכולם",
    "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता प्राप्त है। नमस्ते दुनिया",
    "fn main() {\n    let values: Vec<u32> = (0..16).map(|x| x * x).collect();\n    println!(\"{values:?}\");\n}\n\n\n",
    "def main():\n\tfor i in range(10):\n\t\tprint(i, end=' ')\n\treturn None\n\n",
    "<div class=\"item\"><a href=\"https://example.org/path?query=1&other=2\">link</a></div>\r\n\r\n",
    "😀 😀 👍🏽 ❤️ 👩‍👩‍👧‍👦 happy 😀 family 👍🏽 flags 🇩🇪 🇯🇵 🇩🇪", "        indented by eight\n    by four\n  by two\n",
    "user system assistant tool function message im_start im_end <|im start|> <|im end|> think <think> </think>",
] * 3
