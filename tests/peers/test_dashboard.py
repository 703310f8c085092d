"""What the dashboard gets to see: every version of every progress row of a run on PostgREST (contracts §1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import dict_row

from app.backlog.postgrest import supabase_backlog
from app.domain.events import Phase
from app.domain.items import NewItem
from tests.peers.supabase import SERVICE_ROLE, Project, project
from tests.peers.test_supabase_run import mason
from tests.unit.workspace.repositories import git, new_repository, write
from tests.whole.kit import FILES, policy
from tests.whole.prds import answer, change, new, prd, wave

__all__ = ["project"]

pytestmark = pytest.mark.peer

FOUR = ("validation_typescript", "validation_eslint", "validation_build", "validation_tests")

WAVES = (
    wave(1, "Explore: Look around", "Explore: Look at the tests"),
    wave(2, "general-purpose: Write it", "general-purpose: Document it", after=1),
    wave(3, "code-reviewer: Review it", "Explore: Look again", after=2),
)
PASSES = prd(
    *WAVES,
    new("src/passes.txt", "BUG\n", task="2.1"),
    new("src/passes.md", "Words\n", task="2.2"),
    change("src/passes.txt", "BUG\n", "fine\n", fix=1),
    answer("fix", decision="fixed", reason="corrected"),
)
ITEMS: dict[str, NewItem] = {
    title: NewItem(title=title, problem="p", solution="s", prd=text, **more)
    for title, text, more in (
        ("Passes", PASSES, {}),
        ("Fails", prd(new("src/fails.txt", "SLOPPY\n")), {}),
        ("Does nothing", prd("Nothing is changed."), {}),
        (
            "Deferred",
            prd(new("src/deferred.txt", "fine\n"), answer("re-evaluate", decision="SKIP", reason="Not worth it")),
            {"evidence_status": "inconclusive"},
        ),
        ("Resolved", prd(new("src/resolved.txt", "fine\n"), answer("verify", decision="SKIP", reason="Done")), {}),
    )
}

RECORDER = """
create table seen (
  number bigserial, at timestamptz default clock_timestamp(), transaction text default pg_current_xact_id()::text,
  kind text, op text, item uuid, row jsonb
);
create function record_it() returns trigger language plpgsql security definer as $$
declare it jsonb := to_jsonb(coalesce(new, old));
begin
  insert into public.seen (kind, op, item, row)
  values (tg_table_name, tg_op, coalesce(it ->> 'item_id', it ->> 'id')::uuid, it);
  return null;
end $$;
create trigger record_it after insert or update or delete on mason_execution_progress
  for each row execute function record_it();
create trigger record_it after update on mason_pm_backlog_items
  for each row when (old.status is distinct from new.status) execute function record_it();
"""

INTRUDER = """
create function show_it() returns trigger language plpgsql security definer as $$
begin
  delete from public.mason_execution_progress where item_id = new.id;
  insert into public.mason_execution_progress (item_id, current_phase, started_at, checkpoint_total)
  values (new.id, 'site_review', now(), 12);
  return null;
end $$;
create constraint trigger show_it after update on mason_pm_backlog_items deferrable initially deferred
  for each row when (new.status = 'in_progress' and old.status = 'approved') execute function show_it();
