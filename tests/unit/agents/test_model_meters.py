"""Meters and what is read of requests and errors: anything may come."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.agents.model_access import TroubleKind
from app.agents.model_apis import ENDPOINTS, read_request, refused, seconds_to_wait
from app.agents.model_meters import LONGEST_LINE, ChatMeter, MessagesMeter, Meter, ResponsesMeter
from app.agents.model_requests import Unfit
from app.agents.prices import Tokens

METERS = [MessagesMeter, ResponsesMeter, ChatMeter]

KEYS = [
    *("type", "message", "usage", "input_tokens", "output_tokens", "content_block", "delta", "text", "error", "code"),
    *("response", "output", "item", "input_tokens_details", "cached_tokens", "choices", "tool_calls", "index"),
    *("prompt_tokens", "completion_tokens", "cache_creation", "server_tool_use", "web_search_requests", "model"),
]
TYPES = [
    *("message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop", "error"),
    *("response.completed", "response.failed", "response.output_item.done", "tool_use", "function_call", "x.delta"),
]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(TYPES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=15,
)


def stream(*events: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


@pytest.mark.parametrize("kind", METERS)
@given(events=st.lists(ANYTHING, max_size=5), asked=st.integers(1, 1000))
@settings(max_examples=150, deadline=None)
def test_meter__takes_anything_and_is_never_free(kind: Callable[[], Meter], events: list[Any], asked: int) -> None:
    meter = kind()
    meter.feed(stream(*events))
    meter.end()
    used = meter.tokens(asked)
    assert used.all_input >= 1
    assert all(0 <= number <= 10**8 for number in (used.output, used.input, used.cache_read, used.cache_write))
    whole = kind()
    for event in events:
        whole.read(json.dumps(event).encode())
    assert whole.tokens(asked).all_input >= 1


@given(cuts=st.lists(st.integers(0, 400), max_size=8))
@settings(max_examples=50, deadline=None)
def test_meter__does_not_mind_where_pieces_end(cuts: list[int]) -> None:
    data = stream(
        {"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 7, "output_tokens": 1}}},
        {"type": "content_block_start", "content_block": {"type": "tool_use"}},
        {"type": "message_delta", "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    ).replace(b"\n\n", b"\r\n\r\n")
    meter = MessagesMeter()
    places = [0, *sorted(cuts), len(data)]
    for start, end in itertools.pairwise(places):
        meter.feed(data[start:end])
    assert (meter.done, meter.tool_calls, meter.model) == (True, 1, "m")
    assert meter.tokens(1) == Tokens(input=7, output=9)


def test_meter__a_line_that_is_too_long_is_skipped_and_the_next_ones_are_read() -> None:
    meter = MessagesMeter()
    meter.feed(b"data: ")
    for _ in range(LONGEST_LINE // 1_000_000 + 2):
        meter.feed(b"x" * 1_000_000)
    meter.feed(b"\n" + stream({"type": "message_stop"}))
    assert meter.done


def test_messages_meter__takes_the_end_of_a_cumulative_usage() -> None:
    meter = MessagesMeter()
    start = {"input_tokens": 10, "cache_creation_input_tokens": 30, "cache_read_input_tokens": 5, "output_tokens": 1}
    start["cache_creation"] = {"ephemeral_1h_input_tokens": 20, "ephemeral_5m_input_tokens": 10}  # type: ignore[assignment]
    meter.feed(stream({"type": "message_start", "message": {"usage": start}}))
    meter.feed(stream({"type": "content_block_delta", "delta": {"text": "x" * 400}}))
    assert meter.tokens(1) == Tokens(input=10, output=100, cache_read=5, cache_write=10, cache_write_1h=20)
    end = {"input_tokens": 0, "output_tokens": 50, "server_tool_use": {"web_search_requests": 2}}
    meter.feed(stream({"type": "message_delta", "usage": end}))
    assert meter.tokens(1) == Tokens(input=10, output=50, cache_read=5, cache_write=10, cache_write_1h=20, searches=2)


def test_responses_meter__counts_calls_and_searches_once() -> None:
    items = [{"type": "function_call"}, {"type": "custom_tool_call"}, {"type": "web_search_call"}, {"type": "message"}]
    usage = {"input_tokens": 100, "output_tokens": 5}
    usage["input_tokens_details"] = {"cached_tokens": 60, "cache_write_tokens": 30}  # type: ignore[assignment]
    done = {"type": "response.completed", "response": {"output": items, "usage": usage, "model": "m"}}
    for events in ([done], [*({"type": "response.output_item.done", "item": item} for item in items), done]):
        meter = ResponsesMeter()
        meter.feed(stream(*events))
        assert (meter.done, meter.tool_calls) == (True, 2)
        assert meter.tokens(1) == Tokens(input=10, output=5, cache_read=60, cache_write=30, searches=1)


def test_chat_meter__is_done_with_a_finish_reason_when_nothing_else_comes() -> None:
    meter = ChatMeter()
    calls = [{"index": 0, "function": {"arguments": "{"}}, {"index": 1, "function": {"arguments": "}"}}]
    meter.feed(stream(*({"choices": [{"index": 0, "delta": {"tool_calls": calls}}]} for _ in range(3))))
    meter.end()
    assert not meter.done
    meter.feed(stream({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
    assert not meter.done
    meter.end()
    assert (meter.done, meter.tool_calls, meter.tokens(7)) == (True, 2, Tokens(input=7, output=1))


def test_request__is_read_and_written_anew() -> None:
    body = b'{"model": "o3", "max_tokens": 400, "stream" : true, "model": "m", "messages": [], "inference_geo": "us"}'
    asked = read_request(body, ENDPOINTS["/v1/messages"])
    assert (asked.model, asked.streamed, asked.unseen) == ("m", True, 100)
    assert asked.body == b'{"model":"m","max_tokens":400,"stream":true,"messages":[]}'
    assert asked.tokens >= len(body) // 4
    odd = read_request(b'{"model": "m", "stream": true, "stream_options": 3}', ENDPOINTS["/v1/chat/completions"])
    assert json.loads(odd.body)["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("more", "unseen"),
    [
        ({}, 8192),
        ({"max_output_tokens": 100}, 25),
        ({"max_tokens": 10**9}, 8192),
        ({"thinking": {"type": "disabled"}}, 0),
        ({"reasoning": {"effort": "none"}}, 0),
        ({"reasoning": 3, "max_tokens": "x"}, 8192),
        ({"model": "gpt-4.1"}, 0),
        ({"model": "gpt-4.1", "stream": False}, 8192),
    ],
)
def test_request__how_much_of_its_answer_may_be_unseen(more: dict[str, Any], unseen: int) -> None:
    body = json.dumps({"model": "gpt-5", "stream": True, **more}).encode()
    assert read_request(body, ENDPOINTS["/v1/responses"]).unseen == unseen


@pytest.mark.parametrize(
    "more",
    [
        {"background": True},
        {"mcp_servers": [{"url": "https://x"}]},
        {"container": "c"},
        {"prompt": {"id": "p"}},
        {"web_search_options": {"a": 1}},
        *(
            {"tools": [{"type": kind}]}
            for kind in ("code_execution_20250825", "code_interpreter", "mcp", "image_generation", "file_search", 3, "")
        ),
        {"tools": {"type": "mcp"}},
        {"tools": [{"type": "namespace", "tools": [{"type": "mcp"}]}]},
        {"tools": [{"type": "shell", "environment": {"type": "container_auto"}}]},
        {"input": [{"type": "additional_tools", "tools": [{"type": "mcp"}]}]},
    ],
)
def test_request__what_cannot_be_priced_is_unfit(more: dict[str, Any]) -> None:
    with pytest.raises(Unfit):
        read_request(json.dumps({"model": "m", **more}).encode(), ENDPOINTS["/v1/responses"])


def test_request__what_can_be_priced_passes() -> None:
    kinds = ["function", "custom", "local_shell", "web_search", "web_search_20250305", "bash_20250124"]
    tools = [{"name": "T"}, *({"type": kind} for kind in kinds), {"type": "namespace", "tools": [{"type": "function"}]}]
    body = {"model": "m", "tools": tools, "background": False, "mcp_servers": [], "container": None, "input": "x"}
    assert json.loads(read_request(json.dumps(body).encode(), ENDPOINTS["/v1/responses"]).body) == body


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (402, {}, TroubleKind.REFUSED),
        (400, {"message": "Your credit balance is too low to access the API"}, TroubleKind.REFUSED),
        (429, {"type": "insufficient_quota", "message": "You exceeded your current quota"}, TroubleKind.REFUSED),
        (429, {"type": "rate_limit_error"}, TroubleKind.TRANSIENT),
        (400, {"code": "context_length_exceeded"}, TroubleKind.TOO_LONG),
        (400, {"message": "This model's maximum context length is 8192 tokens"}, TroubleKind.TOO_LONG),
        (413, {}, TroubleKind.TOO_LONG),
        (400, {"message": "temperature is deprecated"}, TroubleKind.INVALID),
        (408, {}, TroubleKind.TRANSIENT),
        (529, {}, TroubleKind.TRANSIENT),
    ],
)
def test_refused__says_what_is_wrong(status: int, error: dict[str, str], kind: TroubleKind) -> None:
    trouble = refused(status, json.dumps({"error": error}).encode(), None, "m\n\x1b[1m")
    assert trouble.kind is kind
    assert trouble.sentence.isprintable()
    assert error.get("message", "") in trouble.sentence


@given(body=st.binary(max_size=200), status=st.integers(300, 599))
@settings(max_examples=50, deadline=None)
def test_refused__takes_any_body(body: bytes, status: int) -> None:
    assert refused(status, body, None, "m").sentence


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", None),
        ("1e9", None),
        ("99999999999", 86400.0),
        ("soon", None),
        ("²", None),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        ("Thu, 01 Jan 1970 00:00:01 GMT", 0.0),
        ("Thu, 99 Jan 1970 00:00:01 GMT", None),
    ],
)
def test_retry_after__is_a_number_or_a_date(header: str | None, seconds: float | None) -> None:
    assert seconds_to_wait(header, 10.0) == seconds
