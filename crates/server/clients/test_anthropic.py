"""The `anthropic` package against every endpoint of its interface."""

import json

import anthropic
import pytest

from conftest import ASK

WEATHER = {
    "name": "get_weather",
    "description": "The weather of a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


def test_messages_whole_and_streamed(anthropic_client):
    ask = dict(model="demo", messages=ASK, max_tokens=16, system="Be brief.")
    whole = anthropic_client.messages.create(**ask)
    assert whole.stop_reason == "max_tokens" and whole.usage.output_tokens == 16
    with anthropic_client.messages.stream(**ask) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == whole.content[0].text == final.content[0].text
    assert final.usage.cache_read_input_tokens > 0


def test_stop_sequences(anthropic_client):
    stopped = anthropic_client.messages.create(model="demo", messages=ASK, max_tokens=16, stop_sequences=[" upon"])
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", " upon")


def test_count_tokens(anthropic_client):
    counted = anthropic_client.messages.count_tokens(model="demo", messages=ASK, system="Be brief.")
    whole = anthropic_client.messages.create(model="demo", messages=ASK, max_tokens=1, system="Be brief.")
    assert counted.input_tokens == whole.usage.input_tokens + whole.usage.cache_read_input_tokens


@pytest.mark.parametrize("choice", [{"type": "any", "disable_parallel_tool_use": True}, {"type": "tool", "name": "get_weather", "disable_parallel_tool_use": True}])
def test_tools(anthropic_client, choice):
    ask = dict(model="demo", messages=ASK, tools=[WEATHER], tool_choice=choice, max_tokens=200)
    whole = anthropic_client.messages.create(**ask)
    assert whole.stop_reason == "tool_use", whole
    call = whole.content[-1]
    assert call.name == "get_weather" and call.input["city"] in ("Paris", "Rome")
    with anthropic_client.messages.stream(**ask) as stream:
        assert stream.get_final_message().content[-1].input == call.input
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "Sunny."}]}
    said = {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in whole.content]}
    told = anthropic_client.messages.create(model="demo", messages=[*ASK, said, result], tools=[WEATHER], tool_choice={"type": "none"}, max_tokens=8)
    assert told.usage.output_tokens <= 8


def test_errors(anthropic_client):
    with pytest.raises(anthropic.BadRequestError) as caught:
        anthropic_client.messages.create(model="demo", messages=ASK, max_tokens=4, extra_body={"temperature": 9})
    assert caught.value.body["error"]["type"] == "invalid_request_error"
    with pytest.raises(anthropic.NotFoundError):
        anthropic_client.messages.create(model="claude", messages=ASK, max_tokens=4)
    image = {"role": "user", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": ""}}]}
    with pytest.raises(anthropic.BadRequestError) as caught:
        anthropic_client.messages.create(model="demo", messages=[image], max_tokens=4)
    assert "messages[0].content[0].type" in caught.value.body["error"]["message"]


def test_structured_output(anthropic_client):
    schema = {"type": "object", "properties": {"age": {"type": "integer", "minimum": 0, "maximum": 99}}, "required": ["age"], "additionalProperties": False}
    config = {"format": {"type": "json_schema", "schema": schema}}
    told = anthropic_client.messages.create(model="demo", messages=ASK, max_tokens=100, extra_body={"output_config": config})
    assert told.stop_reason == "end_turn" and 0 <= json.loads(told.content[0].text)["age"] <= 99


def test_several_calls_and_a_free_choice(anthropic_client):
    ask = dict(model="demo", messages=ASK, tools=[WEATHER])
    told = anthropic_client.messages.create(**ask, tool_choice={"type": "any"}, max_tokens=300, extra_body={"temperature": 1.0})
    calls = [block for block in told.content if block.type == "tool_use"]
    assert calls and all(call.input.get("city") in ("Paris", "Rome") for call in (calls if told.stop_reason == "tool_use" else calls[:-1]))
    free = anthropic_client.messages.create(**ask, tool_choice={"type": "auto"}, max_tokens=8)
    assert free.stop_reason in ("end_turn", "max_tokens", "tool_use")


def test_models(anthropic_client):
    assert [model.id for model in anthropic_client.models.list()] == ["demo"]
    assert anthropic_client.models.retrieve("demo").id == "demo"
