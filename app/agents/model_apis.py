"""The APIs that the model proxy speaks: their paths, what it reads of a request, and errors in their shapes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

from app.agents.model_access import TroubleKind
from app.agents.model_meters import ChatMeter, MessagesMeter, Meter, ResponsesMeter
from app.agents.model_requests import Asked, read_body
from app.log import printable

LONGEST_WAIT = 24 * 3600.0

_NO_CREDIT = ("insufficient_quota", "billing_error", "billing_hard_limit_reached", "credit balance is too low")
_TOO_LONG = ("prompt is too long", "context_length_exceeded", "context window", "maximum context length")
_SPENT = ("credit_balance_exhausted", "enforced_spend_limit_reached", "spend limit")

_STATUS_OF: Mapping[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "invalid_prompt": 400,
}
"""What an error that comes in the middle of a stream would have had as its status; 500 for others."""


class Provider(StrEnum):
    ANTHROPIC = "anthropic"
    OPENAI = "openai"


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """A path of an API. ``upstream`` is relative to the base URL; ``meter`` None: a call that costs nothing."""

    provider: Provider
    upstream: str
    meter: Callable[[], Meter] | None


ENDPOINTS: Mapping[str, Endpoint] = {
    "/v1/messages": Endpoint(provider=Provider.ANTHROPIC, upstream="/v1/messages", meter=MessagesMeter),
    "/v1/messages/count_tokens": Endpoint(
        provider=Provider.ANTHROPIC, upstream="/v1/messages/count_tokens", meter=None
    ),
    "/v1/responses": Endpoint(provider=Provider.OPENAI, upstream="/responses", meter=ResponsesMeter),
    "/v1/chat/completions": Endpoint(provider=Provider.OPENAI, upstream="/chat/completions", meter=ChatMeter),
}


def read_request(body: bytes, endpoint: Endpoint) -> Asked:
    """The request. Raises Unfit, which says why it is not passed on."""
    return read_body(body, with_usage=endpoint.meter is ChatMeter)


def error_body(provider: Provider, kind: str, message: str) -> bytes:
    """An error as the API itself would write it."""
    if provider is Provider.ANTHROPIC:
        return json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": kind}}).encode()


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiTrouble:
    """What went wrong with a call, in a sentence. ``status`` is the API's, 0: none came; ``retry_after`` in seconds."""

    kind: TroubleKind
    sentence: str
    status: int = 0
    retry_after: float | None = None


def refused(status: int, body: bytes, retry_after: float | None, model: str) -> ApiTrouble:
    """The trouble that an answer other than 200 tells of; its body may be anything."""
    return _trouble(status, *_said(body), retry_after, model)


def failed_in_stream(error: Mapping[str, str], model: str) -> ApiTrouble:
    """The trouble that an error event tells of (`Meter.error`)."""
    kinds = f"{error['type']} {error['code']}"
    status = next((status for name, status in _STATUS_OF.items() if name in kinds.split()), 500)
    return _trouble(status, kinds, error["message"], None, model)


def _trouble(status: int, kinds: str, message: str, retry_after: float | None, model: str) -> ApiTrouble:
    said = f": {message}" if message else ""
    model = printable(model[:100])
    words = f"{kinds} {message}".lower()
    if status == 402 or any(word in words for word in (*_NO_CREDIT, *_SPENT)):
        kind, sentence = TroubleKind.REFUSED, f"The account at the model's API is out of credit{said}"
    elif status in (401, 403):
        kind, sentence = TroubleKind.REFUSED, f"The model's API refuses the key ({status}){said}"
    elif status == 404:
        kind, sentence = TroubleKind.REFUSED, f"The model's API does not know the model {model}{said}"
    elif status == 413 or (status < 500 and any(word in words for word in _TOO_LONG)):
        kind, sentence = TroubleKind.TOO_LONG, f"The prompt is too long for the model {model}{said}"
    elif status in (408, 409, 429) or status >= 500:
        what = "asks for patience" if status == 429 else "is overloaded" if status in (503, 529) else "failed"
        kind, sentence = TroubleKind.TRANSIENT, f"The model's API {what} ({status}){said}"
    else:
        kind, sentence = TroubleKind.INVALID, f"The model's API did not accept the request ({status}){said}"
    return ApiTrouble(kind=kind, sentence=sentence, status=status, retry_after=retry_after)


def _said(body: bytes) -> tuple[str, str]:
    """The type and code, and the message, of an error's body."""
    try:
        document: Any = json.loads(body[:100_000])
    except (ValueError, RecursionError):
        return "", ""
    error = document.get("error") if isinstance(document, dict) else None
    if not isinstance(error, dict):
        return "", ""
    kinds = " ".join(error[name][:100] for name in ("type", "code") if isinstance(error.get(name), str))
    message = error.get("message")
    return kinds, printable(message[:300]).strip() if isinstance(message, str) else ""


def seconds_to_wait(retry_after: str | None, now: float) -> float | None:
    """The header ``Retry-After`` as seconds from ``now`` (Unix time): a number or a date; None when it is neither."""
    text = (retry_after or "").strip()[:64]
    if text.replace(".", "", 1).isascii() and text.replace(".", "", 1).isdigit():
        return min(float(text), LONGEST_WAIT)
    try:
        return min(max(parsedate_to_datetime(text).timestamp() - now, 0.0), LONGEST_WAIT)
    except (ValueError, TypeError, OverflowError):
        return None
