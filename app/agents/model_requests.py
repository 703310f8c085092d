"""What the model proxy reads of a request, and what it passes on of it: nothing whose cost it could not tell."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

BYTES_PER_TOKEN = 4
"""About so many bytes of text make a token; what is counted from it is an estimate."""

UNSEEN_SHARE = 4
UNSEEN_AT_MOST = 8_192
"""Tokens of output that an answer which was left may have cost beyond what was seen of it: a quarter of the most that
it was allowed, and never more than these (which are also taken where nothing was allowed expressly)."""

_DROPPED = ("speed", "service_tier", "inference_geo")
"""What makes a call dearer than its list price: fast modes, priority processing, a region that is paid for."""

_REFUSED = ("background", "mcp_servers", "container", "web_search_options", "prompt")
"""Answers that come when nobody listens, machines and tools at the API's side, and prompts that are kept there."""

_TOOLS = frozenset({"custom", "function", "local_shell", "shell", "apply_patch", "namespace", "tool_search"})
_TOOL_PREFIXES = (
    *("bash_", "text_editor_", "computer", "memory_", "tool_search_tool_"),
    *("web_search", "web_fetch_"),
)
"""Types of tools that the client runs, or whose cost an answer's usage tells: tokens, and the number of searches."""

_NOT_REASONING = ("gpt-3", "gpt-4", "claude-3-5", "claude-3-haiku", "claude-3-opus")
_DEPTH = 3


class Unfit(ValueError):
    """A request that is not passed on; the message is a sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What matters of a request. ``tokens`` is an estimate of its input, at least 1; ``body`` is what is sent on.

    ``unseen`` are the tokens that its answer may have cost beyond what was seen of it, should its client leave: a model
    that reasons does so unseen, and of an answer that is no stream nothing is seen before its end.
    """

    model: str
    streamed: bool
    tokens: int
    unseen: int
    body: bytes


def read_body(body: bytes, *, with_usage: bool) -> Asked:
    """The request; ``with_usage``: a stream is made to tell its usage, as Chat Completions does when asked to.

    It is written anew: of two fields with the same name, the API would perhaps read another one than was looked at.
    Raises Unfit for what is no request, and for what could not be priced.
    """
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or not isinstance(document.get("model"), str):
        raise Unfit("The request is no JSON object with a model.")
    for name in _DROPPED:
        document.pop(name, None)
    if unpriced := next((name for name in _REFUSED if document.get(name)), None):
        raise Unfit(f"The model proxy does not pass on {unpriced}: what that costs could not be counted.")
    for tool in _tools(document):
        if not _priced(tool):
            raise Unfit("The model proxy does not pass on tools of the API whose cost could not be counted.")
    streamed = document.get("stream") is True
    if streamed and with_usage:
        options = document.get("stream_options")
        document["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
    try:
        written = json.dumps(document, separators=(",", ":")).encode()
    except RecursionError:
        raise Unfit("The request is nested too deeply.") from None
    unseen = _most(document) if _reasons(document) or not streamed else 0
    tokens = 1 + len(body) // BYTES_PER_TOKEN
    return Asked(model=document["model"], streamed=streamed, tokens=tokens, unseen=unseen, body=written)


def _most(document: Mapping[str, Any]) -> int:
    named = (document.get(name) for name in ("max_tokens", "max_output_tokens", "max_completion_tokens"))
    allowed = [number for number in named if type(number) is int and number > 0]
    return min(max(allowed) // UNSEEN_SHARE, UNSEEN_AT_MOST) if allowed else UNSEEN_AT_MOST


def _reasons(document: Mapping[str, Any]) -> bool:
    """Whether the model may think before it writes: newer ones do, unless they are told not to."""
    thinking, reasoning = document.get("thinking"), document.get("reasoning")
    off = isinstance(thinking, dict) and thinking.get("type") == "disabled"
    off |= isinstance(reasoning, dict) and reasoning.get("effort") == "none"
    off |= document.get("reasoning_effort") == "none"
    return not off and not document["model"].lower().rpartition("/")[2].startswith(_NOT_REASONING)


def _tools(document: Mapping[str, Any]) -> Iterator[object]:
    """The tools of a request, also those that stand in a namespace or come with a piece of the input."""
    given = document.get("input")
    holders = [document, *(given if isinstance(given, list) else [])]
    for _ in range(_DEPTH):
        lists = [holder["tools"] for holder in holders if isinstance(holder, dict) and "tools" in holder]
        holders = [tool for tools in lists for tool in (tools if isinstance(tools, list) else [tools] if tools else [])]
        yield from holders


def _priced(tool: object) -> bool:
    if not isinstance(tool, dict):
        return False
    kind, place = tool.get("type"), tool.get("environment")
    if kind is None:
        return True
    here = place is None or (isinstance(place, dict) and place.get("type") == "local")
    return here and isinstance(kind, str) and (kind in _TOOLS or kind.startswith(_TOOL_PREFIXES))
