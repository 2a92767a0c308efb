"""The `openai` package against every endpoint of its interface."""

import json

import openai
import pytest

from conftest import ASK, STORY

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
            "required": ["city", "days"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def chat(client, **more):
    return client.chat.completions.create(model="demo", messages=ASK, max_tokens=16, **more)


def test_models(openai_client):
    assert [model.id for model in openai_client.models.list()] == ["demo"]
    assert openai_client.models.retrieve("demo").id == "demo"
    with pytest.raises(openai.NotFoundError):
        openai_client.models.retrieve("other")


def test_chat_whole_and_streamed(openai_client):
    whole = chat(openai_client, seed=1)
    assert whole.choices[0].finish_reason == "length" and whole.usage.completion_tokens == 16
    stream = chat(openai_client, seed=1, stream=True, stream_options={"include_usage": True})
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage.prompt_tokens_details.cached_tokens > 0


def test_chat_options(openai_client):
    warm = chat(openai_client, n=3, seed=7, temperature=1.0, top_p=0.9, presence_penalty=0.5, frequency_penalty=0.5, user="me")
    again = chat(openai_client, n=3, seed=7, temperature=1.0, top_p=0.9, presence_penalty=0.5, frequency_penalty=0.5)
    said = [choice.message.content for choice in warm.choices]
    assert len(set(said)) > 1 and said == [choice.message.content for choice in again.choices]
    likely = chat(openai_client, logprobs=True, top_logprobs=3).choices[0]
    assert len(likely.logprobs.content) == 16 and len(likely.logprobs.content[0].top_logprobs) == 3
    stopped = chat(openai_client, stop=[" upon"]).choices[0]
    assert stopped.finish_reason == "stop" and " upon" not in stopped.message.content


def test_completions(openai_client):
    whole = openai_client.completions.create(model="demo", prompt=STORY, max_tokens=8, logprobs=2)
    assert len(whole.choices[0].logprobs.tokens) == 8
    stream = openai_client.completions.create(model="demo", prompt=STORY, max_tokens=8, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == whole.choices[0].text


def test_responses_whole_and_streamed(openai_client):
    whole = openai_client.responses.create(model="demo", input="Tell me a story.", max_output_tokens=16)
    assert whole.status == "incomplete" and whole.usage.output_tokens == 16
    with openai_client.responses.stream(model="demo", input="Tell me a story.", max_output_tokens=16) as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
    assert text == whole.output_text


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
def test_tools_that_must_be_called(openai_client, choice):
    ask = dict(model="demo", messages=ASK, tools=[WEATHER], tool_choice=choice, max_tokens=200, seed=3, parallel_tool_calls=False)
    whole = openai_client.chat.completions.create(**ask)
    assert whole.choices[0].finish_reason == "tool_calls", whole
    [call] = whole.choices[0].message.tool_calls
    arguments = json.loads(call.function.arguments)
    assert call.function.name == "get_weather" and arguments["city"] in ("Paris", "Rome") and 1 <= arguments["days"] <= 9
    pieces = [chunk.choices[0].delta.tool_calls for chunk in openai_client.chat.completions.create(stream=True, **ask)]
    streamed = "".join(piece[0].function.arguments or "" for piece in pieces if piece)
    assert json.loads(streamed) == arguments

    message = whole.choices[0].message.model_dump(exclude_none=True)
    result = {"role": "tool", "tool_call_id": call.id, "content": "Sunny."}
    told = openai_client.chat.completions.create(model="demo", messages=[*ASK, message, result], tools=[WEATHER], tool_choice="none", max_tokens=8)
    assert told.choices[0].finish_reason in ("stop", "length")


def test_tools_of_responses(openai_client):
    tool = {"type": "function", **WEATHER["function"]}
    whole = openai_client.responses.create(model="demo", input="Weather?", tools=[tool], tool_choice="required", parallel_tool_calls=False)
    call = next(item for item in whole.output if item.type == "function_call")
    assert json.loads(call.arguments)["city"] in ("Paris", "Rome")
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "Sunny."}
    told = openai_client.responses.create(model="demo", input=[{"role": "user", "content": "Weather?"}, call.model_dump(), result], max_output_tokens=8)
    assert told.usage.output_tokens <= 8


@pytest.mark.parametrize("seed", range(5))
def test_structured_output(openai_client, seed):
    shape = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA, "strict": True}}
    ask = dict(model="demo", messages=ASK, max_tokens=200, temperature=1.0, seed=seed)
    person = json.loads(openai_client.chat.completions.create(response_format=shape, **ask).choices[0].message.content)
    assert set(person) == {"name", "age"} and len(person["name"]) <= 12 and 0 <= person["age"] <= 99
    anything = openai_client.chat.completions.create(response_format={"type": "json_object"}, **ask).choices[0]
    assert anything.finish_reason == "length" or isinstance(json.loads(anything.message.content), dict)


