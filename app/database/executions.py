"""Executions and workspaces in the app database (port `app.ports.executions`)."""

# ruff: noqa: S608 - what is put into queries are names of columns, all written here

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from app.database.connections import Connection, Connections
from app.database.queue import PUT, put_parameters
from app.database.rows import storable
from app.domain.executions import (
    LEASE,
    LIFETIME,
    MOST_OPEN,
    Execution,
    ExecutionOutput,
    ExecutionResult,
    ExecutionStatus,
    Workspace,
)
from app.domain.jobs import ReconcileExecution
from app.domain.results import Usage
from app.log import map_text
from app.ports.executions import Allotment, Watch

Row = Mapping[str, Any]

_ASKED = "id, worker_id, work_item_id, template_id, prompt, gate"
_COLUMNS = f"{_ASKED}, status, error, output, usage, claimed_by, created_at, started_at, completed_at"
_ALL = ", ".join(f"e.{name}" for name in _COLUMNS.split(", "))
_WORKSPACE = """
select w.id, w.execution_id, e.worker_id, e.work_item_id, w.repository, w.path, w.branch,
  w.created_at, w.completed_at, w.cleanup_at
from workspaces w join executions e on e.id = w.execution_id
where w.removed_at is null
"""

_RECORD = f"""
with stored as (
  insert into executions ({_ASKED}) select {", ".join(f"%({name})s" for name in _ASKED.split(", "))}
  where (select count(*) from executions where completed_at is null) < %(most)s
  on conflict (id) do nothing returning id
)
select {PUT} from stored
"""

_WATCH = f"""
select {_COLUMNS},
  coalesce(heartbeat_at <= clock_timestamp() - %(lease)s, true) as silent,
  clock_timestamp() - created_at as age,
  clock_timestamp() - completed_at as since_end,
  exists (select from workspaces w where w.execution_id = executions.id and w.completed_at is null) as occupied
from executions where id = %(id)s
"""

_CANCEL = f"""
with cancelled as (
  update executions e set status = 'cancelled', completed_at = clock_timestamp()
  where id = %(id)s and status in ('pending', 'running') returning {_ALL}
), told as (select {PUT} from cancelled)
select cancelled.* from cancelled, told
"""

_TAKE = f"""
update executions e
set status = 'running', claimed_by = %(by)s, started_at = clock_timestamp(), heartbeat_at = clock_timestamp()
where id = %(id)s and (status = 'pending' or status = 'running' and claimed_by = %(by)s) returning {_ALL}
"""

# What was spent is told whatever has become of the row: also who was cancelled, or is taken for lost, has paid.
_RENEW = """
update executions set spent_usd = greatest(spent_usd, %(spent)s::float8),
  heartbeat_at = case when status = 'running' then clock_timestamp() else heartbeat_at end
where id = %(id)s and claimed_by = %(by)s returning status = 'running' as running
"""

_LEAVE = """
update workspaces set completed_at = now(), cleanup_at = now() + %(lifetime)s
where execution_id = %(id)s and completed_at is null
"""

_FINISH = f"""
with ended as (
  update executions
  set status = %(status)s, error = %(error)s, output = %(output)s, usage = %(usage)s, completed_at = clock_timestamp()
  where id = %(id)s and status = 'running' and claimed_by = %(by)s returning id
), spent as (
  update executions set output = %(output)s, usage = %(usage)s
  where id = %(id)s and status = 'cancelled' and claimed_by = %(by)s
), left_behind as ({_LEAVE})
select exists (select from ended) as ended
"""

_ENDED_SO = "select from executions where id = %(id)s and claimed_by = %(by)s and status = %(status)s"

_FAIL = """
update executions set status = 'error', error = %(error)s, completed_at = clock_timestamp()
where id = %(id)s and status = %(status)s and claimed_by = %(by)s and completed_at is null returning id
"""

# The few of the last hours first: of workspaces there may be those of three months.
_SPENT = """
with recent as materialized (
  select id, (usage ->> 'cost_usd')::float8 as cost_usd, budget_usd, spent_usd from executions
  where completed_at is null or completed_at > now() - make_interval(secs => %(hours)s::float8 * 3600)
), counted as (
  select e.id, w.repository, least(
    coalesce(e.cost_usd, greatest(case when w.completed_at is null then e.budget_usd end, e.spent_usd)), 1e9
  ) as dollars
  from recent e join workspaces w on w.execution_id = e.id
)
select coalesce(sum(e.dollars), 0)::float8 as dollars from counted e
where lower(e.repository) is not distinct from lower(%(repository)s)
"""

