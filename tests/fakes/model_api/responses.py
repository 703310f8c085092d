"""OpenAI's Responses API: a request read, an answer written (https://platform.openai.com/docs/api-reference)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from tests.fakes.model_api.messages import Event
from tests.fakes.model_api.scenario import Api, Conversation, Reason, Text, Tokens, ToolResult, ToolUse, Turn
from tests.fakes.model_api.sides import added_by_program, pieces, text_of, turns_in

ERRORS: dict[Reason, tuple[int, str, str | None, str]] = {
    Reason.RATE_LIMIT: (429, "requests", "rate_limit_exceeded", "Rate limit reached for requests."),
    Reason.OVERLOADED: (503, "service_unavailable_error", "server_is_overloaded", "The server is overloaded."),
    Reason.SERVER_ERROR: (500, "server_error", None, "The server had an error while processing your request."),
    Reason.BAD_KEY: (401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    Reason.FORBIDDEN: (403, "invalid_request_error", None, "You are not allowed to sample from this model."),
    Reason.TOO_LONG: (
        400,
        "invalid_request_error",
        "context_length_exceeded",
        "Your input exceeds the context window of this model.",
    ),
    Reason.NO_CREDIT: (429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota."),
    Reason.UNKNOWN_MODEL: (404, "invalid_request_error", "model_not_found", "The model `none` does not exist."),
    Reason.INVALID: (400, "invalid_request_error", None, "Invalid value for 'input'."),
}

_CALLS = ("function_call", "custom_tool_call", "local_shell_call")


def conversation(body: Mapping[str, Any], key: str) -> Conversation:
    given = body.get("input", [])
    items = [{"type": "message", "role": "user", "content": given}] if isinstance(given, str) else given
    names: dict[str, str] = {}
    prompts, said, kinds = [], [], []
    system = [body.get("instructions") or ""]
    results: list[ToolResult] = []
    for item in items:
        kind, role = item.get("type", "message"), item.get("role")
        if kind.endswith("_output"):
            output = item.get("output")
            text = output if isinstance(output, str) else text_of(output)
            results.append(ToolResult(name=names.get(item.get("call_id", ""), ""), text=text))
            kinds.append("tools")
        elif kind in _CALLS or kind == "reasoning" or role == "assistant":
            names |= {item["call_id"]: item.get("name", "")} if kind in _CALLS else {}
            kinds.append("model")
            results = []
        elif role in ("system", "developer"):
            system.append(text_of(item.get("content")))
        else:
            said.append(text_of(item.get("content")))
            if not added_by_program(said[-1]):
                prompts.append(said[-1])
                kinds.append("prompt")
    turns, since = turns_in(kinds)
    return Conversation(
        api=Api.RESPONSES,
        model=body.get("model", ""),
        key=key,
        system="\n".join(system),
        prompts=tuple(prompts),
        said="\n".join(said),
        turns=turns,
        turns_since_prompt=since,
        results=tuple(results),
        tools=tuple(_offered(body)),
        streamed=bool(body.get("stream")),
        body=body,
    )


def _offered(body: Mapping[str, Any]) -> dict[str, str | None]:
    """The names of the tools with their namespaces. For its newer models Codex offers them in the input."""
    given = body.get("input")
    items = given if isinstance(given, list) else []
    more = [tool for item in items if item.get("type") == "additional_tools" for tool in item["tools"]]
    offered: dict[str, str | None] = {}
    for tool in [*(body.get("tools") or []), *more]:
        if tool["type"] == "namespace":
            offered |= {inner["name"]: tool["name"] for inner in tool["tools"]}
        else:
            offered[tool.get("name", tool["type"])] = None
    return offered


def usage(tokens: Tokens) -> dict[str, Any]:
    """OpenAI counts what was read from the cache, and written to it, as input too."""
    return {
        "input_tokens": tokens.all_input,
        "input_tokens_details": {
            "cached_tokens": tokens.cache_read,
            "cache_write_tokens": tokens.cache_write + tokens.cache_write_1h,
        },
        "output_tokens": tokens.output,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": tokens.all_input + tokens.output,
    }


def events(turn: Turn, asked: Conversation) -> Iterator[Event]:
    """The stream of an answer."""
    done = whole(turn, asked)
    begun = done | {"status": "in_progress", "output": [], "usage": None}
    numbered = enumerate(_steps(turn, begun, done))
    yield from ((step["type"], {**step, "sequence_number": number}) for number, step in numbered)


def _steps(turn: Turn, begun: dict[str, Any], done: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(done["output"]):
        yield {"type": "response.output_item.added", "output_index": index, "item": _empty(item)}
        yield from _content(item, index)
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    last = "response.incomplete" if done["status"] == "incomplete" else "response.completed"
    yield {"type": last, "response": done}


def _content(item: dict[str, Any], index: int) -> Iterator[dict[str, Any]]:
    place = {"item_id": item["id"], "output_index": index}
    if item["type"] == "message":
        part, place = item["content"][0], {**place, "content_index": 0}
        yield {"type": "response.content_part.added", **place, "part": {**part, "text": ""}}
        for piece in pieces(part["text"]):
            yield {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}
        yield {"type": "response.output_text.done", **place, "text": part["text"], "logprobs": []}
        yield {"type": "response.content_part.done", **place, "part": part}
        return
    field, name = ("input", "custom_tool_call_input")
    if item["type"] == "function_call":
        field, name = ("arguments", "function_call_arguments")
    for piece in pieces(item[field]):
        yield {"type": f"response.{name}.delta", **place, "delta": piece}
    yield {"type": f"response.{name}.done", **place, field: item[field]}


def whole(turn: Turn, asked: Conversation) -> dict[str, Any]:
    offered = _offered(asked.body)
    incomplete = {"reason": "max_output_tokens"} if turn.stop == "max_tokens" else None
    return {
        "id": f"resp_{uuid.uuid4().hex}",
        "object": "response",
        "created_at": 1_700_000_000,
        "status": "incomplete" if incomplete else "completed",
        "error": None,
        "incomplete_details": incomplete,
        "model": asked.model,
        "output": [_item(block, offered) for block in turn.blocks],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": usage(turn.tokens),
    }


def error(reason: Reason) -> tuple[int, dict[str, Any]]:
    status, kind, code, message = ERRORS[reason]
    return status, {"error": {"message": message, "type": kind, "param": None, "code": code}}


def error_event(reason: Reason) -> Event:
    _, kind, code, message = ERRORS[reason]
    failed: dict[str, Any] = {
        "id": "resp_failed",
        "object": "response",
        "status": "failed",
        "usage": None,
        "output": [],
    }
    failed["error"] = {"code": code or kind, "message": message}
    return "response.failed", {"type": "response.failed", "sequence_number": 99, "response": failed}


def _item(block: Text | ToolUse, offered: Mapping[str, str | None]) -> dict[str, Any]:
    if isinstance(block, Text):
        content = [{"type": "output_text", "annotations": [], "logprobs": [], "text": block.text}]
        item = {"type": "message", "status": "completed", "role": "assistant", "content": content}
        return {"id": f"msg_{uuid.uuid4().hex}", **item}
    call: dict[str, Any] = {"status": "completed", "call_id": f"call_{uuid.uuid4().hex[:24]}", "name": block.name}
    call |= {"namespace": offered[block.name]} if offered.get(block.name) else {}
    if isinstance(block.input, str):
        return {"id": f"ctc_{uuid.uuid4().hex}", "type": "custom_tool_call", **call, "input": block.input}
    return {"id": f"fc_{uuid.uuid4().hex}", "type": "function_call", **call, "arguments": json.dumps(block.input)}


def _empty(item: dict[str, Any]) -> dict[str, Any]:
    hollow: dict[str, Any] = {"content": []} if item["type"] == "message" else {"arguments": ""}
    hollow = {"input": ""} if item["type"] == "custom_tool_call" else hollow
    return {**item, **hollow, "status": "in_progress"}
