"""OpenAI's Chat Completions API: a request read, an answer written."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from tests.fakes.model_api import responses
from tests.fakes.model_api.messages import Event
from tests.fakes.model_api.responses import ERRORS
from tests.fakes.model_api.scenario import Api, Conversation, Reason, Text, Tokens, ToolResult, ToolUse, Turn
from tests.fakes.model_api.sides import added_by_program, pieces, text_of, turns_in

error = responses.error


def conversation(body: Mapping[str, Any], key: str) -> Conversation:
    names: dict[str, str] = {}
    prompts, said, system, kinds = [], [], [], []
    results: list[ToolResult] = []
    for message in body.get("messages", []):
        role, text = message["role"], text_of(message.get("content"))
        if role == "assistant":
            names |= {call["id"]: call["function"]["name"] for call in message.get("tool_calls") or []}
            kinds.append("model")
            results = []
        elif role == "tool":
            results.append(ToolResult(name=names.get(message.get("tool_call_id"), ""), text=text))
            kinds.append("tools")
        elif role in ("system", "developer"):
            system.append(text)
        else:
            said.append(text)
            if not added_by_program(text):
                prompts.append(text)
                kinds.append("prompt")
    turns, since = turns_in(kinds)
    return Conversation(
        api=Api.CHAT,
        model=body.get("model", ""),
        key=key,
        system="\n".join(system),
        prompts=tuple(prompts),
        said="\n".join(said),
        turns=turns,
        turns_since_prompt=since,
        results=tuple(results),
        tools=tuple(tool["function"]["name"] for tool in body.get("tools") or []),
        streamed=bool(body.get("stream")),
        body=body,
    )


def usage(tokens: Tokens) -> dict[str, Any]:
    return {
        "prompt_tokens": tokens.all_input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.all_input + tokens.output,
        "prompt_tokens_details": {"cached_tokens": tokens.cache_read},
    }


def events(turn: Turn, asked: Conversation) -> Iterator[Event]:
    """The stream of an answer; its usage only where it was asked for, as the real one does."""
    with_usage = (asked.body.get("stream_options") or {}).get("include_usage")
    head = _head(asked.model, "chat.completion.chunk")

    def chunk(delta: Mapping[str, Any], finish: str | None = None) -> Event:
        return None, {**head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]}

    yield chunk({"role": "assistant", "content": ""})
    tools = 0
    for block in turn.blocks:
        if isinstance(block, Text):
            yield from (chunk({"content": piece}) for piece in pieces(block.text))
            continue
        call = _call(block)
        arguments = call["function"]["arguments"]
        yield chunk({"tool_calls": [{"index": tools, **call, "function": {**call["function"], "arguments": ""}}]})
        for piece in pieces(arguments):
            yield chunk({"tool_calls": [{"index": tools, "function": {"arguments": piece}}]})
        tools += 1
    yield chunk({}, _finish(turn))
    if with_usage:
        yield None, {**head, "choices": [], "usage": usage(turn.tokens)}
    yield None, "[DONE]"


def whole(turn: Turn, asked: Conversation) -> dict[str, Any]:
    text = "".join(block.text for block in turn.blocks if isinstance(block, Text)) or None
    calls = [_call(block) for block in turn.blocks if isinstance(block, ToolUse)]
    message = {"role": "assistant", "content": text, "refusal": None, **({"tool_calls": calls} if calls else {})}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(turn)}
    return {**_head(asked.model, "chat.completion"), "choices": [choice], "usage": usage(turn.tokens)}


def error_event(reason: Reason) -> Event:
    _, kind, code, message = ERRORS[reason]
    return None, {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _head(model: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{uuid.uuid4().hex[:24]}", "object": kind, "created": 1_700_000_000, "model": model}


def _call(block: ToolUse) -> dict[str, Any]:
    arguments = block.input if isinstance(block.input, str) else json.dumps(block.input)
    called = {"name": block.name, "arguments": arguments}
    return {"id": f"call_{uuid.uuid4().hex[:24]}", "type": "function", "function": called}


def _finish(turn: Turn) -> str:
    stop = {"max_tokens": "length", "refusal": "content_filter"}.get(turn.stop or "", turn.stop)
    return stop or ("tool_calls" if turn.tool_calls else "stop")
