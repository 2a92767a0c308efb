"""The `anthropic` package against every endpoint of its interface."""

import anthropic
import pytest

ASK = [{"role": "user", "content": "Tell me a story."}]
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
