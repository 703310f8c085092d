"""`mason api-key`: what it prints, and where; on a database that is named, and on the embedded one."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.backlog.embedded import EmbeddedPostgres
from app.cli import main
from app.database.api_keys import api_keys
from app.domain.api_keys import Scope
from app.wiring.databases import APP_DATABASE, database_beside

Run = Callable[..., Result]

KEY = re.compile(r"mason_[0-9a-f]{8}_[\w-]{43}\n", re.ASCII)


@pytest.fixture
def mason(tmp_path: Path, empty_database: str) -> Run:
    """The command on an app database that nothing has prepared."""

    def run(*arguments: str) -> Result:
        environment = {"MASON_DATABASE_URL": empty_database, "MASON_STATE_DIR": str(tmp_path / "state")}
        return CliRunner().invoke(main, ["api-key", *arguments, "--repository", str(tmp_path)], env=environment)

    return run


def test_create__standard_output_is_the_key_alone(mason: Run, empty_database: str) -> None:
    made = mason("create", "ci", "--scope", "run")
    assert made.exit_code == 0, made.output
    assert KEY.fullmatch(made.stdout)
    assert "shown this once" in made.stderr
    assert made.stdout.strip() not in made.stderr
    with closing(api_keys(empty_database)) as keys:
        key = keys.verified(made.stdout.strip())
    assert key is not None
    assert (key.name, key.scope) == ("ci", Scope.RUN)


def test_create__may_only_look_unless_more_is_said(mason: Run, empty_database: str) -> None:
    text = mason("create", "viewer").stdout.strip()
    with closing(api_keys(empty_database)) as keys:
        key = keys.verified(text)
    assert key is not None
    assert key.scope is Scope.READ


@pytest.mark.parametrize("name", ["", "   ", "two\nlines", "\x1b[31mred", "x" * 101])
def test_create__a_name_that_no_table_can_show_is_refused(mason: Run, name: str) -> None:
    refused = mason("create", name)
    assert refused.exit_code == 2
    assert refused.stdout == ""
    assert "one line of at most 100 characters" in refused.stderr


def test_create__unknown_scope_is_refused(mason: Run) -> None:
    assert mason("create", "ci", "--scope", "root").exit_code == 2


def test_list__a_line_a_key_and_no_secret(mason: Run) -> None:
    texts = [
        mason("create", name, "--scope", scope).stdout.strip() for name, scope in [("ci", "run"), ("ops", "admin")]
    ]
    mason("revoke", texts[0].split("_")[1])
    head, first, second = mason("list").stdout.splitlines()
    assert head.split() == ["PREFIX", "SCOPE", "CREATED", "LAST", "USED", "STATE", "NAME"]
    assert re.fullmatch(rf"{texts[0].split('_')[1]}  run    \d{{4}}-\d\d-\d\d \d\d:\d\d  never      revoked  ci", first)
    assert re.fullmatch(
        rf"{texts[1].split('_')[1]}  admin  \d{{4}}-\d\d-\d\d \d\d:\d\d  never      good     ops", second
    )
    assert not any(text[15:] in first + second for text in texts)


def test_list__says_how_to_begin(mason: Run) -> None:
    assert mason("list").stdout == "No keys yet: `mason api-key create NAME` makes one.\n"


def test_revoke__is_once_and_for_good(mason: Run, empty_database: str) -> None:
    text = mason("create", "ci").stdout.strip()
    prefix = text.split("_")[1]
    assert mason("revoke", prefix).stdout == f"The key {prefix} is revoked.\n"
    with closing(api_keys(empty_database)) as keys:
        assert keys.verified(text) is None
    again = mason("revoke", prefix)
    assert (again.exit_code, again.stdout) == (2, "")
    assert f"There is no key '{prefix}' that could be revoked" in again.stderr


def test_embedded__is_used_where_no_database_is_named_and_no_server_runs(data_root: Path) -> None:
    environment = {"MASON_STATE_DIR": str(data_root), "DATABASE_URL": "", "MASON_DATABASE_URL": ""}
    arguments = ["--repository", str(data_root)]
    made = CliRunner().invoke(main, ["api-key", "create", "ci", *arguments], env=environment)
    assert KEY.fullmatch(made.stdout), made.output
    listed = CliRunner().invoke(main, ["api-key", "list", *arguments], env=environment)
    assert made.stdout.split("_")[1] in listed.stdout


def test_embedded__of_a_server_that_runs_is_shared(data_root: Path) -> None:
    environment = {"MASON_STATE_DIR": str(data_root), "DATABASE_URL": "", "MASON_DATABASE_URL": ""}
    with EmbeddedPostgres(data_root / "postgres", throwaway=True) as server:
        made = CliRunner().invoke(main, ["api-key", "create", "ci", "--repository", str(data_root)], env=environment)
        assert KEY.fullmatch(made.stdout), made.output
        with closing(api_keys(database_beside(server.dsn, APP_DATABASE))) as keys:
            assert keys.verified(made.stdout.strip()) is not None
