"""Makes crates/text/tests/fixtures/published: chat templates as models are published with, and what transformers renders of
conversations. Beside them a table of lines, because prompts repeat each other: a prompt is a list of places in it.

    venv/bin/python published_templates.py LLAMA_CPP ../crates/text/tests/fixtures/published [NAME ...]

NAME picks templates of LLAMA_CPP/models/templates; without any it is those under a licence that lets them be passed on.
"""

import datetime
import json
import re
import shutil
import sys
from pathlib import Path

from transformers.utils import chat_template_utils

TEMPLATES = [
    "GLM-4.6", "GLM-4.7-Flash", "Kimi-K2-Thinking", "Kimi-K3", "MiniMax-M2", "Qwen-Qwen3-0.6B",
    "Qwen3-Coder", "Qwen3.5-4B", "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", "deepseek-ai-DeepSeek-V3.1",
    "deepseek-ai-DeepSeek-V3.2", "deepseek-ai-DeepSeek-V4", "mistralai-Mistral-Nemo-Instruct-2407",
    "moonshotai-Kimi-K2", "openai-gpt-oss-120b",
]
NOW = datetime.datetime(2026, 3, 14, 15, 9, 26)
CONTROL = re.compile(
    r"<[|｜][^|｜<>{}'\" ]+[|｜]>|</?think>|</?tool_call>|</?tool_response>|\[/?[A-Z_]+\]|\[gMASK\]|<s>|</s>|<sop>|\]~!?b\]|\[e~\["
)


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


def tool(name, description, properties, **more):
    parameters = {"type": "object", "properties": properties, **more}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


WEATHER = tool(
    "get_weather", "The weather of a \"city\", now & <later>.\nOne city a call.",
    {"city": {"type": "string", "description": "Name, as in Zürich or 京都"}, "days": {"type": "integer", "default": 1}},
    required=["city"],
)
SEARCH = tool(
    "search",
    "Finds pages",
    {
        "query": {"type": "string"},
        "filters": {
            "type": "object",
            "properties": {"lang": {"type": "string", "enum": ["de", "ja"]}, "since": {"type": ["string", "null"]}},
            "required": ["lang"],
        },
        "tags": {"type": "array", "items": {"type": "string"}},
        "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
        "score": {"type": "number", "minimum": 0.5, "default": 1e-7},
        "exact": {"type": "boolean", "default": False},
    },
    required=["query", "tags"],
    additionalProperties=False,
)
CLOCK = tool("clock", "Tells the time", {})


def say(role, content, **more):
    return {"role": role, "content": content, **more}


def call(name, arguments, number):
    return {"type": "function", "function": {"name": name, "arguments": arguments}, "id": f"functions.{name}:{number}"}


SYSTEM = say("system", "Be brief.")
ASK = say("user", "Will it rain?")
AGAIN = say("user", "And tomorrow?")
STRANGE = "  漢字 Ελλάδα שלום 👩‍👩‍👧 e\u0301 \u2028\u200b\ttab \\ \"q\" 'a' <|im_end|> <｜User｜> [INST] {{ x }} {% if %} {# c #} </think> & <b>\n\n end \n"
KYOTO = {"city": "京都 \"old\"", "days": 2}
NESTED = {
    "query": "a\nb", "filters": {"lang": "de", "since": None}, "tags": ["x", "ü"], "limit": 3, "score": 0.25, "exact": True,
}


def calls(*pairs, content="", **more):
    return say("assistant", content, tool_calls=[call(name, arguments, n) for n, (name, arguments) in enumerate(pairs)], **more)


def result(name, content, number=0):
    return say("tool", content, tool_call_id=f"functions.{name}:{number}", name=name)


ONE_CALL = [ASK, calls(("get_weather", KYOTO)), result("get_weather", '{"rain": true}')]
TWO_CALLS = [
    ASK,
    calls(("get_weather", KYOTO), ("search", NESTED), content="Let me look."),
    result("get_weather", "wet ☔"),
    result("search", "nothing\n", 1),
]
THOUGHT = [
    SYSTEM, ASK,
    calls(("get_weather", {"city": "Bern"}), reasoning_content="I should look.\nBern it is."),
    result("get_weather", "dry"),
    calls(("clock", {}), reasoning_content="And the time?"),
    result("clock", "12:00"),
]
REASONED = say("assistant", "No.", reasoning_content="\nClouds, but\n\nhigh ones. \n")

