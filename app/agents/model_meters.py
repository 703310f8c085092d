"""Meters: what an answer of a model's API used, read while it passes by. An answer may be anything."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

from app.agents.prices import Tokens
from app.log import printable

LONGEST_LINE = 8 * 1024 * 1024
"""Bytes of a line of a stream that are looked at; what a longer one says is not counted (but passed on)."""

MOST_TOKENS = 100_000_000
"""A count above it is no count: the answer's usage is then estimated."""

_MOST_CALLS = 10_000


class Meter(ABC):
    """Reads one answer: ``feed`` takes the pieces of a stream, ``read`` a whole body.

    ``done`` is set once the answer has said that it is complete, ``error`` when it turned into an error (its type, code
    and message), ``model`` is what the API says has answered, and ``tool_calls`` are counted.
    """

    def __init__(self) -> None:
        self.done = False
        self.error: Mapping[str, str] | None = None
        self.model = ""
        self.tool_calls = 0
        self._counts: dict[str, int] = {}
        self._final = False
        """Whether the usage was told by the answer's end: before that, output is estimated."""
        self._finished = False
        """Whether the model has stopped, be it that the API has not said so at last (``[DONE]``)."""
        self._written = 0
        """Bytes of what the model wrote."""
        self._pending = bytearray()
        self._skipping = False

    def feed(self, piece: bytes) -> None:
        """The next bytes of a stream of server-sent events."""
        for data in self._lines(piece):
            if data == b"[DONE]":
                self.done = True
                continue
            document = _document(data)
            if document is not None:
                self._event(document)

    def read(self, body: bytes) -> None:
        """The body of an answer that is no stream."""
        document = _document(body)
        if document is None:
            self._written += len(body)
            return
        self._whole(document)
        self.done = self.error is None

    def end(self) -> None:
        """The stream has come to its end as a stream, which some servers take for enough."""
        self.done |= self._finished and self.error is None

    def tokens(self, asked: int, unseen: int = 0) -> Tokens:
        """What was used. Where the answer did not say (cut off, or nonsense) it is estimated, and never nothing:
        ``asked`` for the input, for the output what was written and ``unseen``.
        """
        counts = self._counts
        output = counts.get("output")
        if output is None or not self._final:
            output = max(output or 0, self._written // 4, 1) + unseen
        read, write, hour = (counts.get(name, 0) for name in ("cache_read", "cache_write", "cache_write_1h"))
        plain = counts.get("input")
        if plain is None or not (plain or read or write or hour):
            plain = asked
        return Tokens(
            input=plain,
            output=output,
            cache_read=read,
            cache_write=write,
            cache_write_1h=hour,
            searches=min(counts.get("searches", 0), _MOST_CALLS),
        )

    @abstractmethod
    def _event(self, event: Mapping[str, Any]) -> None: ...

    @abstractmethod
    def _whole(self, document: Mapping[str, Any]) -> None: ...

    def _lines(self, piece: bytes) -> Iterator[bytes]:
        """What stands behind ``data:`` in the lines that end in this piece."""
        at = 0
        while (end := piece.find(b"\n", at)) >= 0:
            line = piece[at:end]
            at = end + 1
            if self._pending or self._skipping:
                self._pending += line
                line, self._pending = bytes(self._pending), bytearray()
                if self._skipping:
                    self._skipping = False
                    continue
            if line.startswith(b"data:"):
                yield line[5:].strip()
        self._pending += piece[at:]
        if len(self._pending) > LONGEST_LINE:
            self._pending, self._skipping = bytearray(), True

    def _count(self, **counts: object) -> None:
        """Take over counts. They only grow: a usage is told cumulatively, and some gateways end with zeros."""
        for name, value in counts.items():
            if (number := _number(value)) is not None:
                self._counts[name] = max(self._counts.get(name, 0), number)

    def _named(self, model: object) -> None:
        if isinstance(model, str) and model:
            self.model = model[:200]

    def _failed(self, error: object) -> None:
        told = error if isinstance(error, dict) else {}
        texts = {name: told.get(name) for name in ("type", "code", "message")}
        self.error = {n: printable(t[:300]).strip() if isinstance(t, str) else "" for n, t in texts.items()}

    def _called(self, number: int = 1) -> None:
        self.tool_calls = min(self.tool_calls + number, _MOST_CALLS)


class MessagesMeter(Meter):
    """Anthropic's Messages API: usage comes with ``message_start`` and, cumulatively, with ``message_delta``."""

    def _event(self, event: Mapping[str, Any]) -> None:
        match event.get("type"):
            case "message_start":
                message = _mapping(event.get("message"))
                self._named(message.get("model"))
                self._usage(message.get("usage"))
            case "content_block_start":
                self._called(_mapping(event.get("content_block")).get("type") == "tool_use")
            case "content_block_delta":
                delta = _mapping(event.get("delta"))
                names = ("text", "partial_json", "thinking", "signature")
                self._written += sum(_length(delta.get(name)) for name in names)
            case "message_delta":
                self._usage(event.get("usage"))
                self._final = _number(_mapping(event.get("usage")).get("output_tokens")) is not None
            case "message_stop":
                self.done = True
            case "error":
                self._failed(event.get("error"))

    def _whole(self, document: Mapping[str, Any]) -> None:
        if document.get("type") == "error":
            self._failed(document.get("error"))
            return
        self._named(document.get("model"))
        self._usage(document.get("usage"))
        self._final = "output" in self._counts
        for block in _sequence(document.get("content")):
            self._called(_mapping(block).get("type") == "tool_use")
            self._written += _length(_mapping(block).get("text"))

    def _usage(self, given: object) -> None:
        usage = _mapping(given)
        kinds = _mapping(usage.get("cache_creation"))
        hour = _number(kinds.get("ephemeral_1h_input_tokens")) or 0
        minutes = _number(kinds.get("ephemeral_5m_input_tokens")) or 0
        written = _number(usage.get("cache_creation_input_tokens")) or 0
        self._count(
            input=usage.get("input_tokens"),
            output=usage.get("output_tokens"),
            cache_read=usage.get("cache_read_input_tokens"),
            cache_write=max(written - hour, minutes),
            cache_write_1h=hour,
            searches=_mapping(usage.get("server_tool_use")).get("web_search_requests"),
        )


class _OpenAiMeter(Meter):
    """OpenAI's two APIs count what the cache gave, and what was written to it, as input too."""

    def _openai_usage(self, given: object, into: str, out: str) -> None:
        usage = _mapping(given)
        details = _mapping(usage.get(f"{into}_details"))
        total, output = _number(usage.get(into)), _number(usage.get(out))
        read = min(_number(details.get("cached_tokens")) or 0, total or 0)
        write = min(_number(details.get("cache_write_tokens")) or 0, (total or 0) - read)
        self._count(input=None if total is None else total - read - write, cache_read=read, cache_write=write)
        self._count(output=output)
        self._final |= output is not None


class ResponsesMeter(_OpenAiMeter):
    """OpenAI's Responses API: the last event carries the whole response with its usage."""

    _CALLS = ("function_call", "custom_tool_call", "local_shell_call")
    _ENDS = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")

    def _event(self, event: Mapping[str, Any]) -> None:
        kind, response = event.get("type"), _mapping(event.get("response"))
        if kind == "error":
            self._failed(event.get("error") or event)
        elif kind == "response.output_item.done":
            self._item(event.get("item"))
        elif kind in self._ENDS:
            calls, searches = self.tool_calls, self._counts.get("searches", 0)
            self.tool_calls = self._counts["searches"] = 0
            self._whole(response)
            self.tool_calls = max(self.tool_calls, calls)
            self._counts["searches"] = max(self._counts["searches"], searches)
            if kind == "response.failed" and self.error is None:
                self._failed(response.get("error"))
            self.done = self.error is None
        elif isinstance(kind, str) and kind.endswith(".delta"):
            self._written += _length(event.get("delta"))
        else:
            self._named(response.get("model"))

    def _whole(self, document: Mapping[str, Any]) -> None:
        self._named(document.get("model"))
        self._openai_usage(document.get("usage"), "input_tokens", "output_tokens")
        if document.get("error"):
            self._failed(document["error"])
        for item in _sequence(document.get("output")):
            self._item(item)

    def _item(self, given: object) -> None:
        kind = _mapping(given).get("type")
        self._called(kind in self._CALLS)
        if kind == "web_search_call":
            self._counts["searches"] = self._counts.get("searches", 0) + 1


class ChatMeter(_OpenAiMeter):
    """OpenAI's Chat Completions API: usage comes with the last chunk, when it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[tuple[int, int]] = set()

    def _event(self, event: Mapping[str, Any]) -> None:
        self._named(event.get("model"))
        if event.get("error"):
            self._failed(event["error"])
        if event.get("usage"):
            self._openai_usage(event["usage"], "prompt_tokens", "completion_tokens")
        for choice in _sequence(event.get("choices")):
            self._choice(_mapping(choice))

    def _choice(self, choice: Mapping[str, Any]) -> None:
        delta = _mapping(choice.get("delta"))
        self._finished |= bool(choice.get("finish_reason"))
        names = ("content", "reasoning_content", "reasoning", "refusal")
        self._written += sum(_length(delta.get(name)) for name in names)
        for call in map(_mapping, _sequence(delta.get("tool_calls"))):
            self._written += _length(_mapping(call.get("function")).get("arguments"))
            place = (_number(choice.get("index")) or 0, _number(call.get("index")) or 0)
            if place not in self._seen and len(self._seen) < _MOST_CALLS:
                self._seen.add(place)
                self._called()

    def _whole(self, document: Mapping[str, Any]) -> None:
        self._named(document.get("model"))
        if document.get("error"):
            self._failed(document["error"])
        self._openai_usage(document.get("usage"), "prompt_tokens", "completion_tokens")
        for choice in _sequence(document.get("choices")):
            message = _mapping(_mapping(choice).get("message"))
            self._written += _length(message.get("content"))
            self._called(len(_sequence(message.get("tool_calls"))))


def _document(data: bytes) -> Mapping[str, Any] | None:
    try:
        document: Any = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _sequence(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _length(value: object) -> int:
    return len(value.encode("utf-8", "replace")) if isinstance(value, str) else 0


def _number(value: object) -> int | None:
    """A count of tokens, None for what cannot be one."""
    return value if type(value) is int and 0 <= value <= MOST_TOKENS else None
