"""What every store of API keys does (`app.ports.api_keys`); a new adapter is one more entry in ``ADAPTERS``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from app.database.api_keys import PostgresApiKeys, api_keys
from app.database.schema import prepare
from app.domain.api_keys import Scope
from app.ports.api_keys import ApiKeys
from tests.fakes.api_keys import MemoryKeys

ADAPTERS: dict[str, Callable[[str], PostgresApiKeys | MemoryKeys]] = {
    "memory": lambda dsn: MemoryKeys(),
    "postgres": api_keys,
}


@pytest.fixture
def app_dsn(empty_database: str) -> str:
    prepare(empty_database)
    return empty_database


@pytest.fixture(params=sorted(ADAPTERS))
def keys(request: pytest.FixtureRequest, app_dsn: str) -> Iterator[ApiKeys]:
    adapter = ADAPTERS[request.param](app_dsn)
    yield adapter
    adapter.close()


def test_create__the_text_is_good_for_the_key_that_came_with_it(keys: ApiKeys) -> None:
    key, text = keys.create("ci", Scope.RUN)
    assert re.fullmatch(rf"mason_{key.prefix}_[\w-]{{43}}", text, re.ASCII)
    found = keys.verified(text)
    assert found is not None
    assert (found.prefix, found.name, found.scope) == (key.prefix, "ci", Scope.RUN)
    assert key.created_at.utcoffset() is not None


def test_create__every_key_is_another_whatever_its_name(keys: ApiKeys) -> None:
    made = [keys.create("ci", Scope.READ) for _ in range(5)]
    assert len({text for _, text in made}) == len({key.prefix for key, _ in made}) == 5
    assert [key.prefix for key in keys.all()] == [key.prefix for key, _ in made]


def test_create__takes_any_name(keys: ApiKeys) -> None:
    names = ['O\'Hara "quoted"; drop table api_keys', "ключ 🔑", "", "half \ud800 and \0"]
    assert [keys.create(name, Scope.READ)[0].name for name in names] == [*names[:3], "half ? and \ufffd"]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: text[:-1],
        lambda text: text + "A",
        lambda text: text[:-1] + ("A" if text[-1] != "A" else "B"),
        lambda text: text.upper(),
        lambda text: f" {text}",
        lambda text: f"{text}\n",
        lambda text: text.replace("mason_", "nosam_"),
        lambda text: "mason_00000000_" + text[-43:],
        lambda text: text.replace("_", "\0", 1),
        lambda text: "mason_" + "é" * 8 + text[14:],
        lambda text: "x" * 1_000_000,
    ],
)
def test_verified__what_is_no_key_is_nobody(keys: ApiKeys, change: Callable[[str], str]) -> None:
    _, text = keys.create("ci", Scope.READ)
    assert keys.verified(change(text)) is None
    (key,) = keys.all()
    assert key.last_used_at is None


def test_verified__the_secret_of_another_key_is_nobody(keys: ApiKeys) -> None:
    (_, one), (_, other) = keys.create("one", Scope.READ), keys.create("other", Scope.ADMIN)
    assert keys.verified(other[:15] + one[15:]) is None


def test_revoke__ends_a_key_and_keeps_it(keys: ApiKeys) -> None:
    key, text = keys.create("ci", Scope.READ)
    _, other = keys.create("other", Scope.READ)
    assert keys.revoke(key.prefix)
    assert keys.verified(text) is None
    assert keys.verified(other) is not None
    revoked, good = keys.all()
    assert revoked.revoked_at is not None
    assert good.revoked_at is None


def test_revoke__twice_or_of_nothing_says_no(keys: ApiKeys) -> None:
    key, _ = keys.create("ci", Scope.READ)
    assert keys.revoke(key.prefix)
    first = keys.all()[0].revoked_at
    assert not keys.revoke(key.prefix)
    assert not keys.revoke("00000000")
    assert not keys.revoke("\0 ' or true --")
    assert keys.all()[0].revoked_at == first
