"""Anthropic's Messages API: a request read, an answer written (https://docs.anthropic.com/en/api/messages)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from tests.fakes.model_api.scenario import Api, Conversation, Reason, Text, Tokens, ToolResult, ToolUse, Turn
from tests.fakes.model_api.sides import added_by_program, pieces, text_of, turns_in

Event = tuple[str | None, Mapping[str, Any] | str]

ERRORS: dict[Reason, tuple[int, str, str]] = {
    Reason.RATE_LIMIT: (429, "rate_limit_error", "This request would exceed your account's rate limit."),
    Reason.OVERLOADED: (529, "overloaded_error", "Overloaded"),
    Reason.SERVER_ERROR: (500, "api_error", "Internal server error"),
    Reason.BAD_KEY: (401, "authentication_error", "invalid x-api-key"),
    Reason.FORBIDDEN: (403, "permission_error", "Your API key may not use this resource."),
    Reason.TOO_LONG: (400, "invalid_request_error", "prompt is too long: 212345 tokens > 200000 maximum"),
    Reason.NO_CREDIT: (
        400,
        "invalid_request_error",
        "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing.",
    ),
    Reason.UNKNOWN_MODEL: (404, "not_found_error", "model: no-such-model"),
    Reason.INVALID: (400, "invalid_request_error", "messages: at least one message is required"),
}


def conversation(body: Mapping[str, Any], key: str) -> Conversation:
    names: dict[str, str] = {}
    prompts, said, kinds, system = [], [], [], [text_of(body.get("system"))]
    results: list[ToolResult] = []
    for message in body.get("messages", []):
        blocks = message["content"]
        blocks = [{"type": "text", "text": blocks}] if isinstance(blocks, str) else blocks
        if message["role"] == "system":  # in the middle of a conversation, as Claude Code does
            system.append(text_of(blocks))
            continue
        if message["role"] == "assistant":
            names |= {block["id"]: block["name"] for block in blocks if block["type"] == "tool_use"}
            kinds.append("model")
            results = []
            continue
        results = [
            ToolResult(
                name=names.get(block["tool_use_id"], ""),
                text=text_of(block.get("content")),
                is_error=bool(block.get("is_error")),
            )
            for block in blocks
            if block["type"] == "tool_result"
        ] or results
        said += [text_of(blocks)]
        texts = [b["text"] for b in blocks if b["type"] == "text" and not added_by_program(b["text"])]
        asked = bool(texts) and not any(block["type"] == "tool_result" for block in blocks)
        prompts += ["\n".join(texts)] if asked else []
        kinds.append("prompt" if asked else "tools")
    turns, since = turns_in(kinds)
    return Conversation(
        api=Api.MESSAGES,
        model=body.get("model", ""),
        key=key,
        system="\n".join(system),
        prompts=tuple(prompts),
        said="\n".join(said),
        turns=turns,
        turns_since_prompt=since,
        results=tuple(results),
        tools=tuple(tool["name"] for tool in body.get("tools") or []),
        streamed=bool(body.get("stream")),
        body=body,
    )


def usage(tokens: Tokens, output: int) -> dict[str, Any]:
    return {
        "input_tokens": tokens.input,
        "cache_creation_input_tokens": tokens.cache_write + tokens.cache_write_1h,
        "cache_read_input_tokens": tokens.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": tokens.cache_write,
            "ephemeral_1h_input_tokens": tokens.cache_write_1h,
        },
        "output_tokens": output,
        "service_tier": "standard",
    }


def events(turn: Turn, asked: Conversation) -> Iterator[Event]:
    """The stream of an answer."""
    message = _message(turn, asked) | {"content": [], "stop_reason": None, "usage": usage(turn.tokens, 1)}
    yield "message_start", {"type": "message_start", "message": message}
    for index, block in enumerate(turn.blocks):
        whole = _block(block)
        if isinstance(block, Text):
            empty: dict[str, Any] = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": piece} for piece in pieces(block.text)]
        else:
            empty = whole | {"input": {}}
            written = json.dumps(whole["input"])
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces(written)]
        yield "content_block_start", {"type": "content_block_start", "index": index, "content_block": empty}
        if index == 0:
            yield "ping", {"type": "ping"}
        for delta in deltas:
            yield "content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta}
        yield "content_block_stop", {"type": "content_block_stop", "index": index}
    end = {"stop_reason": _stop(turn), "stop_sequence": None}
    yield "message_delta", {"type": "message_delta", "delta": end, "usage": {"output_tokens": turn.tokens.output}}
    yield "message_stop", {"type": "message_stop"}


def whole(turn: Turn, asked: Conversation) -> dict[str, Any]:
    return _message(turn, asked)


def error(reason: Reason) -> tuple[int, dict[str, Any]]:
    status, kind, message = ERRORS[reason]
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": f"req_{uuid.uuid4().hex[:24]}"}
    return status, body


def error_event(reason: Reason) -> Event:
    return "error", {"type": "error", "error": error(reason)[1]["error"]}


def _message(turn: Turn, asked: Conversation) -> dict[str, Any]:
    return {
        "id": f"msg_{uuid.uuid4().hex[:24]}",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": [_block(block) for block in turn.blocks],
        "stop_reason": _stop(turn),
        "stop_sequence": None,
        "usage": usage(turn.tokens, turn.tokens.output),
    }


def _block(block: Text | ToolUse) -> dict[str, Any]:
    if isinstance(block, Text):
        return {"type": "text", "text": block.text}
    return {"type": "tool_use", "id": f"toolu_{uuid.uuid4().hex[:24]}", "name": block.name, "input": block.input}


def _stop(turn: Turn) -> str:
    return turn.stop or ("tool_use" if turn.tool_calls else "end_turn")
