"""Signed links: what they open, until when, and for whom they are no proof."""

from __future__ import annotations

import pytest

from app.web.pages.links import DAYS, Links, Proof
from tests.unit.web.run_kit import OTHER, RUN, Clock

PATH = f"/runs/{RUN}"
DAY = 86_400


def links(clock: Clock, *keys: bytes) -> Links:
    return Links(keys=keys or (b"k" * 32,), base="https://mason.example", clock=clock)


def key_of(address: str) -> str:
    return address.partition("?key=")[2]


def test_link__opens_its_path_and_what_lies_below() -> None:
    made = links(Clock())
    address = made.to_run(RUN)
    assert address.startswith(f"https://mason.example{PATH}?key=")
    for path in (PATH, f"{PATH}/log", f"{PATH}/live", f"{PATH}/items/{OTHER}"):
        assert made.proof(path, key_of(address)) is Proof.GOOD


@pytest.mark.parametrize("path", ["/runs", "/", f"/runs/{OTHER}", f"/runs/{RUN}x", "/sign-in", "/runs/../runs"])
def test_link__opens_nothing_else(path: str) -> None:
    made = links(Clock())
    assert made.proof(path, key_of(made.to_run(RUN))) is Proof.WRONG


def test_link__to_all_runs_opens_each() -> None:
    made = links(Clock())
    key = key_of(made.to("/runs"))
    assert made.proof("/runs", key) is Proof.GOOD
    assert made.proof(f"{PATH}/log", key) is Proof.GOOD
    assert made.proof("/api/health", key) is Proof.WRONG


def test_link__ends_after_its_days() -> None:
    clock = Clock()
    made = links(clock)
    key = key_of(made.to_run(RUN))
    clock.now += DAYS * DAY
    assert made.proof(PATH, key) is Proof.GOOD
    clock.now += DAY
    assert made.proof(PATH, key) is Proof.EXPIRED


def test_link__is_the_same_all_day() -> None:
    clock = Clock(now=1_000 * DAY)
    made = links(clock)
    first = made.to_run(RUN)
    clock.now += DAY - 1
    assert made.to_run(RUN) == first
    clock.now += 1
    assert made.to_run(RUN) != first


@pytest.mark.parametrize("change", [lambda key: "9" + key, lambda key: key[:-1] + ("A" if key[-1] != "A" else "B")])
def test_link__tampered_is_wrong_and_not_expired(change: object) -> None:
    clock = Clock()
    made = links(clock)
    key = change(key_of(made.to_run(RUN)))  # type: ignore[operator]
    clock.now += 400 * DAY
    assert made.proof(PATH, key) is Proof.WRONG


@pytest.mark.parametrize("key", ["", ".", "1.", ".x", "1." + "x" * 42, "1." + "x" * 43 + "\n", "ü.é", "1" * 5_000])
def test_link__any_text_is_a_wrong_key(key: str) -> None:
    assert links(Clock()).proof(PATH, key) is Proof.WRONG


def test_link__outlives_a_change_of_keys_while_the_old_one_is_known() -> None:
    clock = Clock()
    old, new = b"o" * 32, b"n" * 32
    key = key_of(links(clock, old).to_run(RUN))
    assert links(clock, new, old).proof(PATH, key) is Proof.GOOD
    assert links(clock, new).proof(PATH, key) is Proof.WRONG
    assert links(clock, new, old).to_run(RUN) == links(clock, new).to_run(RUN)
