"""The redactor, and logging for people."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.log import MASK, Redactor, map_text, set_up_logging

SECRET = "s3cr3t/key+with spaces&ünïcode"


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    name: str
    inner: object = None


class Colour(StrEnum):
    RED = "redacted-word"


def test_redactor__plain_and_encoded_forms() -> None:
    redactor = Redactor([SECRET])
    for form in (
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        quote(SECRET, safe="").lower(),
        json.dumps(SECRET)[1:-1],
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
    ):
        assert redactor.text(f"before {form} after") == f"before {MASK} after"


@pytest.mark.parametrize("user", ["", "x", "me", "you", "x-access-token"])
def test_redactor__base64_of_a_longer_text(user: str) -> None:
    token = "ghs_abcdefghijklmnop"
    header = base64.b64encode(f"{user}:{token}:x".encode()).decode()
    redacted = Redactor([token]).text(f"Authorization: Basic {header}")
    before, after = redacted.removeprefix("Authorization: Basic ").split(MASK)
    assert header.startswith(before)
    assert header.endswith(after)
    # Only the characters at the ends, which mix the token's bits with its neighbours', may stand.
    hidden = len(header) - len(before) - len(after)
    assert hidden >= len(token) * 4 // 3 - 2


def test_redactor__short_and_empty_secrets_are_ignored() -> None:
    assert Redactor(["", "a", "12345", "     "]).text("a 12345 text") == "a 12345 text"


def test_redactor__the_longer_of_two_secrets_wins() -> None:
    assert Redactor(["secret", "secret-longer"]).text("secret-longer") == MASK


def test_redactor__every_line_of_a_key_is_a_secret() -> None:
    redactor = Redactor(["-----BEGIN KEY-----\nMIIEvQIBADAN\n-----END KEY-----\n"])
    assert redactor.text("found MIIEvQIBADAN in a log") == f"found {MASK} in a log"


def test_redactor__looks_into_records_paths_and_collections() -> None:
    redactor = Redactor(["redacted-word"])
    value = Record(
        name="redacted-word",
        inner={"redacted-word": [Path("/x/redacted-word/y"), ("redacted-word", 1)], "set": {"redacted-word"}},
    )
    assert redactor.value(value) == Record(name=MASK, inner={MASK: [Path(f"/x/{MASK}/y"), (MASK, 1)], "set": {MASK}})


def test_redactor__enum_members_stay_what_they_are() -> None:
    assert Redactor(["redacted-word"]).value([Colour.RED])[0] is Colour.RED


nested = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from([f"x{SECRET}", quote(SECRET), SECRET * 2]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just(SECRET), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@given(nested)
def test_redactor__never_leaks_across_nested_values(value: object) -> None:
    dumped = json.dumps(Redactor([SECRET]).value(value), ensure_ascii=False)
    assert SECRET not in dumped
    assert quote(SECRET) not in dumped


@given(st.text(st.sampled_from("abc"), min_size=6, max_size=9), st.text(st.sampled_from("abc"), max_size=40))
def test_redactor__no_secret_survives_in_any_text(secret: str, text: str) -> None:
    assert secret not in Redactor([secret]).text(text)


@given(nested)
def test_map_text__changes_nothing_but_text(value: object) -> None:
    assert map_text(value, lambda text: text) == value


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    logger = logging.getLogger()
    handlers, level, filters = list(logger.handlers), logger.level, [list(h.filters) for h in logger.handlers]
    yield logger
    logger.handlers, logger.level = handlers, level
    for handler, own in zip(handlers, filters, strict=True):
        handler.filters = own


def test_set_up_logging__redacts_messages_arguments_and_tracebacks(root: logging.Logger) -> None:
    stream, other = io.StringIO(), io.StringIO()
    root.addHandler(logging.StreamHandler(other))
    set_up_logging(Redactor(["secret-token"]), stream=stream)
    log = logging.getLogger("mason.test")
    log.warning("pushing with %s", "secret-token")
    try:
        raise ValueError("secret-token is wrong")
    except ValueError:
        log.exception("failed", stack_info=True)
    assert stream.getvalue().startswith(f"WARNING: pushing with {MASK}\nERROR: failed\n")
    assert f"ValueError: {MASK} is wrong" in stream.getvalue()
    assert "secret-token is" not in stream.getvalue() + other.getvalue()
    assert f"pushing with {MASK}" in other.getvalue()


def test_set_up_logging__again_replaces_the_handler_and_the_secrets(root: logging.Logger) -> None:
    first, second = io.StringIO(), io.StringIO()
    set_up_logging(Redactor([]), stream=first)
    set_up_logging(Redactor(["secret-token"]), stream=second)
    logging.getLogger("mason.test").error("secret-token")
    assert (first.getvalue(), second.getvalue()) == ("", f"ERROR: {MASK}\n")


def test_set_up_logging__wrong_arguments_stop_nobody(root: logging.Logger) -> None:
    stream = io.StringIO()
    set_up_logging(Redactor(["secret-token"]), stream=stream)
    logging.getLogger("mason.test").warning("%d items", "secret-token")
    assert stream.getvalue() == f"WARNING: %d items ('{MASK}',)\n"


def test_set_up_logging__nothing_in_a_message_reaches_the_terminal(root: logging.Logger) -> None:
    stream = io.StringIO()
    set_up_logging(Redactor([]), stream=stream)
    log = logging.getLogger("mason.test")
    log.warning("%s", "title\x1b[2J\x07\r\nERROR: forged \u202e“é”")
    try:
        raise ValueError("\x1b]0;owned\x07")
    except ValueError:
        log.exception("failed")
    first, *rest = stream.getvalue().splitlines()
    assert first == "WARNING: title\ufffd[2J\ufffd  ERROR: forged \ufffd“é”"
    assert rest[0] == "ERROR: failed"
    assert "\x1b" not in stream.getvalue()
    assert "\x07" not in stream.getvalue()


def test_redactor__learns_a_secret_that_everybody_who_holds_it_knows_at_once(root: logging.Logger) -> None:
    redactor, stream = Redactor(["first-secret"]), io.StringIO()
    set_up_logging(redactor, stream=stream)
    redactor.learn("ghs_made_during_the_run")
    redactor.learn("ghs_made_during_the_run")
    logging.getLogger("mason.test").warning("token ghs_made_during_the_run and first-secret")
    assert stream.getvalue() == f"WARNING: token {MASK} and {MASK}\n"
    assert redactor.value({"key": ["ghs_made_during_the_run"]}) == {"key": [MASK]}


def test_redactor__learns_from_many_threads() -> None:
    redactor = Redactor([])
    secrets = [f"token-number-{number:03}" for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(redactor.learn, secrets))
    assert redactor.text(" ".join(secrets)) == " ".join([MASK] * 40)


def test_redactor__keeps_what_it_learned_last_and_what_it_was_given() -> None:
    redactor = Redactor(["given-secret"], most=2)
    for secret in ("first-secret", "second-secret", "third-secret", "second-secret"):
        redactor.learn(secret)
    assert redactor.text("given-secret second-secret third-secret") == "*** *** ***"
    assert redactor.text("first-secret") == "first-secret"
