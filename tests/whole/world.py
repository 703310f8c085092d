"""A world for whole runs: one repository, one database with a memory, and what must be true of them after every run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg

from app.backlog.postgres import postgres_backlog
from app.backlog.store import SqlBacklog
from app.domain.items import LEGAL_MOVES, ItemStatus, own_branch, plain_branch
from app.domain.policy import Policy
from app.domain.results import Verdict
from app.domain.runs import RunResult
from app.flows.run_items import run_items
from app.flows.work import Ports, RunOptions
from app.forge.local import LocalForge
from app.gate.checks import Gate
from app.gate.steps import Toolchain
from app.log import Redactor
from app.ports.agent import Role
from app.ports.workspace import Tree
from app.process import Stop
from app.reporting.fan_out import FanOut
from app.reporting.store import StoreReporter
from app.workspace.worktrees import GitWorkspace
from tests.unit.workspace.repositories import ENVIRONMENT, commit, git, listing, new_repository
from tests.whole.scripts import (
    REPOSITORY,
    Journal,
    Script,
    ScriptedAgent,
    WatchedGate,
    WatchedScriptedGate,
    flaws,
    letters,
)

THIEF = "dispatch"
DEAD = "dead"

MEMORY = """
create table remembered_moves (place serial, item uuid, old text, new text);
create table remembered_progress (place serial, item uuid, run text, attempt integer, percent integer);
create function remember_move() returns trigger language plpgsql as $$
begin
  if old.status is distinct from new.status then
    insert into remembered_moves (item, old, new) values (new.id, old.status, new.status);
  end if;
  return null;
end $$;
create function remember_progress() returns trigger language plpgsql as $$
begin
  insert into remembered_progress (item, run, attempt, percent) values (new.item_id, new.run_id::text,
    new.execution_attempt, greatest(jsonb_array_length(new.checkpoints_completed), new.checkpoint_index));
  return null;
end $$;
create trigger remember after update on mason_pm_backlog_items for each row execute function remember_move();
create trigger remember after insert or update on mason_execution_progress
  for each row execute function remember_progress();
