"""`mason migrate` as a person runs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from app.backlog import migrate
from app.cli import main
from tests.unit.backlog.test_access import run
from tests.unit.backlog.test_webhook import SECRET, STAND_INS, URL

REF = "abcdefghijklmnopqrst"
PROJECT = f"https://{REF}.supabase.co"
QUIET = {"MASON_DSN": None, "MASON_DATABASE_PASSWORD": None, "MASON_ACCESS_TOKEN": None, "MASON_WEBHOOK_SECRET": None}


@pytest.fixture
def mason(tmp_path: Path) -> Callable[..., Result]:
    def call(*words: str, **environ: str) -> Result:
        options = ["migrate", "--repository", str(tmp_path), *words]
        return CliRunner().invoke(main, options, env={**QUIET, **environ})

    return call


def test_migrate__check_names_what_would_change_and_writes_nothing(
    mason: Callable[..., Result], empty_database: str
) -> None:
    done = mason("--dsn", empty_database, "--check", "--rls", "strict", "--webhook-url", URL)
    assert done.exit_code == 0
    *named, profile, hook = done.stdout.splitlines()
    assert named == [f"would apply {each.name}: {each.description}" for each in migrate.packaged()]
    assert profile == "would change the access profile to strict"
    assert URL in hook
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("select count(*) from pg_class where relname ~ '^mason'").fetchone() == (0,)


def test_migrate__twice(mason: Callable[..., Result], empty_database: str) -> None:
    first = mason(MASON_DSN=empty_database)
    assert first.stdout.splitlines() == [f"applied {each.name}: {each.description}" for each in migrate.packaged()]
    assert mason(MASON_DSN=empty_database).stdout == "the database is up to date\n"
    assert mason("--check", MASON_DSN=empty_database).stdout == "the database is up to date\n"
    assert mason("--rls", "strict", MASON_DSN=empty_database).stdout == "the access profile is strict\n"
    assert mason("--rls", "strict", "--check", MASON_DSN=empty_database).stdout == "the database is up to date\n"


def test_migrate__shows_a_secret_that_it_made_and_none_that_it_was_given(
    mason: Callable[..., Result], make_supabase: Callable[[], str]
) -> None:
    dsn = make_supabase()
    run(dsn, STAND_INS)
    made = mason("--dsn", dsn, "--webhook-url", URL).stdout
    assert f"approvals are announced to {URL}" in made
    assert "shown only now: whsec_" in made
    given = mason("--dsn", dsn, "--webhook-url", URL, MASON_WEBHOOK_SECRET=SECRET).stdout
    assert given == f"approvals are announced to {URL}\n"
    assert mason("--dsn", dsn, "--webhook-url", URL, "--webhook-secret", SECRET).stdout == given


def test_migrate__says_what_realtime_lacks(mason: Callable[..., Result], make_supabase: Callable[[], str]) -> None:
    dsn = make_supabase()
    mason("--dsn", dsn)
    run(dsn, "alter publication supabase_realtime drop table mason_execution_progress")
    assert mason("--dsn", dsn).stdout == "realtime does not work for mason_execution_progress: run `mason doctor`\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--webhook-url", "http://example.com"], "must begin with https://"),
        (["--webhook-url", URL, "--webhook-secret", "s3cret"], "webhook secret must be"),
    ],
)
def test_migrate__refuses_a_bad_webhook_before_it_changes_anything(
    mason: Callable[..., Result], empty_database: str, words: list[str], said: str
) -> None:
    done = mason("--dsn", empty_database, *words)
    assert done.exit_code == 2
    assert said in done.stderr
    assert "s3cret" not in done.stderr
    assert len(migrate.plan(empty_database)) == len(migrate.packaged())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--supabase-url", PROJECT], "API key cannot change tables"),
        (["--database-password", "s3cret"], "Say which project"),
        (["--access-token", "s3cret"], "Say which project"),
        (["--supabase-url", "http://x.supabase.co", "--access-token", "s3cret"], "must begin with https://"),
        (["--supabase-url", "https://x.supabase.co", "--database-password", "s3cret"], "20 lower-case letters"),
        (["--supabase-url", PROJECT, "--database-password", ""], "database password is empty"),
        (["--supabase-url", PROJECT, "--access-token", "s3 cret"], "access token is empty"),
        (["--database-password", "s3cret", "--access-token", "s3cret"], "Give one of --database-password"),
        (["--dsn", "host=x", "--access-token", "s3cret"], "Give one of --dsn, --access-token"),
        (["--rls", "loose"], "'loose' is not one of"),
    ],
)
def test_migrate__what_cannot_work_is_one_sentence(mason: Callable[..., Result], words: list[str], said: str) -> None:
    done = mason(*words)
    assert done.exit_code == 2
    assert said in done.stderr
    assert "s3" not in done.stderr


def test_migrate__a_way_given_here_wins_over_the_environments(
    mason: Callable[..., Result], empty_database: str
) -> None:
    done = mason("--access-token", "t", "--supabase-url", "https://x.supabase.co", MASON_DSN=empty_database)
    assert "20 lower-case letters" in done.stderr
    assert mason("--dsn", empty_database, MASON_ACCESS_TOKEN="t").exit_code == 0