# Messages and tools.
CONVERSATIONS = [
    ([ASK], None),
    ([SYSTEM, ASK], None),
    ([SYSTEM, say("user", STRANGE)], None),
    ([say("system", STRANGE), ASK, say("assistant", STRANGE.replace("</think>", "")), AGAIN], None),
    ([SYSTEM, ASK, say("assistant", "No."), AGAIN, say("assistant", "Yes.\n"), say("user", " Why? ")], None),
    ([ASK, REASONED, AGAIN], None),
    ([ASK, REASONED], None),
    ([ASK, say("assistant", "<think>\nhm, let me see\n</think>\n\nYes."), AGAIN], None),
    ([say("user", ""), say("assistant", ""), say("user", " \n")], None),
    ([SYSTEM, ASK], [WEATHER]),
    ([ASK], [SEARCH, WEATHER, CLOCK]),
    (ONE_CALL, [WEATHER]),
    ([SYSTEM, *ONE_CALL, say("assistant", "Yes."), AGAIN], [WEATHER]),
    (TWO_CALLS, [WEATHER, SEARCH]),
    ([SYSTEM, *TWO_CALLS, REASONED, AGAIN], [SEARCH, CLOCK]),
    (THOUGHT, [WEATHER, CLOCK]),
    ([*THOUGHT, REASONED, AGAIN], [CLOCK]),
    ([ASK, calls(("get_weather", json.dumps(KYOTO, ensure_ascii=False))), result("get_weather", "wet")], [WEATHER]),
    ([say("user", STRANGE), calls(("search", {"query": STRANGE, "tags": []})), result("search", STRANGE)], [SEARCH]),
    ([SYSTEM, ASK, say("assistant", "No."), say("system", "Now in verse."), AGAIN], None),
    ([say("developer", "Be kind."), ASK], [WEATHER]),
]
# Variables, and whether the answer begins.
SETTINGS = [
    ({}, True),
    ({}, False),
    ({"enable_thinking": False, "thinking": False}, True),
    ({"enable_thinking": True, "thinking": True, "reasoning_effort": "high"}, True),
]


def render(source, messages, tools, variables, begin):
    """What transformers renders, or `None` where the template refuses."""
    names = {"bos_token": "<BOS>", "eos_token": "<EOS>"}
    try:
        rendered, _ = chat_template_utils.render_jinja_template(
            [messages], tools=tools, chat_template=source, add_generation_prompt=begin, **names, **variables
        )
    except Exception:
        return None
    return rendered[0]


def main(llama_cpp, out, chosen):
    chat_template_utils.datetime = Clock
    out.mkdir(parents=True, exist_ok=True)
    lines, templates = {}, {}
    for name in chosen or TEMPLATES:
        path = llama_cpp / "models/templates" / f"{name}.jinja"
        shutil.copyfile(path, out / path.name)
        (out / path.name).chmod(0o644)
        source = path.read_text()
        prompts = []
        for messages, tools in CONVERSATIONS:
            for variables, begin in SETTINGS:
                text = render(source, messages, tools, variables, begin)
                places = text and [lines.setdefault(line, len(lines)) for line in re.split(r"(?<=\n)", text)]
                prompts.append(places)
        templates[name] = {"controls": sorted(set(CONTROL.findall(source))), "prompts": prompts}
    compact = {"ensure_ascii": False, "separators": (",", ":")}
    rows = lambda items: "[\n" + ",\n".join(json.dumps(item, **compact) for item in items) + "\n]"
    parts = {
        "conversations": rows([{"messages": messages, "tools": tools or []} for messages, tools in CONVERSATIONS]),
        "settings": rows([{"variables": variables, "begins": begins} for variables, begins in SETTINGS]),
        "templates": rows([{"name": name, **template} for name, template in templates.items()]),
        "lines": rows(lines),
    }
    (out / "prompts.json").write_text("{" + ",\n".join(f'"{key}": {value}' for key, value in parts.items()) + "}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