def test_errors(openai_client):
    for more, field in [
        ({"temperature": 9}, "temperature"),
        ({"extra_body": {"nonsense": 1}}, "nonsense"),
        ({"store": True}, "store"),
        ({"modalities": ["audio"]}, "modalities"),
    ]:
        with pytest.raises(openai.BadRequestError) as caught:
            chat(openai_client, **more)
        assert caught.value.param == field
    with pytest.raises(openai.NotFoundError):
        openai_client.chat.completions.create(model="gpt-4o", messages=ASK)
    with pytest.raises(openai.APIStatusError) as caught:
        openai_client.embeddings.create(model="demo", input="a")
    assert caught.value.status_code == 501


def test_the_model_is_free_to_call(openai_client):
    for more in [{}, {"tool_choice": "auto"}, {"parallel_tool_calls": True}, {"stream": True}]:
        said = chat(openai_client, tools=[WEATHER], **more)
        last = list(said)[-1] if more.get("stream") else said
        assert last.choices[0].finish_reason in ("stop", "length", "tool_calls")


def test_several_calls_at_once(openai_client):
    seen = 0
    for seed in range(4):
        said = openai_client.chat.completions.create(
            model="demo", messages=ASK, tools=[WEATHER], tool_choice="required", parallel_tool_calls=True, temperature=1.0, seed=seed, max_tokens=300
        ).choices[0]
        calls = said.message.tool_calls if said.finish_reason == "tool_calls" else said.message.tool_calls[:-1]
        assert len({call.id for call in calls}) == len(calls)
        for call in calls:
            assert json.loads(call.function.arguments)["city"] in ("Paris", "Rome")
        seen = max(seen, len(calls))
    assert seen > 1


def test_several_answers_streamed(openai_client):
    ask = dict(n=3, seed=7, temperature=1.0)
    whole = [choice.message.content for choice in chat(openai_client, **ask).choices]
    pieces = ["", "", ""]
    for chunk in chat(openai_client, stream=True, **ask):
        for choice in chunk.choices:
            pieces[choice.index] += choice.delta.content or ""
    assert pieces == whole


def test_bias_and_penalties(openai_client):
    def said(**more):
        return openai_client.completions.create(model="demo", prompt=STORY, max_tokens=24, temperature=0, logprobs=0, **more).choices[0]

    plain = said()
    assert len(set(plain.logprobs.tokens)) < 24, "something is said twice"
    # Token 634 is ` Once` or the like, whatever it is: with all that bias there is nothing else.
    always = said(logit_bias={"634": 100})
    assert len(set(always.logprobs.tokens)) == 1
    never = said(logit_bias={"634": 100, "635": 100}, frequency_penalty=2, presence_penalty=2)
    assert len(set(never.logprobs.tokens)) == 2
    assert said(frequency_penalty=2).text != plain.text and said(presence_penalty=2).text != plain.text


def test_logprobs_are_logarithms_of_probabilities(openai_client):
    content = chat(openai_client, logprobs=True, top_logprobs=5, temperature=0).choices[0].logprobs.content
    for one in content:
        assert one.logprob <= 0 and one.token == one.top_logprobs[0].token
        assert [top.logprob for top in one.top_logprobs] == sorted((top.logprob for top in one.top_logprobs), reverse=True)
    response = openai_client.responses.create(model="demo", input="Tell me a story.", max_output_tokens=8, include=["message.output_text.logprobs"], top_logprobs=2)
    logprobs = response.output[0].content[0].logprobs
    assert len(logprobs) == 8 and len(logprobs[0].top_logprobs) == 2


def test_seeds(openai_client):
    texts = [chat(openai_client, temperature=1.0, seed=seed).choices[0].message.content for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    free = {chat(openai_client, temperature=1.0).choices[0].message.content for _ in range(4)}
    assert len(free) > 1, "without a seed every answer is another"


def test_structured_responses_and_their_stream(openai_client):
    text = {"format": {"type": "json_schema", "name": "person", "schema": SCHEMA, "strict": True}}
    ask = dict(model="demo", input="Who?", text=text, max_output_tokens=200, temperature=1.0)
    whole = openai_client.responses.create(**ask)
    if whole.status == "completed":
        assert set(json.loads(whole.output_text)) == {"name", "age"}
    tool = {"type": "function", **WEATHER["function"]}
    forced = dict(model="demo", input="Weather?", tools=[tool], tool_choice={"type": "function", "name": "get_weather"}, parallel_tool_calls=False)
    with openai_client.responses.stream(**forced) as stream:
        kinds = [event.type for event in stream]
        call = next(item for item in stream.get_final_response().output if item.type == "function_call")
    assert "response.function_call_arguments.delta" in kinds and kinds[-1] == "response.completed"
    assert json.loads(call.arguments)["city"] in ("Paris", "Rome")
