"""The app database on a DSN: requests, dispatches, and keys that are held (port `app.ports.app_database`)."""

# ruff: noqa: S608 - what is put into queries are names of columns, all written in this package

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any
from uuid import UUID

from app.database.connections import Connection, Connections
from app.database.leases import LEASE, LONGEST, RENEWAL, STANDS, Leases, fell
from app.database.queue import PUT, put_parameters
from app.database.rows import (
    DISPATCH_COLUMNS,
    REQUEST_COLUMNS,
    dispatch_row,
    read_answered,
    read_dispatch,
    read_request,
    storable,
)
from app.domain.commands import Request
from app.domain.dispatches import Dispatch
from app.domain.jobs import ReconcileRun
from app.errors import MasonError
from app.ports.app_database import Answered, Fence, Figures

POOL_SIZE = 8
_SHOWN = 20

_DISPATCH = ", ".join(DISPATCH_COLUMNS)
_REQUEST = ", ".join(REQUEST_COLUMNS)

_RECORD = f"""
with stored as (
  insert into dispatches ({_DISPATCH}) values ({", ".join(f"%({name})s" for name in DISPATCH_COLUMNS)})
  on conflict do nothing returning id
)
select {PUT} from stored
"""

_LIKE = f"""
select {_DISPATCH} from dispatches
where id = %(id)s or (same = %(same)s and same <> '' and state <> 'ended')
order by id = %(id)s desc limit 1
"""

_RACES = 5
"""Times that an equal dispatch may end while it is recorded again."""

_SAVE = f"""
with fence as ({STANDS}), written as (
  update dispatches set {", ".join(f"{name} = %({name})s" for name in DISPATCH_COLUMNS[1:])}
  from fence where id = %(id)s returning id
)
select exists (select from fence) as stands, exists (select from written) as found
"""

_ANSWER = f"""
with fence as ({STANDS}), written as (
  update requests set answer = %(answer)s, well = %(well)s, finished = %(finished)s
  from fence where requests.key = %(key)s returning requests.key
)
select exists (select from fence) as stands, exists (select from written) as found
"""

LATENCIES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, float("inf"))


