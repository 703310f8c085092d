"""What a scripted model is asked, what it answers, and how it fails: the same for every API that it is served by."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Api(StrEnum):
    MESSAGES = "messages"
    """Anthropic's."""

    RESPONSES = "responses"
    """OpenAI's newer one, which Codex uses."""

    CHAT = "chat"
    """OpenAI's older one, which every other program uses."""


@dataclass(frozen=True, kw_only=True)
class ToolResult:
    """What a tool said. ``name`` is the tool's, empty when the call is not in the conversation."""

    name: str
    text: str
    is_error: bool = False


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """A request, as a model sees it.

    ``prompts`` are the texts of the user, one for each time that somebody asked (a resumed session has several),
    without what the agent's program added by itself; ``said`` is all text of the user's side, with that. ``turns``
    counts the model's answers in it, ``turns_since_prompt`` those after the last prompt. ``results`` are what came back
    from the tools of the last answer. ``tools`` are the names of what is offered. ``key`` is the API key that came
    with it, ``body`` the request's JSON.
    """

    api: Api
    model: str
    key: str
    system: str
    prompts: tuple[str, ...]
    said: str
    turns: int
    turns_since_prompt: int
    results: tuple[ToolResult, ...]
    tools: tuple[str, ...]
    streamed: bool
    body: Mapping[str, Any] = field(repr=False)

    @property
    def prompt(self) -> str:
        """The first prompt: what the call was about."""
        return self.prompts[0] if self.prompts else ""

    @property
    def last_prompt(self) -> str:
        return self.prompts[-1] if self.prompts else ""

    @property
    def side(self) -> bool:
        """Asked by the program for itself (a title, say): it offers no tools."""
        return not self.tools


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """``input`` are those that no cache had. The two kinds of writing live five minutes and an hour."""

    input: int = 100
    output: int = 20
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0

    @property
    def all_input(self) -> int:
        return self.input + self.cache_read + self.cache_write + self.cache_write_1h


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class ToolUse:
    """A call of a tool; ``input`` is text for OpenAI's custom tools (Codex's ``apply_patch``)."""

    name: str
    input: Mapping[str, Any] | str = field(default_factory=dict)


@dataclass(frozen=True, init=False)
class Turn:
    """One answer: text and tool calls, in order. ``stop`` replaces the stop reason (``max_tokens``, ``refusal``)."""

    blocks: tuple[Text | ToolUse, ...]
    tokens: Tokens
    stop: str | None

    def __init__(self, *blocks: Text | ToolUse | str, tokens: Tokens | None = None, stop: str | None = None) -> None:
        object.__setattr__(self, "blocks", tuple(Text(b) if isinstance(b, str) else b for b in blocks))
        object.__setattr__(self, "tokens", tokens or Tokens())
        object.__setattr__(self, "stop", stop)

    @property
    def tool_calls(self) -> int:
        return sum(isinstance(block, ToolUse) for block in self.blocks)


class Reason(StrEnum):
    """Why an API refuses; the status, type and words are each API's own."""

    RATE_LIMIT = "rate limit"
    OVERLOADED = "overloaded"
    SERVER_ERROR = "server error"
    BAD_KEY = "bad key"
    FORBIDDEN = "forbidden"
    TOO_LONG = "prompt too long"
    NO_CREDIT = "no credit"
    UNKNOWN_MODEL = "unknown model"
    INVALID = "invalid request"


@dataclass(frozen=True)
class Refusal:
    """An error instead of an answer. ``retry_after`` in seconds, as the header of that name."""

    reason: Reason
    retry_after: int | None = None


@dataclass(frozen=True)
class Cut:
    """A stream whose connection is closed after half of its events (a body that ends early where none is asked)."""

    turn: Turn = field(default_factory=lambda: Turn("This is never read to its end."))


@dataclass(frozen=True)
class ErrorInStream:
    """A stream that turns into an error event in its middle, after a status of 200."""

    turn: Turn = field(default_factory=lambda: Turn("This is never read to its end."))
    reason: Reason = Reason.OVERLOADED


@dataclass(frozen=True)
class Hang:
    """Half of the events, then nothing until ``until`` is set (then the rest), the client leaves, or the API closes."""

    turn: Turn = field(default_factory=lambda: Turn("This takes long."))
    until: threading.Event | None = None


@dataclass(frozen=True)
class Flood:
    """A text of so many bytes, in pieces of 64 KB."""

    size: int
    tokens: Tokens = field(default_factory=Tokens)

    @property
    def turn(self) -> Turn:
        return Turn(Text("x" * self.size), tokens=self.tokens)


Reply = Turn | Refusal | Cut | ErrorInStream | Hang | Flood
Scenario = Callable[[Conversation], Reply]


def script(*replies: Reply) -> Scenario:
    """The reply for the number of answers that the conversation has, the last one from there on."""
    return lambda conversation: replies[min(conversation.turns, len(replies) - 1)]


def in_order(*replies: Reply) -> Scenario:
    """One reply after the other whatever is asked, the last one from there on."""
    lock, left = threading.Lock(), list(replies)

    def next_one(_: Conversation) -> Reply:
        with lock:
            return left.pop(0) if len(left) > 1 else left[0]

    return next_one
