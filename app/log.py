"""Logging for people on stderr, and the one filter that keeps secrets out of every text that leaves Mason."""

from __future__ import annotations

import base64
import dataclasses
import json
import logging
import re
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any, TextIO, TypeVar
from urllib.parse import quote, quote_plus

MASK = "***"

SHORTEST_SECRET = 6
"""Shorter secrets are not masked: they are part of too many innocent words."""

Value = TypeVar("Value")


class Redactor:
    """Replaces secrets by ``***``: plain, URL-encoded, JSON-escaped and in base64, also inside a longer base64.

    Usable from any thread. What it learns later is known at once to everything that holds it. ``most`` learned secrets
    are kept, those that were learned last: in a web app tokens come by the hour, and end by the hour.
    """

    def __init__(self, secrets: Iterable[str], *, most: int = 1_000) -> None:
        self._given = {form for secret in secrets for form in _forms(secret)}
        self._learned: dict[str, frozenset[str]] = {}
        self._most = most
        self._learning = threading.Lock()
        self._longest_first = _in_order(self._given)

    def learn(self, secret: str) -> None:
        """One more secret, made while Mason runs (an installation token, say). Tell it before anybody else."""
        with self._learning:
            known = self._learned.pop(secret, None)
            self._learned[secret] = known or frozenset(_forms(secret))
            while len(self._learned) > self._most:
                del self._learned[next(iter(self._learned))]
            if known is None:
                self._longest_first = _in_order(self._given.union(*self._learned.values()))

    def text(self, text: str) -> str:
        # One search after the other: to compile a pattern of all of them takes longer than to fetch a token.
        for form in self._longest_first:
            if form in text:
                text = text.replace(form, MASK)
        return text

    def value(self, value: Value) -> Value:
        """The same value with every string in it redacted: see ``map_text`` for what is looked into."""
        return map_text(value, self.text) if self._longest_first else value


def _in_order(forms: Iterable[str]) -> tuple[str, ...]:
    """The longest first, so that what is part of a longer one leaves nothing of that."""
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))


def map_text(value: Value, change: Callable[[str], str]) -> Value:
    """A copy of ``value`` in which ``change`` was applied to every string, at any depth.

    Looks into mappings (keys too), lists, tuples, sets, dataclasses and paths; everything else stays as it is, enum
    members among it.
    """
    mapped: Any = value
    match value:
        case Enum():
            pass
        case str():
            mapped = change(value)
        case PurePath():
            mapped = type(value)(change(str(value)))
        case Mapping():
            mapped = {map_text(key, change): map_text(inner, change) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            mapped = type(value)([map_text(inner, change) for inner in value])
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            mapped = dataclasses.replace(value, **_changed_fields(value, change))
    return mapped  # type: ignore[no-any-return]


def _changed_fields(record: object, change: Callable[[str], str]) -> dict[str, object]:
    """The fields of a dataclass that are different after the change."""
    fields = [field.name for field in dataclasses.fields(record) if field.init]  # type: ignore[arg-type]
    before = {name: getattr(record, name) for name in fields}
    after = {name: map_text(value, change) for name, value in before.items()}
    return {name: value for name, value in after.items() if value != before[name]}


def _forms(secret: str) -> set[str]:
    """Every form in which a secret is looked for. The lines of a long one (a private key) are secrets of their own."""
    parts = {secret, secret.strip(), *(line.strip() for line in secret.splitlines())}
    return {
        form
        for part in parts
        if len(part) >= SHORTEST_SECRET
        for form in (part, *_json_forms(part), *_url_forms(part), *_base64_forms(part))
        if len(form) >= SHORTEST_SECRET
    }


def _json_forms(secret: str) -> tuple[str, ...]:
    return json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]


def _url_forms(secret: str) -> tuple[str, ...]:
    octets = secret.encode(errors="surrogatepass")
    encoded = (quote(octets, safe=""), quote(octets), quote_plus(octets))
    return encoded + tuple(re.sub("%..", lambda escape: escape[0].lower(), form) for form in encoded)


def _base64_forms(secret: str) -> tuple[str, ...]:
    """The base64 of the secret, and the part of it that stands in the base64 of any longer text that contains it.

    Three bytes make four characters, so that part depends on the secret's offset modulo 3 (``user:secret`` in an
    Authorization header, say); characters that mix with the neighbours' bits are left out.
    """
    octets = secret.encode(errors="surrogatepass")
    forms = [base64.b64encode(octets).decode()]
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + octets).decode()
        first, last = -(-8 * offset // 6), 8 * (offset + len(octets)) // 6
        forms.append(encoded[first:last])
    return (*forms, *(form.translate(str.maketrans("+/", "-_")) for form in forms))


class RedactingFilter(logging.Filter):
    """Lets every record pass, without the secrets in its message, traceback and stack."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._redactor.text(_message(record)), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        # Without exc_info no later handler can write the traceback again from its source.
        record.exc_info = None
        record.exc_text = self._redactor.text(record.exc_text) if record.exc_text else None
        record.stack_info = self._redactor.text(record.stack_info) if record.stack_info else None
        return True


def set_up_logging(redactor: Redactor, *, level: int = logging.WARNING, stream: TextIO | None = None) -> None:
    """Plain lines on ``stream`` (stderr) from ``level`` on, every handler of the root redacted.

    Calling it again replaces what it did before: the secrets are known only once the settings are read.
    """
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _PlainHandler)]:
        root.removeHandler(handler)
    handler = _PlainHandler(stream or sys.stderr)
    handler.setFormatter(_PlainFormatter("%(levelname)s: %(message)s"))
    root.addHandler(handler)
    root.setLevel(level)
    logging.getLogger("markdown_it").setLevel(logging.WARNING)  # it tells every step of its parser
    for each in root.handlers:
        for earlier in [one for one in each.filters if isinstance(one, RedactingFilter)]:
            each.removeFilter(earlier)
        each.addFilter(RedactingFilter(redactor))


def _message(record: logging.LogRecord) -> str:
    """Filters run before logging's own guard: a call with the wrong arguments must not stop who logs."""
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return f"{record.msg} {record.args!r}"


def printable(text: str) -> str:
    """One line in which no character does anything to a terminal: rows and outputs come from strangers."""
    return "".join(char if char.isprintable() else " " if char.isspace() else "\ufffd" for char in text)


class _PlainFormatter(logging.Formatter):
    """A record is one line, whatever its message holds; only its traceback has lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        return printable(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(printable(line) for line in super().format(record).split("\n"))


class _PlainHandler(logging.StreamHandler[TextIO]):
    """The handler that ``set_up_logging`` made, told apart from those of others."""