insert into mason_execution_progress (item_id, current_phase, completed_at)
select id, 'complete', now() from mason_pm_backlog_items;
"""
"""A dashboard that puts a row of its own, without a run, in the place of Mason's, and has one from before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """A row as it was written; ``kind`` is its table."""

    kind: str
    op: str
    at: datetime
    transaction: str
    row: dict[str, Any]

    @property
    def percentage(self) -> float:
        """As the dashboard computes it."""
        done = max(len(self.row["checkpoints_completed"] or []), self.row["checkpoint_index"] or 0)
        return done / (self.row["checkpoint_total"] or 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """All versions in the order in which they were written; ``intruded`` says that the dashboard wrote some."""

    versions: list[Version]
    ids: dict[str, UUID]
    intruded: bool

    def progress(self, title: str) -> list[Version]:
        """What was written to the item's progress row since its claim, deletions too."""
        return [v for v in self.versions if v.kind == "mason_execution_progress" and self._is(v, title, "item_id")]

    def mine(self, title: str) -> list[Version]:
        """The rows of it that Mason wrote."""
        return [v for v in self.progress(title) if v.op != "DELETE" and v.row["run_id"]]

    def statuses(self, title: str) -> list[str]:
        found = [v for v in self.versions if v.kind == "mason_pm_backlog_items" and self._is(v, title, "id")]
        return [v.row["status"] for v in found]

    def _is(self, version: Version, title: str, column: str) -> bool:
        return bool(version.row[column] == str(self.ids[title]))


@pytest.fixture(scope="module", params=["alone", "beside a dashboard that writes"])
def story(
    project: Project, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Story]:
    project.reset()
    place = tmp_path_factory.mktemp("dashboard")
    repository = new_repository(place / "sample")
    write(repository, FILES | {".github/mason.yml": policy()})
    git(repository, "add", "--all")
    git(repository, "commit", "-qm", "Everything")
    gateway = project.gateway()
    store = supabase_backlog(gateway.url, SERVICE_ROLE, patience=30)
    ids = {title: store.add_item(item, repository=None) for title, item in ITEMS.items()}
    store.close()
    intruded = request.param != "alone"
    with psycopg.connect(project.dsn, autocommit=True) as connection:
        connection.execute((INTRUDER if intruded else "").encode())
        connection.execute(RECORDER)
    environ = {"MASON_SUPABASE_URL": gateway.url, "MASON_SUPABASE_KEY": SERVICE_ROLE}
    done = mason("run", "--auto", "--repository", str(repository), environ=environ, place=place)
    gateway.close()
    assert done.returncode == 1, done.stdout + done.stderr  # two items fail
    with psycopg.connect(project.dsn, row_factory=dict_row) as connection:
        rows = connection.execute("select kind, op, at, transaction, row from seen order by number").fetchall()
    yield Story(versions=[Version(**row) for row in rows], ids=ids, intruded=intruded)


@pytest.mark.parametrize("title", ITEMS)
def test_window__opens_with_a_row_of_its_own_and_a_fresh_start(story: Story, title: str) -> None:
    first, *later = [v for v in story.progress(title) if v.op != "DELETE"]
    assert (first.op, first.row["current_phase"], first.row["completed_at"]) == ("INSERT", "site_review", None)
    assert abs(first.at - datetime.fromisoformat(first.row["started_at"])) < timedelta(seconds=2)
    assert first.row["run_id"]
    if not story.intruded:
        assert first.transaction not in {v.transaction for v in later}


def test_window__every_row_of_the_run_is_there_before_any_of_them_moves(story: Story) -> None:
    rows = [v for v in story.versions if v.kind == "mason_execution_progress" and v.op != "DELETE"]
    moved = next(n for n, v in enumerate(rows) if v.row["current_phase"] != "site_review")
    assert {v.row["item_id"] for v in rows[:moved]} == {str(item) for item in story.ids.values()}


@pytest.mark.parametrize("title", ITEMS)
def test_rows__carry_the_run_and_only_values_that_the_dashboard_knows(story: Story, title: str) -> None:
    runs = {v.row["run_id"] for v in story.mine(title)}
    assert len(runs) == 1
    assert {v.row["wave_status"] for v in story.mine(title)} <= {"pending", "in_progress", "completed"}
    last = story.progress(title)[-1]
    assert last.op == "DELETE" or last.row["run_id"] in runs


@pytest.mark.parametrize("title", ITEMS)
def test_percentage__never_falls(story: Story, title: str) -> None:
    found = [v.percentage for v in story.mine(title)]
    assert found == sorted(found)
    assert all(0 < each <= 1 for each in found)


def test_phases__of_a_passing_item_are_all_seen_in_order(story: Story) -> None:
    phases = [v.row["current_phase"] for v in story.mine("Passes")]
    assert list(dict.fromkeys(phases)) == [phase.value for phase in Phase]
    assert phases == sorted(phases, key=[phase.value for phase in Phase].index)


def test_success__is_one(story: Story) -> None:
    last = story.progress("Passes")[-1].row
    assert [last[column] for column in FOUR] == ["pass"] * 4
    assert (last["current_phase"], last["checkpoint_index"], last["checkpoint_total"]) == ("complete", 13, 13)
    assert last["completed_at"] and last["wave_status"] == "completed"
    assert last["fix_iteration"] == 1
    assert story.statuses("Passes") == ["in_progress", "completed"]
    assert [v.row["current_phase"] for v in story.mine("Passes")].count("complete") == 1


@pytest.mark.parametrize(
    ("title", "failed"), [("Fails", ["validation_eslint"]), ("Does nothing", list(FOUR))], ids=["check", "none"]
)
def test_failure__shows_as_one_where_it_happened(story: Story, title: str, failed: list[str]) -> None:
    *before, last = story.mine(title)
    assert last.row["completed_at"]
    assert last.row["current_task"].startswith("Failed: ")
    assert [column for column in FOUR if last.row[column] == "fail"] == failed
    assert last.row["current_phase"] == before[-1].row["current_phase"] != "complete"
    assert not any(v.row["completed_at"] for v in before)
    assert story.statuses(title) == ["in_progress", "rejected"]


def test_deferred__has_no_row_any_more(story: Story) -> None:
    assert story.progress("Deferred")[-1].op == "DELETE"
    assert not any(v.row["completed_at"] for v in story.mine("Deferred"))
    assert story.statuses("Deferred") == ["in_progress", "deferred"]


def test_resolved__is_a_success(story: Story) -> None:
    last = story.progress("Resolved")[-1].row
    assert last["completed_at"]
    assert (last["current_phase"], last["checkpoint_index"], last["current_task"]) == (
        "complete",
        13,
        "Already resolved",
    )
    assert "fail" not in [last[column] for column in FOUR]
    assert story.statuses("Resolved") == ["in_progress", "completed"]
