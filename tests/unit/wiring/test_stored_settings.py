"""What a setup has stored: it counts where the environment says nothing, at once, in processes that run already."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from app.domain.setup import APP, BACKLOG, StoredApp, StoredBacklog, as_text
from app.errors import UsageError
from app.settings import Settings, secret_list
from app.wiring.app_place import runner_environment
from app.wiring.stored_settings import Served, completed, served_databases, with_stored

LONG = 30.0
ADDRESS = "https://mason.example.com"
THERE = StoredApp(
    id=4711,
    slug="mine",
    name="Mine",
    owner="ada",
    organisation="",
    app_url=ADDRESS,
    private_key="a-stored-pem",
    webhook_secret="a-stored-hook-secret",
)
PROJECT = StoredBacklog(
    url="https://abcdefghijklmnopqrst.supabase.co", announced=True, key="sb_secret_x", webhook_secret="whsec_stored"
)
MASTER = "a master secret of the tests which is long enough"


@pytest.fixture
def served(empty_database: str, database: str, tmp_path: Path) -> Iterator[Served]:
    """An app database of its own, and a backlog that the environment names."""
    settings = Settings(
        database_url=SecretStr(empty_database), dsn=SecretStr(database), encryption_key=SecretStr(MASTER)
    )
    with served_databases(settings, tmp_path) as there:
        yield replace(there, look=0.01)


def put(served: Served, name: str, text: str) -> None:
    with closing(served.sealed()) as sealed:
        sealed.put(name, text)


def test_completed__without_anything_stored_the_environment_is_all() -> None:
    given = Settings(app_url="https://own.example.com")
    assert completed(given, None, None) == given


def test_completed__what_is_stored_counts() -> None:
    found = completed(Settings(), THERE, PROJECT)
    assert (found.github_app_id, found.app_url) == ("4711", ADDRESS)
    assert found.github_app_key == SecretStr("a-stored-pem")
    assert (found.supabase_url, found.supabase_key) == (PROJECT.url, SecretStr("sb_secret_x"))
    assert secret_list(found.github_webhook_secret) == ("a-stored-hook-secret",)
    assert secret_list(found.webhook_secret) == ("whsec_stored",)
    assert {"a-stored-pem", "sb_secret_x", "whsec_stored", "a-stored-hook-secret"} <= set(found.secrets)


@pytest.mark.parametrize(
    "given",
    [
        Settings(github_app_id="1", github_app_key=SecretStr("pem"), github_webhook_secret=SecretStr("own")),
        Settings(github_token=SecretStr("ghp_x"), github_webhook_secret=SecretStr("own")),
    ],
)
def test_completed__the_environments_github_wins_as_a_whole(given: Settings) -> None:
    assert completed(given, THERE, None) == given


@pytest.mark.parametrize(
    "given",
    [
        Settings(dsn=SecretStr("postgresql://x")),
        Settings(supabase_url="https://own.supabase.co", supabase_key=SecretStr("k")),
    ],
)
def test_completed__the_environments_backlog_wins_as_a_whole(given: Settings) -> None:
    assert completed(given, None, PROJECT) == given


def test_completed__the_environments_address_wins_and_secrets_of_webhooks_are_good_from_both() -> None:
    given = Settings(
        app_url="https://own.example.com", github_webhook_secret=SecretStr("one,two"), webhook_secret=SecretStr("three")
    )
    found = completed(given, THERE, PROJECT)
    assert found.app_url == "https://own.example.com"
    assert secret_list(found.github_webhook_secret) == ("one", "two", "a-stored-hook-secret")
    assert secret_list(found.webhook_secret) == ("three", "whsec_stored")


def test_served__is_completed_from_the_app_database(served: Served) -> None:
    assert served.settings() == served.given
    put(served, APP, as_text(THERE))
    put(served, BACKLOG, as_text(PROJECT))
    assert served.settings().github_app_id == "4711"
    assert served.settings().dsn == served.given.dsn and served.settings().supabase_url is None


def test_served__what_another_mason_stored_is_told(served: Served) -> None:
    put(served, APP, '{"id": "many"}')
    with pytest.raises(UsageError, match="another Mason"):
        served.settings()


def test_noticing__tells_once_when_something_else_is_stored(served: Served) -> None:
    told, twice = threading.Event(), threading.Event()

    def changed() -> None:
        (twice if told.is_set() else told).set()

    with served.noticing(served.settings(), changed):
        put(served, "something else", "x")
        put(served, APP, as_text(THERE))
        assert told.wait(LONG)
        put(served, APP, as_text(THERE))
    assert not twice.is_set()


def test_noticing__what_changed_before_it_began_is_noticed_too(served: Served) -> None:
    known, told = served.settings(), threading.Event()
    put(served, APP, as_text(THERE))
    with served.noticing(known, told.set):
        assert told.wait(LONG)


def test_noticing__a_database_that_is_away_is_asked_again(served: Served) -> None:
    known, told, asked = served.settings(), threading.Event(), threading.Event()

    class Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            asked.set()

    log, listening, dsn = logging.getLogger("mason"), Listening(logging.DEBUG), served.given.database_url
    assert dsn
    with psycopg.connect(dsn.get_secret_value(), autocommit=True) as connection:
        connection.execute("alter table mason_app.sealed rename to hidden")
        log.addHandler(listening)
        before, log.level = log.level, logging.DEBUG
        try:
            with served.noticing(known, told.set):
                assert asked.wait(LONG) and not told.is_set()
                connection.execute("alter table mason_app.hidden rename to sealed")
                put(served, APP, as_text(THERE))
                assert told.wait(LONG)
        finally:
            log.removeHandler(listening)
            log.level = before


def test_by_hand__commands_use_what_is_stored_here(served: Served, tmp_path: Path) -> None:
    put(served, BACKLOG, as_text(PROJECT))
    settings = served.given.model_copy(update={"dsn": None, "state_dir": tmp_path})
    assert with_stored(settings, tmp_path).supabase_url == PROJECT.url


def test_by_hand__a_database_of_somebody_else_is_left_alone(empty_database: str, tmp_path: Path) -> None:
    settings = Settings(database_url=SecretStr(empty_database), state_dir=tmp_path)
    assert with_stored(settings, tmp_path) == settings
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("select from pg_namespace where nspname = 'mason_app'").fetchall() == []


def test_runs_here__are_told_what_is_stored() -> None:
    environment = runner_environment(completed(Settings(), THERE, PROJECT))
    assert environment["MASON_SUPABASE_URL"] == PROJECT.url
    assert environment["MASON_SUPABASE_KEY"] == "sb_secret_x"
    assert (environment["MASON_GITHUB_APP_ID"], environment["MASON_GITHUB_APP_KEY"]) == ("4711", "a-stored-pem")
    assert not {"MASON_WEBHOOK_SECRET", "MASON_GITHUB_WEBHOOK_SECRET"} & environment.keys()
