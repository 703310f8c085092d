"""A killed runner (SIGKILL, at 30 points of its run) changes nothing about how its items end."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from app import descendants
from app.backlog.embedded import EmbeddedPostgres
from app.backlog.postgres import postgres_backlog
from tests.whole.killing import Point, Scene

STEPS, MOVES, LINES = 40, 15, 33
"""How many calls, moving statements and status lines an undisturbed run has at least."""

CHOICE = random.Random(20)
POINTS = [
    *(Point(kind="step", number=number) for number in sorted(CHOICE.sample(range(1, STEPS + 1), 9))),
    *(Point(kind="before", number=number) for number in sorted(CHOICE.sample(range(1, MOVES + 1), 8))),
    *(Point(kind="after", number=number) for number in sorted(CHOICE.sample(range(1, MOVES + 1), 8))),
    *(Point(kind="line", number=number) for number in sorted(CHOICE.sample(range(1, LINES + 1), 5))),
]


@pytest.fixture(scope="session")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: EmbeddedPostgres, migrated_template: str
) -> Iterator[Mapping[str, Any]]:
    """What a run that nobody killed leaves."""
    name = f"undisturbed_{uuid4().hex}"
    with psycopg.connect(postgres_server.dsn, autocommit=True) as connection:
        connection.execute(f"create database {name} template {migrated_template}")
        scene = Scene(tmp_path_factory.mktemp("undisturbed"), make_conninfo(postgres_server.dsn, dbname=name))
        assert scene.run() == 1
        yield scene.state()
        connection.execute(f"drop database {name} with (force)")


def test_undisturbed__ends_as_its_items_say(undisturbed: Mapping[str, Any]) -> None:
    assert undisturbed["items"] == ["completed", "completed", "rejected", "completed"]
    assert len(undisturbed["follow-ups"]) == 1
    assert len([name for name in undisturbed["refs"] if name.startswith("refs/heads/mason/")]) == 3
    assert len([name for name in undisturbed["refs"] if name.startswith("refs/mason/wip/")]) == 1
    assert undisturbed["runs"] == undisturbed["temporary"] == []


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_killed__ends_as_if_nobody_had_killed_it(
    tmp_path: Path, database: str, undisturbed: Mapping[str, Any], point: Point
) -> None:
    scene = Scene(tmp_path, database)
    try:
        scene.run_until(point)
        scene.run()
    except BaseException:
        descendants.kill_orphans()  # the second run did not
        raise
    assert scene.processes() == []
    state = scene.state()
    assert {key: (state[key], undisturbed[key]) for key in state if state[key] != undisturbed[key]} == {}
    assert_no_run_stays_open(database)


def assert_no_run_stays_open(dsn: str) -> None:
    """Once the lease of a lost run is over, the next look ends it."""
    with psycopg.connect(dsn, autocommit=True) as sql:
        sql.execute("update mason_remote_execution_runs set started_at = started_at - interval '4 minutes'")
        backlog = postgres_backlog(dsn, patience=5.0)
        assert backlog.dead_claims(lambda _: True) == []
        backlog.close()
        for table in ("mason_remote_execution_runs", "mason_pm_execution_runs"):
            query = f"select count(*) from {table} where status = 'in_progress' or completed_at is null"
            assert sql.execute(query).fetchone() == (0,), table