"""
"""Every move of an item and every state of a progress row, in the order in which they were written."""

TABLES = (
    "mason_pm_backlog_items, mason_item_events, mason_execution_progress, mason_execution_logs, "
    "mason_pm_execution_tasks, mason_pm_validation_iterations, mason_remote_execution_runs, mason_pm_execution_runs, "
    "remembered_moves, remembered_progress"
)

Row = dict[str, Any]


class WatchedWorkspace(GitWorkspace):
    """Notes which commit each final checkout shows, and whether a pushed commit had passed by then."""

    journal: Journal

    @contextmanager
    def tree(self, name: str, commit: str, *, branch: str = "") -> Iterator[Tree]:
        with super().tree(name, commit, branch=branch) as tree:
            if name.startswith("final-"):
                self.journal.finals[tree.path] = commit
            yield tree

    def push(self, commit: str, branch: str) -> None:
        self.journal.pushes.append((commit, branch, commit in self.journal.passed))
        super().push(commit, branch)


class World:
    """One repository and one backlog. ``real`` checks start processes, the others are judged in place."""

    def __init__(self, directory: Path, dsn: str, sql: psycopg.Connection[Row], *, real: bool) -> None:
        self.directory = directory / uuid4().hex
        self.repository = new_repository(self.directory / "repository", REPOSITORY)
        (self.repository / "README.md").write_text("The user is in the middle of something.\n")
        self.dsn = dsn
        self.sql = sql
        self.real = real
        self.journal = Journal()
        self.scripts: dict[UUID, Script] = {}
        self.disturbed: set[UUID] = set()
        self.base_moves = 0
        sql.execute(f"truncate {TABLES} cascade")

    def rows(self, query: str, *parameters: object) -> list[Row]:
        return self.sql.execute(query, parameters).fetchall()

    def items(self) -> list[Row]:
        return self.rows("select * from mason_pm_backlog_items order by created_at, id")

    def follow_ups(self) -> list[Row]:
        return [row for row in self.items() if row["id"] not in self.scripts]

    # -- what people do ----------------------------------------------------------------------------------------------

    def add(self, script: Script, title: str, prd: Callable[[UUID], str | None], **columns: object) -> UUID:
        item = uuid4()
        self.scripts[item] = script
        row = {
            "id": item,
            "title": title,
            "problem": "A word is wrong",
            "solution": "Write a good one",
            "area": "backend",
            "type": "feature",
            "complexity": 2,
            "impact_score": 5,
            "effort_score": 5,
            "status": "approved",
            "prd_content": prd(item),
        } | columns
        places = ", ".join(["%s"] * len(row))
        self.sql.execute(f"insert into mason_pm_backlog_items ({', '.join(row)}) values ({places})", [*row.values()])
        return item

    def approve_all(self) -> None:
        """A person approves again what came back, follow-ups aside."""
        self.sql.execute(
            "update mason_pm_backlog_items set status = 'approved' "
            "where id = any (%s) and status in ('new', 'deferred', 'rejected')",
            [[*self.scripts]],
        )

    def change_approved(self) -> None:
        self.sql.execute(
            "update mason_pm_backlog_items set problem = problem || '!' where status = 'approved' and id = any (%s)",
            [[*self.scripts]],
        )

    def move_base(self, word: str) -> None:
        """Somebody commits to the branch that items start from, in a checkout of their own."""
        elsewhere = self.directory / "elsewhere"
        if not elsewhere.exists():
            git(self.directory, "clone", "-q", str(self.repository), str(elsewhere))
            git(elsewhere, "config", "user.name", "Bo")
            git(elsewhere, "config", "user.email", "bo@example.com")
        self.base_moves += 1
        moved = commit(elsewhere, {"state.txt": f"{word}\n", "src/common.txt": f"good {letters(self.base_moves)}\n"})
        git(self.repository, "fetch", "-q", str(elsewhere), f"+{moved}:refs/heads/main", "--update-head-ok")

    def let_thief_die(self) -> None:
        self.sql.execute("update mason_pm_backlog_items set claimed_by = %s where claimed_by = %s", [DEAD, THIEF])

    # -- what happens in the middle of a run -------------------------------------------------------------------------

    def steal(self, item: UUID) -> None:
        """Another runner takes the item over, as after a lease that ran out."""
        run = uuid4()
        self.sql.execute(
            "insert into mason_pm_execution_runs (id, item_count, status) values (%s, 1, 'pending')", [run]
        )
        stolen = self.sql.execute(
            "update mason_pm_backlog_items set execution_run_id = %s, execution_attempt = execution_attempt + 1, "
            "claimed_by = %s, heartbeat_at = now() where id = %s and status = 'in_progress'",
            [run, THIEF, item],
        )
        if stolen.rowcount:
            self.disturbed.add(item)

    def delete(self, item: UUID) -> None:
        self.disturbed.add(item)
        self.sql.execute("delete from mason_pm_backlog_items where id = %s", [item])

    def change(self, item: UUID) -> None:
        self.sql.execute("update mason_pm_backlog_items set solution = solution || '!' where id = %s", [item])

    # -- a run -------------------------------------------------------------------------------------------------------

    def run(self, options: RunOptions, *, disturbance: str, at: int, heartbeat: float) -> RunResult:
        """One run to its end; ``disturbance`` strikes at the ``at``-th call of an agent or of the gate."""
        before, stop = self.checkout(), Stop()
        calls = len(self.journal.calls)
        self.journal.on_step = self._striking(disturbance, at, stop)
        self.sql.execute("truncate remembered_moves, remembered_progress")
        run_dir = self.directory / f"run {uuid4().hex}"
        workspace = WatchedWorkspace(self.repository, run_dir, self.directory / "artifacts", ENVIRONMENT)
        workspace.journal = self.journal
        backlog = postgres_backlog(self.dsn, patience=5.0)
        reporter = FanOut({"database": StoreReporter(backlog)}, Redactor(()))
        try:
            result = run_items(self._ports(workspace, backlog, reporter, run_dir), options, stop, heartbeat=heartbeat)
            assert not list((run_dir / "trees").iterdir()), "a tree outlived its item"
        finally:
            reporter.close()
            workspace.close()
            backlog.close()
        assert not run_dir.exists()
        assert self.checkout() == before, "the user's checkout was touched"
        self.check(result, self.journal.calls[calls:])
        return result

    def _ports(self, workspace: WatchedWorkspace, backlog: SqlBacklog, reporter: FanOut, run_dir: Path) -> Ports:
        def make_gate(toolchain: Toolchain, policy: Policy) -> Gate:
            kind = WatchedGate if self.real else WatchedScriptedGate
            gate = kind(toolchain, ENVIRONMENT, 8, run_dir / "homes", self.directory / "installs")
            gate.journal = self.journal
            return gate

        return Ports(
            backlog=backlog,
            forge=LocalForge(workspace.push),
            workspace=workspace,
            make_agent=lambda _: ScriptedAgent(self.scripts, self.journal),
            reporter=reporter,
            make_gate=make_gate,
            claimed_by=f"tester {uuid4().hex}",
            is_dead=lambda claimed_by: claimed_by == DEAD,
        )

    def _striking(self, disturbance: str, at: int, stop: Stop) -> Callable[[UUID | None], None]:
        lock, steps, newest = threading.Lock(), 0, None

        def on_step(item: UUID | None) -> None:
            nonlocal steps, newest
            with lock:
                steps, newest = steps + 1, item or newest
                strikes = steps == at or (steps > at and disturbance in ("steal", "delete") and newest and not struck)
                if not strikes:
                    return
                if disturbance == "cancel":
                    stop.set("Cancelled")
                elif newest and disturbance != "none":
                    struck.append(newest)
                    {"steal": self.steal, "delete": self.delete, "change": self.change}[disturbance](newest)

        struck: list[UUID] = []
        return on_step

    def checkout(self) -> object:
        """Everything of the user's repository that Mason may not change."""
        refs = git(self.repository, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        kept = [ref for ref in refs if not ref.startswith(("refs/heads/mason/", "refs/mason/wip/"))]
        names = ("HEAD", "index", "config", "hooks")
        inner = {name: (self.repository / ".git" / name) for name in names}
        data = {name: path.read_bytes() for name, path in inner.items() if path.is_file()}
        return listing(self.repository, without=(".git",)), kept, data

    def branches(self) -> Mapping[str, str]:
        lines = git(self.repository, "for-each-ref", "--format=%(refname:short) %(objectname)", "refs/heads/mason")
        return dict(line.split(" ") for line in lines.splitlines())

    # -- what must be true -------------------------------------------------------------------------------------------

    def check(self, result: RunResult, calls: Sequence[tuple[UUID, Role]]) -> None:
        """Everything that holds after a run that ended by itself."""
        self.check_branches()
        ran = {each.item.id for each in result.results}
        for row in self.items():
            self.check_item(row, waits=row["id"] not in ran)
        self.check_results(result)
        self.check_moves()
        self.check_iterations(calls)
        self.check_progress()
        self.check_runs(result)

    def check_branches(self) -> None:
        assert all(had_passed for _, _, had_passed in self.journal.pushes), "pushed before its final gate had passed"
        for branch, tip in self.branches().items():
            assert tip in self.journal.passed, f"{branch} holds a commit that no final gate has passed"
            names = git(self.repository, "ls-tree", "-r", "-z", "--name-only", tip).split("\0")
            words = [name for name in names if name == "state.txt" or (name.startswith("src/") and "\n" not in name)]
            files = {name: git(self.repository, "show", f"{tip}:{name}") for name in words if name.endswith(".txt")}
            assert not flaws(files), f"{branch} is not good: {files}"
            for name in ("check.sh", ".github/mason.yml", "other/kept.txt"):
                assert git(self.repository, "show", f"{tip}:{name}") == REPOSITORY[name].strip(), f"{branch}: {name}"

    def check_item(self, row: Row, *, waits: bool) -> None:
        """Exactly one legal state, and columns that agree with it. An item that ``waits`` may tell of its last run."""
        status, title = ItemStatus(row["status"]), row["title"]
        if status is ItemStatus.IN_PROGRESS:
            assert row["claimed_by"] == THIEF, f"{title!r} was left in progress"
            return
        assert (row["claimed_by"], row["heartbeat_at"]) == (None, None), f"{title!r} is {status} and still claimed"
        failure, skip, passed = row["failure_reason"], row["skip_reason"], row["validation_passed"]
        assert "Mason itself failed" not in (failure or ""), failure
        assert failure or status is not ItemStatus.REJECTED, title
        ended = status in (ItemStatus.COMPLETED, ItemStatus.REJECTED)
        if waits and not ended:
            return
        if not waits:
            assert not failure or status is ItemStatus.REJECTED, (title, status, failure)
            assert not skip or status in (ItemStatus.DEFERRED, ItemStatus.NEW), (title, status, skip)
            assert not row["failed_base"] or status is ItemStatus.APPROVED
            legal = {ItemStatus.COMPLETED: (True, None), ItemStatus.REJECTED: (False,)}.get(status, (None,))
            assert passed in legal, (title, status, passed)
        shown = self.rows("select * from mason_execution_progress where item_id = %s", row["id"])
        assert len(shown) == ended, (title, status, shown)
        if passed:
            assert row["branch_name"] in self.branches(), f"{title!r} is completed without its branch"
        for progress in shown:
            assert progress["completed_at"], f"{title!r} has ended, its progress has not"
            values = {progress[f"validation_{name}"] for name in ("typescript", "eslint", "build", "tests")}
            assert ("fail" in values) == (status is ItemStatus.REJECTED)
            assert values <= (
                {"pass", "skipped"} if status is ItemStatus.COMPLETED else {"pass", "fail", "skipped", "pending"}
            )

    def check_results(self, result: RunResult) -> None:
        """What the run says is what the rows say."""
        rows = {row["id"]: row for row in self.items()}
        for each in result.results:
            row, outcome = rows.get(each.item.id), each.outcome
            if outcome.verdict is Verdict.LOST or row is None:
                assert each.item.id in self.disturbed, f"{each.item.title!r} was lost, and nobody took it"
                continue
            expected = {
                Verdict.COMPLETED: "completed",
                Verdict.ALREADY_RESOLVED: "completed",
                Verdict.DEFERRED: "deferred",
                Verdict.REJECTED: "rejected",
                Verdict.RELEASED: "approved",
                Verdict.CHANGED: "new",
            }[outcome.verdict]
            assert row["status"] == expected
            if outcome.verdict is Verdict.COMPLETED:
                assert self.branches()[row["branch_name"]] == outcome.commit
                assert row["branch_name"] in (plain_branch(each.item), own_branch(each.item))
            if outcome.verdict is Verdict.REJECTED:
                assert outcome.follow_up in rows and rows[outcome.follow_up]["status"] == "new"

    def check_moves(self) -> None:
        moves = self.rows("select * from remembered_moves order by place")
        for move in moves:
            assert ItemStatus(move["new"]) in LEGAL_MOVES[ItemStatus(move["old"])], move

    def check_iterations(self, calls: Sequence[tuple[UUID, Role]]) -> None:
        rows = self.rows(
            "select item_id, run_id, execution_attempt, array_agg(iteration_number order by iteration_number) "
            "as numbers from mason_pm_validation_iterations group by 1, 2, 3"
        )
        for row in rows:
            assert row["numbers"] == list(range(1, len(row["numbers"]) + 1)) and len(row["numbers"]) <= 5, row
        for item in {item for item, _ in calls}:
            assert calls.count((item, Role.FIX)) <= 5, "more than five fix iterations"

    def check_progress(self) -> None:
        highest: dict[tuple[object, ...], int] = {}
        for row in self.rows("select * from remembered_progress order by place"):
            key = (row["item"], row["run"], row["attempt"])
            assert row["percent"] >= highest.get(key, 0), f"progress fell: {row}"
            highest[key] = row["percent"]

    def check_runs(self, result: RunResult) -> None:
        for table in ("mason_remote_execution_runs", "mason_pm_execution_runs"):
            states = self.rows(f"select status from {table} where id = %s", result.run_id)
            assert [row["status"] for row in states] == ([result.status] if result.run_id else [])