_ALLOTTING = 0x6D61736F6E646179  # "masonday"

_ALLOT = f"""
with used as ({_SPENT} and e.id <> %(id)s)
update executions e set budget_usd = least(
  %(most)s::float8, case when %(left)s::float8 is not null then greatest(%(left)s::float8 - used.dollars, 0) end
)
from used where e.id = %(id)s and e.status = 'running' and e.claimed_by = %(by)s
returning e.budget_usd as budget, used.dollars as used
"""

_ENTER = """
insert into workspaces (id, execution_id, repository, path, branch, created_at, cleanup_at)
select %(workspace)s, id, %(repository)s, %(path)s, %(branch)s, now(), now() + %(lifetime)s
from executions where id = %(id)s and status = 'running'
on conflict (id) do update set path = excluded.path returning id
"""

_UNSETTLED = """
select id, created_at from executions where completed_at is null
union
select e.id, e.created_at from executions e join workspaces w on w.execution_id = e.id where w.completed_at is null
order by created_at, id
"""

_FORGET = """
delete from executions e where completed_at < clock_timestamp() - make_interval(days => %(days)s)
  and not exists (select from workspaces w where w.execution_id = e.id and w.removed_at is null)
"""


class PostgresExecutions:
    """Connects at its first call, so it may be made before a fork. Usable from any thread."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def record(self, execution: Execution) -> bool:
        """One statement stores both, so there is never one without the other; the id makes it idempotent."""
        asked = {name: getattr(execution, name) for name in _ASKED.split(", ")}
        job = put_parameters(ReconcileExecution(execution_id=execution.id))
        row = {**asked, **job, "prompt": storable(execution.prompt), "most": MOST_OPEN}
        return bool(self._rows(_RECORD, row)) or self.execution(execution.id) is not None

    def execution(self, execution_id: UUID) -> Execution | None:
        rows = self._rows(f"select {_COLUMNS} from executions where id = %(id)s", {"id": execution_id})
        return _execution(rows[0]) if rows else None

    def watch(self, execution_id: UUID) -> Watch | None:
        rows = self._rows(_WATCH, {"id": execution_id, "lease": LEASE})
        if not rows:
            return None
        seen = {name: rows[0][name] for name in ("silent", "age", "since_end", "occupied")}
        return Watch(execution=_execution(rows[0]), **seen)

    def cancel(self, execution_id: UUID) -> Execution | None:
        job = put_parameters(ReconcileExecution(execution_id=execution_id))
        parameters = {"id": execution_id, **job}

        def ask(there: Connection, again: bool) -> Execution | None:
            rows = there.execute(_CANCEL.encode(), parameters).fetchall()
            if not rows and again:  # the first answer was lost: it may have been this very cancel
                query = f"select {_COLUMNS} from executions where id = %(id)s and status = 'cancelled'"
                rows = there.execute(query.encode(), parameters).fetchall()
            return _execution(rows[0]) if rows else None

        return self._connections.use(ask)

    def take(self, execution_id: UUID, claimed_by: str) -> Execution | None:
        rows = self._rows(_TAKE, {"id": execution_id, "by": claimed_by})
        return _execution(rows[0]) if rows else None

    def renew(self, execution_id: UUID, claimed_by: str, *, spent: float = 0.0) -> bool:
        rows = self._rows(_RENEW, {"id": execution_id, "by": claimed_by, "spent": spent})
        return bool(rows and rows[0]["running"])

    def finish(self, execution_id: UUID, claimed_by: str, result: ExecutionResult) -> bool:
        result = map_text(result, storable)
        status = ExecutionStatus.ERROR if result.error else ExecutionStatus.SUCCESS
        parameters = {
            **{"id": execution_id, "by": claimed_by, "status": status.value, "error": result.error},
            **{"output": Jsonb(asdict(result.output)), "usage": Jsonb(asdict(result.usage)), "lifetime": LIFETIME},
        }

        def ask(there: Connection, again: bool) -> bool:
            (said,) = there.execute(_FINISH.encode(), parameters).fetchall()
            return bool(said["ended"]) or (again and bool(there.execute(_ENDED_SO.encode(), parameters).fetchall()))

        return self._connections.use(ask)

    def fail(self, execution: Execution, error: str) -> bool:
        seen = {"id": execution.id, "status": execution.status.value, "by": execution.claimed_by}
        return bool(self._rows(_FAIL, {**seen, "error": storable(error)}))

    def spent_since(self, repository: str | None, hours: float) -> float:
        """An execution without a workspace has not spent anything; rows of workspaces stay for as long as its own."""
        return float(self._rows(_SPENT, {"repository": repository, "hours": hours})[0]["dollars"])

    def allot(
        self, execution: Execution, repository: str | None, *, hours: float, most: float | None, left: float | None
    ) -> Allotment | None:
        parameters = {
            **{"id": execution.id, "by": execution.claimed_by, "repository": repository, "hours": hours},
            **{"most": most, "left": left},
        }

        def ask(there: Connection, _: bool) -> Allotment | None:
            with there.transaction():
                there.execute("select pg_advisory_xact_lock(%s)", (_ALLOTTING,))
                rows = there.execute(_ALLOT.encode(), parameters).fetchall()  # sees whoever had the lock before
            return Allotment(**rows[0]) if rows else None

        return self._connections.use(ask)

    def enter(self, workspace: Workspace) -> bool:
        parameters = {
            **{"workspace": workspace.id, "id": workspace.execution_id, "lifetime": LIFETIME},
            **{name: getattr(workspace, name) for name in ("repository", "path", "branch")},
        }
        return bool(self._rows(_ENTER, parameters))

    def leave(self, execution_id: UUID) -> None:
        self._rows(f"{_LEAVE} returning id", {"id": execution_id, "lifetime": LIFETIME})

    def unsettled(self) -> Sequence[UUID]:
        return [row["id"] for row in self._rows(_UNSETTLED)]

    def pending(self, most: int) -> Sequence[UUID]:
        query = "select id from executions where status = 'pending' order by created_at, id limit %(most)s"
        return [row["id"] for row in self._rows(query, {"most": most})]

    def workspace(self, workspace_id: UUID) -> Workspace | None:
        rows = self._rows(f"{_WORKSPACE} and w.id = %(id)s", {"id": workspace_id})
        return Workspace(**rows[0]) if rows else None

    def workspaces(self, *, due: bool = False) -> Sequence[Workspace]:
        over = "and w.completed_at is not null and w.cleanup_at <= clock_timestamp()" if due else ""
        return [Workspace(**row) for row in self._rows(f"{_WORKSPACE} {over} order by w.created_at desc, w.id")]

    def removed(self, workspace_id: UUID) -> bool:
        query = """
            update workspaces set removed_at = clock_timestamp()
            where id = %(id)s and removed_at is null and completed_at is not null returning id
        """
        return bool(self._rows(query, {"id": workspace_id}))

    def forget(self, days: int) -> None:
        self._rows(f"{_FORGET} returning id", {"days": days})

    def close(self) -> None:
        """Give back every connection."""
        self._connections.close()

    def _rows(self, query: str, parameters: Mapping[str, object] | None = None) -> list[dict[str, Any]]:
        def ask(there: Connection, _: bool) -> list[dict[str, Any]]:
            return there.execute(query.encode(), parameters).fetchall()

        return self._connections.use(ask)


def stored_executions(dsn: str, *, pool_size: int = 4) -> PostgresExecutions:
    """The executions in the app database of a DSN, which `schema.prepare` has brought up."""
    return PostgresExecutions(Connections(dsn, pool_size=pool_size))


def _execution(row: Row) -> Execution:
    plain = {name: row[name] for name in _COLUMNS.split(", ")}
    lists = {name: tuple(row["output"].get(name, ())) for name in ("files_changed", "logs")}
    return Execution(
        **{
            **plain,
            "status": ExecutionStatus(row["status"]),
            "output": ExecutionOutput(**{**row["output"], **lists}),
            "usage": Usage(**row["usage"]),
        }
    )
