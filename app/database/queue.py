"""The job queue in the app database: procrastinate's table, filled and looked at (ports `app.ports.job_queue`).

What is done to the table is in `migrations/002_jobs.sql`; the library's worker takes the jobs out.
"""

# ruff: noqa: S608 - what is put into queries are names of columns, all written in this package

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from psycopg.types.json import Jsonb

from app.database.connections import Connection, Connections
from app.database.rows import REQUEST_COLUMNS, request_row, storable
from app.domain.commands import Request
from app.domain.job_rows import to_row
from app.domain.jobs import AnswerRequest, Job
from app.ports.job_queue import ParkedJob, QueueState, TaskState, Trouble

PUT = """
put_job(
  %(put_task)s, %(put_lock)s, %(put_name)s,
  jsonb_set(%(put_args)s, '{trouble,not_before}',
            to_jsonb(clock_timestamp() + make_interval(secs => %(put_not_before)s))),
  clock_timestamp() + make_interval(secs => %(put_after)s)
) as put
"""
"""An expression that puts a job in, with `put_parameters`. All times are of the database's clock."""

_HEAR = f"""
with heard as (
  insert into requests ({", ".join(REQUEST_COLUMNS)}) values ({", ".join(f"%({name})s" for name in REQUEST_COLUMNS)})
  on conflict (key) do nothing returning key
)
select {PUT} from heard
"""

_STATE = """
select task_name as task,
  count(*) filter (where status = 'todo') as waiting,
  count(*) filter (where status = 'doing') as doing,
  count(*) filter (where status = 'failed') as parked,
  coalesce(extract(epoch from clock_timestamp() - min(scheduled_at) filter (
    where status = 'todo' and scheduled_at <= clock_timestamp()
  )), 0)::float8 as age
from procrastinate_jobs where status in ('todo', 'doing', 'failed') group by task_name order by task_name
"""

_PARKED = """
select id, task_name, args, attempts, (select max(at) from procrastinate_events where job_id = job.id) as failed_at
from procrastinate_jobs job where status = 'failed' order by id limit 200
"""

_CLEAR_PARKED = "delete from procrastinate_jobs where queueing_lock = %(name)s and status = 'failed'"


class PostgresQueue:
    """``JobQueue``, ``QueueView`` and ``WorkQueue``. Connects at its first call; usable from any thread."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def defer(self, job: Job, *, after: float = 0.0) -> None:
        self._rows(f"select {PUT}", put_parameters(job, after=after))

    def hear(self, request: Request) -> bool:
        """The unique key makes it idempotent; one statement stores the request and its job.

        Where the first answer was lost, nobody knows whether it was heard before, and a second yes is harmless.
        """
        row = request_row(request)
        job = AnswerRequest(key=str(row["key"]), repository=str(row["repository"]), number=request.number)
        parameters = {**row, **put_parameters(job)}

        def ask(there: Connection, again: bool) -> bool:
            return bool(there.execute(_HEAR.encode(), parameters).fetchall()) or again

        return self._connections.use(ask)

    def queue_state(self) -> QueueState:
        rows = self._rows(_STATE)
        tasks = tuple(
            TaskState(task=row["task"], waiting=row["waiting"], doing=row["doing"], parked=row["parked"])
            for row in rows
        )
        return QueueState(
            waiting=sum(task.waiting for task in tasks),
            doing=sum(task.doing for task in tasks),
            parked=sum(task.parked for task in tasks),
            age=max((row["age"] for row in rows), default=0.0),
            tasks=tasks,
        )

    def parked(self) -> list[ParkedJob]:
        return sorted(map(_parked, self._rows(_PARKED)), key=lambda job: job.since)

    def retry_parked(self, job_id: int) -> bool:
        return bool(self._rows("select retry_parked_job(%(id)s) as found", {"id": job_id})[0]["found"])

    def ping(self) -> None:
        self._rows("select 1 as one")

    def follow_up(self, job: Job, *, after: float, trouble: Trouble, not_before: float = 0.0) -> None:
        self._rows(f"select {PUT}", put_parameters(job, after=after, trouble=trouble, not_before=not_before))

    def is_parked(self, job: Job) -> bool:
        query = "select from procrastinate_jobs where queueing_lock = %(name)s and status = 'failed' limit 1"
        return bool(self._rows(query, {"name": to_row(job).name}))

    def park(self, job_id: int, error: str, trouble: Trouble) -> None:
        parameters = {"id": job_id, "error": storable(error), "trouble": Jsonb(_document(trouble))}
        self._rows("select park_job(%(id)s, %(error)s, %(trouble)s)", parameters)

    def succeeded(self, job: Job) -> None:
        self._do(_CLEAR_PARKED, {"name": to_row(job).name})

    def give_back(self, job_id: int) -> None:
        self._rows("select give_back_job(%(id)s, false, 1)", {"id": job_id})

    def doing(self, worker_id: int) -> set[int]:
        query = "select id from procrastinate_jobs where status = 'doing' and worker_id = %(worker)s"
        return {row["id"] for row in self._rows(query, {"worker": worker_id})}

    def revive(self, *, dead_after: float, unknown: set[int], most_failures: int) -> int:
        parameters = {"dead_after": dead_after, "unknown": sorted(unknown), "most": most_failures}
        query = "select revive_jobs(%(dead_after)s, %(unknown)s::bigint[], %(most)s) as revived"
        return int(self._rows(query, parameters)[0]["revived"])

    def close(self) -> None:
        """Give back every connection."""
        self._connections.close()

    def _rows(self, query: str, parameters: Mapping[str, object] | None = None) -> list[dict[str, Any]]:
        return self._connections.use(lambda there, _: there.execute(query.encode(), parameters).fetchall())

    def _do(self, query: str, parameters: Mapping[str, object]) -> None:
        self._connections.use(lambda there, _: there.execute(query.encode(), parameters))


def job_queue(dsn: str, *, pool_size: int = 8) -> PostgresQueue:
    """The queue of a DSN, which `schema.prepare` has brought up."""
    return PostgresQueue(Connections(dsn, pool_size=pool_size))


def put_parameters(
    job: Job, *, after: float = 0.0, trouble: Trouble | None = None, not_before: float = 0.0
) -> dict[str, object]:
    """What `PUT` needs. Whoever comes after a failure waits in nobody's way: it has no lock."""
    row = to_row(job)
    arguments: dict[str, object] = dict(row.arguments)
    if trouble:
        arguments["trouble"] = _document(trouble)
    return {
        "put_task": row.task,
        "put_lock": None if trouble else row.lock,
        "put_name": row.name,
        "put_args": Jsonb(arguments),
        "put_after": after,
        "put_not_before": not_before,
    }


def _document(trouble: Trouble) -> dict[str, Any]:
    return {"tries": trouble.tries, "failures": trouble.failures}


def _parked(row: Mapping[str, Any]) -> ParkedJob:
    arguments: dict[str, Any] = row["args"]
    trouble: dict[str, Any] = arguments.get("trouble") or {}
    since = datetime.fromisoformat(trouble["since"]) if "since" in trouble else row["failed_at"]
    return ParkedJob(
        id=row["id"],
        task=row["task_name"],
        about=" ".join(str(value) for name, value in sorted(arguments.items()) if name != "trouble"),
        attempts=trouble.get("failures", row["attempts"]),
        error=trouble.get("reason", "This Mason does not know such a job"),
        since=since or datetime.now(UTC),
    )