class PostgresApp:
    """Connects at its first call, so it may be made before a fork. Usable from any thread."""

    def __init__(self, connections: Connections, leases: Leases) -> None:
        self._connections = connections
        self._leases = leases

    def now(self) -> datetime:
        moment: datetime = self._rows("select clock_timestamp() as now")[0]["now"]
        return moment

    def locked(self, key: str) -> AbstractContextManager[Fence]:
        return self._leases.hold(storable(key))

    def require(self, fence: Fence) -> None:
        self._leases.require(fence)

    def record(self, dispatch: Dispatch, *, after: float = 0.0) -> Dispatch:
        """One statement stores both, so there is never one without the other; unique indexes make it idempotent."""
        job = put_parameters(ReconcileRun(run_id=dispatch.id), after=after)
        for _ in range(_RACES):
            self._rows(_RECORD, {**dispatch_row(dispatch), **job})
            if (stored := self.like(dispatch.id, dispatch.same)) is not None:
                return stored
        raise MasonError(f"The dispatch {dispatch.id} is gone from the app database.")

    def like(self, run_id: UUID, same: str) -> Dispatch | None:
        rows = self._rows(_LIKE, {"id": run_id, "same": storable(same)})
        return read_dispatch(rows[0]) if rows else None

    def dispatch(self, run_id: UUID) -> Dispatch | None:
        rows = self._rows(f"select {_DISPATCH} from dispatches where id = %(id)s", {"id": run_id})
        return read_dispatch(rows[0]) if rows else None

    def save(self, fence: Fence, dispatch: Dispatch) -> None:
        self._write(_SAVE, fence, dispatch_row(dispatch), f"no dispatch {dispatch.id}")

    def unfinished(self) -> list[Dispatch]:
        query = f"select {_DISPATCH} from dispatches where state <> 'ended' order by created_at, id"
        return [read_dispatch(row) for row in self._rows(query)]

    def dispatches(
        self, *, repository: str | None, number: int | None = None, item: UUID | None = None
    ) -> list[Dispatch]:
        query = f"""
            select {_DISPATCH} from dispatches
            where lower(repository) is not distinct from lower(%(repository)s)
              and (%(number)s::bigint is null or number = %(number)s)
              and (%(item)s::uuid is null or %(item)s = any (items))
            order by state = 'ended', created_at desc, id limit {_SHOWN}
        """
        rows = self._rows(query, {"repository": repository, "number": number, "item": item})
        return [read_dispatch(row) for row in rows]

    def items_since(self, repository: str | None, since: datetime) -> int:
        query = """
            select coalesce(sum(cardinality(items)), 0) as items from dispatches
            where lower(repository) is not distinct from lower(%(repository)s)
              and work = 'run' and created_at >= %(since)s
        """
        return int(self._rows(query, {"repository": repository, "since": since})[0]["items"])

    def request(self, key: str) -> Answered | None:
        query = f"select {_REQUEST}, answer, well, finished from requests where key = %(key)s"
        rows = self._rows(query, {"key": storable(key)})
        return read_answered(rows[0]) if rows else None

    def answer(self, fence: Fence, key: str, answer: str, *, well: bool, finished: bool) -> None:
        written = {"key": storable(key), "answer": storable(answer), "well": well, "finished": finished}
        self._write(_ANSWER, fence, written, f"no request {key}")

    def unanswered(self) -> Sequence[Request]:
        rows = self._rows(f"select {_REQUEST} from requests where not finished order by heard_at, key")
        return [read_request(row) for row in rows]

    def figures(self) -> Figures:
        """Within the last day, as far as latency goes; how many of each state of all times."""
        states = self._rows("select state, count(*) as number, sum(cost_usd) as dollars from dispatches group by state")
        bounds = {f"at_most_{place}": bound for place, bound in enumerate(LATENCIES)}
        counted = ", ".join(f"count(*) filter (where took <= %({name})s) as {name}" for name in bounds)
        (latency,) = self._rows(
            f"select coalesce(sum(took), 0)::float8 as total, {counted} from ("
            " select extract(epoch from dispatched_at - created_at) as took from dispatches"
            " where dispatched_at > now() - interval '1 day') as handed_over",
            bounds,
        )
        return Figures(
            dispatches={row["state"]: row["number"] for row in states},
            latency={bound: latency[name] for name, bound in bounds.items()},
            latency_total=latency["total"],
            cost_usd=sum(row["dollars"] for row in states),
        )

    def forget(self, days: int) -> None:
        for query in (
            "delete from requests where finished and heard_at < now() - make_interval(days => %(days)s)",
            "delete from dispatches where ended_at < now() - make_interval(days => %(days)s)",
        ):
            self._do(query, {"days": days})

    def _do(self, query: str, parameters: Mapping[str, object]) -> None:
        def ask(there: Connection, _: bool) -> None:
            there.execute(query.encode(), parameters)

        self._connections.use(ask)

    def close(self) -> None:
        self._connections.close()

    def _write(self, query: str, fence: Fence, row: Mapping[str, object], missing: str) -> None:
        """One statement: the fence's row is locked while it writes, so nobody takes over in between."""
        (said,) = self._rows(query, {**row, "fence_key": fence.key, "fence_number": fence.number})
        if not said["stands"]:
            raise fell(fence)
        if not said["found"]:
            raise MasonError(f"The app database has {missing}.")

    def _rows(self, query: str, parameters: Mapping[str, object] | None = None) -> list[dict[str, Any]]:
        def ask(there: Connection, _: bool) -> list[dict[str, Any]]:
            return there.execute(query.encode(), parameters).fetchall()

        return self._connections.use(ask)


def app_database(
    dsn: str, *, pool_size: int = POOL_SIZE, lease: float = LEASE, renewal: float = RENEWAL, longest: float = LONGEST
) -> PostgresApp:
    """The app database of a DSN, which `schema.prepare` has brought up. Times in seconds, as in `leases`."""
    connections = Connections(dsn, pool_size=pool_size)
    return PostgresApp(connections, Leases(connections, lease=lease, renewal=renewal, longest=longest))
