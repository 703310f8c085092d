"""Bad input, part four: a database that is down at the start, or goes away in the middle."""

from __future__ import annotations

import json
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.backlog import migrate
from app.backlog.embedded import EmbeddedPostgres
from app.backlog.postgres import postgres_backlog
from app.domain.results import Verdict
from app.errors import DatabaseUnreachable
from tests.unit.workspace.repositories import new_repository
from tests.whole.kit import CHECKS, FILES, LONG, Project, Turnstile, policy
from tests.whole.prds import change, new, prd


@pytest.fixture
def server(data_root: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(data_root, throwaway=True) as server:
        migrate.apply(server.dsn)
        yield server


@pytest.fixture
def held(tmp_path: Path, server: EmbeddedPostgres, turnstile: Turnstile) -> Iterator[Project]:
    """A project on a server of its own, whose tests wait at the turnstile while there is a file src/wait.txt."""
    wait = f"if [ -f src/wait.txt ]; then {turnstile.command}; fi; ! grep -rn BUG src"
    files = {**FILES, ".github/mason.yml": policy({**CHECKS, "test": wait})}
    project = Project(
        repository=new_repository(tmp_path / "sample", files), dsn=server.dsn, root=tmp_path, patience=LONG
    )
    yield project
    project.close()


def ended(run: subprocess.Popen[str]) -> None:
    """Wait for the end of a `mason run` in which everything passed."""
    out, err = run.communicate(timeout=LONG)
    assert run.returncode == 0, out + err
    assert "Traceback" not in err


def test_database__that_comes_back_in_the_middle_costs_nothing(
    held: Project, server: EmbeddedPostgres, turnstile: Turnstile
) -> None:
    """Down while one item is checked and another waits: both end as they would have, once."""
    repaired = prd(new("src/wait.txt", "BUG"), change("src/wait.txt", "BUG\n", "fine\n", fix=1))
    items = [held.approve(repaired, "First"), held.approve_change("src/b.txt", title="Second")]
    run = held.start_mason("run", "--max-parallel", "1", MASON_HEARTBEAT="0.1")
    turnstile.arrived()
    server.stop()
    turnstile.let_pass()
    server.start()
    ended(run)
    assert [held.state(item) for item in items] == ["completed"] * 2
    assert [held.item(item)["execution_attempt"] for item in items] == [1, 1]
    assert held.branches() == ["mason/first", "mason/second"]
    assert [row["iteration_number"] for row in held.iterations(items[0])] == [1]
    shown = held.progress(items[0])
    assert shown
    assert (shown["current_phase"], shown["validation_tests"]) == ("complete", "pass")
    messages = held.logs()
    assert messages.count("info: Execution complete: First") == messages.count("info: Execution complete: Second") == 1
    assert len(held.rows("select * from mason_pm_execution_runs")) == 1


def test_database__that_stays_away_ends_the_run_and_loses_nothing(
    held: Project, server: EmbeddedPostgres, turnstile: Turnstile
) -> None:
    held.patience = 0.2
    items = [held.approve_change("src/wait.txt", title="First"), held.approve_change("src/b.txt", title="Second")]
    with held.running(max_parallel=1) as run:
        turnstile.arrived()
        server.stop()
        turnstile.let_pass()
        with pytest.raises(DatabaseUnreachable, match="The database did not answer: "):
            run.result()
    assert (held.branches(), held.left_in_runs()) == ([], [])
    server.start()
    assert [held.state(item) for item in items] == ["in_progress"] * 2
    # The lease runs out, as it does by itself after three minutes.
    held.sql("update mason_pm_backlog_items set heartbeat_at = heartbeat_at - interval '4 minutes'")
    again = held.run()
    assert [r.outcome.verdict for r in again.results] == [Verdict.COMPLETED] * 2
    assert [held.item(item)["execution_attempt"] for item in items] == [2, 2]
    assert held.branches() == ["mason/first", "mason/second"]


def test_database__that_is_away_stops_no_item_between_its_ends(
    held: Project, server: EmbeddedPostgres, turnstile: Turnstile
) -> None:
    """Heartbeats and progress fail for good while the item is checked; its end finds the database again."""
    item = held.approve_change("src/wait.txt")
    run = held.start_mason("run", MASON_HEARTBEAT="0.05", MASON_DATABASE_PATIENCE="0.3")
    turnstile.arrived()
    server.stop()
    assert run.stderr
    said = iter(run.stderr.readline, "")
    assert any("The leases could not be renewed" in line for line in said)
    server.start()
    turnstile.let_pass()
    ended(run)
    assert (held.state(item), held.item(item)["execution_attempt"]) == ("completed", 1)
    assert f"info: Starting execution for: {held.item(item)['title']}" in held.logs()
    assert waiting(held) == []


def waiting(project: Project) -> list[Path]:
    """The files that hold rows for a database that was away."""
    return sorted((project.root / "state" / "spool").glob("*/*"))


def cut_off(project: Project, server: EmbeddedPostgres, turnstile: Turnstile) -> tuple[list[dict[str, Any]], str]:
    """A run of the command whose database goes away and stays away: the rows that wait, and what it said."""
    run = project.start_mason("run", MASON_DATABASE_PATIENCE="0.2")
    turnstile.arrived()
    server.stop()
    turnstile.let_pass()
    _, said = run.communicate(timeout=LONG)
    assert (run.returncode, "Traceback" in said) == (3, False)
    (file,) = waiting(project)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert f"{len(rows)} rows of progress and log wait in {file}; the next run writes them" in said
    return rows, said


def test_database__that_stays_away_gets_every_row_from_the_next_run(
    held: Project, server: EmbeddedPostgres, turnstile: Turnstile
) -> None:
    item = held.approve_change("src/wait.txt")
    rows, _ = cut_off(held, server, turnstile)
    waited = [row["row"]["id"] for row in rows if row["kind"] in ("logs", "debug")]
    assert waited
    server.start()
    ended(held.start_mason("run"))
    there = {str(row["id"]) for row in held.rows("select id from mason_execution_logs")}
    assert set(waited) <= there
    assert waiting(held) == []
    # The runner is known to be dead: its item is taken up at once, in a run of its own.
    assert (held.state(item), held.item(item)["execution_attempt"]) == ("completed", 2)
    shown = held.progress(item)
    assert shown
    assert (shown["execution_attempt"], shown["current_phase"]) == (2, "complete")


def test_database__two_runners_that_find_waiting_rows_write_them_once(
    held: Project, server: EmbeddedPostgres, turnstile: Turnstile
) -> None:
    held.approve_change("src/wait.txt")
    rows, _ = cut_off(held, server, turnstile)
    (file,) = waiting(held)
    file.write_bytes(b"no row\n" + file.read_bytes())
    server.start()
    for run in [held.start_mason("run") for _ in range(2)]:
        ended(run)
    for row in rows:
        if row["kind"] in ("logs", "debug"):
            assert len(held.rows("select from mason_execution_logs where id = %s", row["row"]["id"])) == 1
    assert [path.read_bytes() for path in waiting(held)] == [b"no row\n"]


def test_database__that_is_another_one_gets_no_rows_that_wait_for_the_first(
    held: Project, server: EmbeddedPostgres, turnstile: Turnstile, database: str
) -> None:
    held.approve_change("src/wait.txt")
    cut_off(held, server, turnstile)
    before = waiting(held)
    ended(held.start_mason("run", MASON_DSN=database))
    assert waiting(held) == before


def test_database__that_is_down_at_the_start_is_waited_for(held: Project, server: EmbeddedPostgres) -> None:
    item = held.approve_change()
    server.stop()
    run = held.start_mason("run")
    assert run.stderr
    assert run.stderr.readline() == "WARNING: The database did not answer; trying again for 60 seconds.\n"
    server.start()
    ended(run)
    assert held.state(item) == "completed"


def test_database__that_is_down_is_a_sentence_and_exit_code_3(held: Project, server: EmbeddedPostgres) -> None:
    held.patience = 0.1
    server.stop()
    done = held.mason("run")
    assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (3, "", False)
    assert "mason: The database did not answer: " in done.stderr
    assert held.left_in_runs() == []


def test_database__that_is_known_to_be_away_is_not_waited_for_again(server: EmbeddedPostgres) -> None:
    """The next call says why the database cannot be reached, not that the pool had no connection in time."""
    store = postgres_backlog(server.dsn, patience=0)
    store.require_ready()
    server.stop()
    with pytest.raises(DatabaseUnreachable):
        store.items([])
    with pytest.raises(DatabaseUnreachable, match="connection to server on socket"):
        store.items([])
    server.start()
    assert store.items([]) == []
    store.close()
