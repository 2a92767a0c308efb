"""Random schemas at temperature 1: every finished answer, and the arguments of every call, validates; and what that costs."""

import concurrent.futures
import json
import os
import re
import string
import urllib.request

import jsonschema

from conftest import ASK, Server, schema_format, smallest_memory
from random_schemas import Schemas

COUNT = int(os.environ.get("SCHEMAS", "40"))


def validate(schema, text):
    jsonschema.Draft202012Validator(schema).validate(json.loads(text))


def test_random_schemas(server):
    schemas = Schemas(1)
    cases = [(seed, schemas.whole()) for seed in range(COUNT)]

    def answer(case):
        """Whether the answer, and whether the call, came to its end."""
        seed, schema = case
        ask = {"messages": ASK, "temperature": 1.0, "top_p": 1.0, "seed": seed, "max_tokens": 300}
        status, said = server.ask("/v1/chat/completions", {**ask, "response_format": schema_format(schema)})
        assert status == 200, (schema, said)
        answered = said["choices"][0]["finish_reason"] == "stop"
        if answered:
            validate(schema, said["choices"][0]["message"]["content"])
        function = {"name": "put", "parameters": schema, "strict": True}
        forced = {"tools": [{"type": "function", "function": function}], "tool_choice": "required", "parallel_tool_calls": seed % 2 == 0}
        status, said = server.ask("/v1/chat/completions", {**ask, **forced})
        assert status == 200, (schema, said)
        calls = said["choices"][0]["message"].get("tool_calls") or []
        called = said["choices"][0]["finish_reason"] == "tool_calls"
        for call in calls if called else calls[:-1]:
            assert call["function"]["name"] == "put"
            validate(schema, call["function"]["arguments"])
        return answered, called

    before = server.resident()
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        answered, called = (sum(column) for column in zip(*threads.map(answer, cases)))
    print(f"\n{COUNT} schemas: {answered} answers and {called} calls came to their end, and all of them validate")
    print(f"resident {before / 2**20:.1f} MiB before, {server.resident() / 2**20:.1f} after, {server.resident('VmHWM') / 2**20:.1f} at most")
    assert answered > COUNT / 3 and called > COUNT / 4, "too few came to an end to say anything"


def test_what_a_shape_costs(server):
    """Steps of answers held to a shape beside steps of free answers of as many tokens, in turn."""

    def figures():
        metrics = urllib.request.urlopen(f"{server.url}/metrics").read().decode()
        of = lambda name: float(re.search(rf"^tidemill_{name}_total (\S+)", metrics, re.M).group(1))
        return of("busy_seconds"), of("steps")

    schemas = Schemas(2)
    seconds, steps = [0.0, 0.0], [0, 0]
    for seed in range(max(COUNT // 4, 8)):
        schema = schema_format(schemas.whole())
        ask = {"messages": ASK, "temperature": 1.0, "seed": seed, "max_tokens": 200}
        shaped = {**ask, "response_format": schema}
        _, said = server.ask("/v1/chat/completions", shaped)  # so that the prompt is known to both
        tokens = said["usage"]["completion_tokens"]
        free = {**ask, "max_tokens": tokens, "logit_bias": {}}
        for which, body in enumerate([free, shaped]):
            before = figures()
            server.ask("/v1/chat/completions", body)
            after = figures()
            seconds[which] += after[0] - before[0]
            steps[which] += after[1] - before[1]
    free, shaped = (1e3 * taken / count for taken, count in zip(seconds, steps))
    print(f"\na step of a free answer {free:.3f} ms ({steps[0]:.0f}), of one held to a schema {shaped:.3f} ms ({steps[1]:.0f}): {100 * (shaped / free - 1):+.1f} %")


def object_of(properties, **more):
    return {"type": "object", "additionalProperties": False, "properties": properties, **more}


def costly():
    """Schemas that take much to compile, or to follow."""
    letters = string.ascii_lowercase
    names = [f"{a}{b}{c}" for a in letters for b in letters for c in letters[:10]]
    pairs = "(" + "|".join(a + b for a in letters for b in letters) + ")"
    patterns = ["^[a-z ]*[aeiou][a-z ]{13}$", f"^({pairs}[ ,.])*q{pairs}{{1,6}}$", "^[ab]*a[ab]{12}$"]
    texts = [{"enum": names}, {"minLength": 100, "maxLength": 5000, "type": "string"}]
    texts += [{"type": "string", "pattern": pattern} for pattern in patterns]
    yield from (object_of({"v": text}, required=["v"]) for text in texts)
    yield object_of({"v": {"type": "integer", "multipleOf": 9973}}, required=["v"])
    yield object_of({f"p{at}": {"type": "integer", "multipleOf": 997 + at} for at in range(200)})
    yield object_of({f"p{at}": {"type": "string", "pattern": f"^[a-z]*{at}[a-z ]*$"} for at in range(400)})
    words = {f"q{at}": {"type": "string"} for at in range(20)}
    yield {"anyOf": [object_of({"k": {"const": str(at)}, **words}, required=["k"]) for at in range(200)]}


def test_costly_schemas_stay_within_the_smallest_memory():
    memory = smallest_memory()
    server = Server("--queue", "32", memory=f"{memory}MiB")

    def answer(case):
        seed, schema = case
        ask = {"messages": ASK, "temperature": 1.0, "seed": seed, "max_tokens": 200}
        return server.ask("/v1/chat/completions", {**ask, "response_format": schema_format(schema)})[0]

    cases = list(enumerate(list(costly()) * 6))
    with concurrent.futures.ThreadPoolExecutor(24) as threads:
        statuses = list(threads.map(answer, cases))
    counts = {status: statuses.count(status) for status in sorted(set(statuses))}
    peak = server.resident("VmHWM") / 2**20
    print(f"\n{len(cases)} costly schemas, 24 at once: {counts}; resident {peak:.1f} MiB at most, within {memory} MiB")
    assert set(counts) <= {200, 400, 429} and counts[200] > 0
    assert peak <= memory
    assert server.stop() == 0
