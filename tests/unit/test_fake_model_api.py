"""The fake model APIs: in the shapes of the real ones, and true about what they served."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.fakes.model_api import (
    Conversation,
    Cut,
    ErrorInStream,
    Flood,
    Hang,
    ModelApi,
    Reason,
    Refusal,
    Tokens,
    ToolUse,
    Turn,
    in_order,
    script,
)

WORK = Turn(
    "I write.", ToolUse("Write", {"file_path": "a", "content": "b"}), tokens=Tokens(cache_read=7, cache_write=3)
)
TOOLS = {"messages": [{"name": "Write"}], "chat": [{"type": "function", "function": {"name": "Write"}}]}


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=20) as each:
        yield each


def ask(client: httpx.Client, api: ModelApi, prompt: str = "Do it", **more: Any) -> httpx.Response:
    body = {"model": "claude-x", "max_tokens": 9, "tools": TOOLS["messages"], "stream": True, **more}
    body = {"messages": [{"role": "user", "content": prompt}], **body}
    return client.post(f"{api.url}/v1/messages?beta=true", json=body, headers={"x-api-key": "key-1"})


def events_of(text: str) -> list[tuple[str, Any]]:
    """The named events of a stream."""
    parts = [block.split("\n", 1) for block in text.strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in parts]


def test_messages_stream__has_the_order_of_the_real_one(client: httpx.Client) -> None:
    with ModelApi(script(WORK)) as api:
        events = events_of(ask(client, api).text)
    kinds = [name for name, _ in events]
    assert kinds == [data["type"] for _, data in events]
    block = ["content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"]
    assert kinds == ["message_start", block[0], "ping", *block[1:], *block, "message_delta", "message_stop"]
    by_kind = dict(events)
    assert by_kind["message_start"]["message"]["usage"]["cache_read_input_tokens"] == 7
    assert by_kind["message_delta"] == {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 20},
    }
    written = [data["delta"].get("partial_json", "") for name, data in events if name == "content_block_delta"]
    assert json.loads("".join(written)) == {"file_path": "a", "content": "b"}


def test_messages__are_understood_as_a_conversation(client: httpx.Client) -> None:
    seen: list[Conversation] = []

    def scenario(asked: Conversation) -> Turn:
        seen.append(asked)
        return Turn("Done.")

    messages = [
        {"role": "user", "content": [{"type": "text", "text": "<system-reminder>x</system-reminder>"}]},
        {"role": "user", "content": [{"type": "text", "text": "Do it"}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "Write", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "ok", "is_error": True}]},
        {"role": "assistant", "content": "Done."},
        {"role": "user", "content": "Now fix it"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t2", "name": "Bash", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t2", "content": "fine"}]},
    ]
    with ModelApi(scenario) as api:
        answer = ask(client, api, messages=messages, system=[{"type": "text", "text": "You"}], stream=False).json()
    [asked] = seen
    assert (asked.prompt, asked.last_prompt, asked.turns, asked.turns_since_prompt) == ("Do it", "Now fix it", 3, 1)
    assert [(result.name, result.text) for result in asked.results] == [("Bash", "fine")]
    assert (asked.system, asked.tools, asked.key, asked.side) == ("You", ("Write",), "key-1", False)
    assert (answer["content"], answer["stop_reason"]) == ([{"type": "text", "text": "Done."}], "end_turn")


def test_messages__title_of_the_programs_own_is_no_part_of_the_script(client: httpx.Client) -> None:
    with ModelApi(in_order(Turn("First."), Turn("Second."))) as api:
        ask(client, api, tools=[])
        assert "First." in ask(client, api, stream=False).text
        assert client.post(f"{api.url}/v1/messages/count_tokens", json={"messages": []}).json()["input_tokens"] > 0
        assert client.head(api.url).status_code == 404
        assert [served.conversation.side for served in api.served] == [True, False]
        assert api.others == ["HEAD /"]


def test_responses_stream__ends_with_a_completed_response_and_its_usage(client: httpx.Client) -> None:
    tools = [{"type": "namespace", "name": "functions", "tools": [{"type": "custom", "name": "exec"}]}]
    given = [
        {"type": "additional_tools", "role": "developer", "tools": tools},
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "You"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "<environment_context>"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Do it"}]},
    ]
    turn = Turn("I run.", ToolUse("exec", "text(1)"), tokens=Tokens(input=5, output=6, cache_read=7))
    with ModelApi(script(turn)) as api:
        body = {"model": "gpt-x", "input": given, "stream": True}
        text = client.post(f"{api.openai_url}/responses", json=body, headers={"Authorization": "Bearer k"}).text
        asked = api.served[0].conversation
    events = events_of(text)
    assert [name for name, _ in events][:3] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
    ]
    name, last = events[-1]
    assert (name, last["response"]["status"]) == ("response.completed", "completed")
    assert last["response"]["usage"]["input_tokens"] == 12
    assert last["response"]["usage"]["input_tokens_details"]["cached_tokens"] == 7
    call = last["response"]["output"][1]
    assert (call["type"], call["name"], call["namespace"], call["input"]) == (
        "custom_tool_call",
        "exec",
        "functions",
        "text(1)",
    )
    assert (asked.prompts, asked.tools, asked.system.strip(), asked.key) == (("Do it",), ("exec",), "You", "k")


@pytest.mark.parametrize("wanted", [True, False])
def test_chat_stream__tells_usage_only_where_it_was_asked_for(client: httpx.Client, wanted: bool) -> None:
    with ModelApi(script(WORK)) as api:
        body = {"model": "m", "messages": [{"role": "user", "content": "Do it"}], "tools": TOOLS["chat"]}
        options = {"stream_options": {"include_usage": True}} if wanted else {}
        text = client.post(f"{api.openai_url}/chat/completions", json={**body, "stream": True, **options}).text
        whole = client.post(f"{api.openai_url}/chat/completions", json=body).json()
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    assert [json.loads(line)["usage"]["prompt_tokens"] for line in lines[:-1] if "usage" in line] == [110] * wanted
    call = whole["choices"][0]["message"]["tool_calls"][0]["function"]
    assert (call["name"], json.loads(call["arguments"])["content"]) == ("Write", "b")
    assert whole["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    ("reason", "status", "kind"),
    [
        (Reason.RATE_LIMIT, 429, "rate_limit_error"),
        (Reason.OVERLOADED, 529, "overloaded_error"),
        (Reason.BAD_KEY, 401, "authentication_error"),
        (Reason.TOO_LONG, 400, "invalid_request_error"),
    ],
)
def test_refusals__have_the_apis_own_shape(client: httpx.Client, reason: Reason, status: int, kind: str) -> None:
    with ModelApi(script(Refusal(reason, retry_after=3))) as api:
        answer = ask(client, api)
    assert (answer.status_code, answer.headers["Retry-After"]) == (status, "3")
    assert (answer.json()["type"], answer.json()["error"]["type"]) == ("error", kind)


def test_keys__others_are_refused(client: httpx.Client) -> None:
    with ModelApi(script(WORK), keys=("another",)) as api:
        assert ask(client, api).status_code == 401
        assert (api.totals().requests, api.totals().turns) == (1, 0)


def test_cut__closes_the_connection_in_the_middle(client: httpx.Client) -> None:
    with ModelApi(script(Cut())) as api:
        with pytest.raises(httpx.RemoteProtocolError):
            ask(client, api)
        with pytest.raises(httpx.RemoteProtocolError):
            ask(client, api, stream=False)
        assert [served.ended for served in api.wait_until_ended(2)] == ["cut", "cut"]
        assert api.totals().broken == 2


def test_error_in_stream__is_an_event(client: httpx.Client) -> None:
    with ModelApi(script(ErrorInStream())) as api:
        name, data = events_of(ask(client, api).text)[-1]
    assert (name, data["error"]["type"]) == ("error", "overloaded_error")


def test_hang__goes_on_when_told_to(client: httpx.Client) -> None:
    go = threading.Event()
    with ModelApi(script(Hang(until=go))) as api:
        kinds = []
        with client.stream("POST", f"{api.url}/v1/messages", json=_asked()) as answer:
            for line in answer.iter_lines():
                kinds += [line.removeprefix("event: ")] if line.startswith("event: ") else []
                if kinds[-1:] == ["content_block_start"]:
                    go.set()
        assert kinds[-1] == "message_stop"
        assert api.wait_until_ended(1)[0].ended == "whole"


def test_hang__ends_when_the_client_leaves(client: httpx.Client) -> None:
    with ModelApi(script(Hang())) as api:
        with client.stream("POST", f"{api.url}/v1/messages", json=_asked()) as answer:
            pieces = answer.iter_bytes()
            next(pieces)
            assert api.hung.wait(20)
        assert api.wait_until_ended(1)[0].ended == "client gone"


def test_hang__ends_when_the_api_closes(client: httpx.Client) -> None:
    with contextlib.ExitStack() as stack:
        with ModelApi(script(Hang())) as api:
            answer = stack.enter_context(client.stream("POST", f"{api.url}/v1/messages", json=_asked()))
            pieces = answer.iter_bytes()
            next(pieces)
            assert api.hung.wait(20)
        assert api.served[0].ended == "cut"


def test_flood__is_as_long_as_was_said(client: httpx.Client) -> None:
    with ModelApi(script(Flood(1_000_000))) as api:
        assert ask(client, api).text.count("x") >= 1_000_000


def test_totals__are_the_sums_by_key(client: httpx.Client) -> None:
    with ModelApi(script(WORK)) as api:
        ask(client, api)
        ask(client, api, stream=False)
        api.wait_until_ended(2)
        totals = api.totals("key-1")
        assert api.totals("key-2").requests == 0
    assert (totals.turns, totals.tool_calls, totals.input_tokens, totals.output_tokens) == (2, 2, 220, 40)
    assert (totals.cache_read, totals.cache_write) == (14, 6)


def test_defect_of_a_scenario__is_raised_at_the_end(client: httpx.Client) -> None:
    with pytest.raises(AssertionError, match="scenario itself"), ModelApi(lambda asked: 1 / 0) as api:  # type: ignore[arg-type, return-value]
        assert ask(client, api).status_code == 500


def _asked() -> dict[str, Any]:
    return {"model": "m", "stream": True, "tools": [{"name": "T"}], "messages": [{"role": "user", "content": "x"}]}
