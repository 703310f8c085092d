"""The tasks that procrastinate knows: each a line that calls its flow, inside the one border."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from procrastinate import App, JobContext

from app.bounded import start
from app.domain.job_rows import QUEUE, TASKS, from_row
from app.domain.jobs import AnswerRequest, Job, ReconcileBacklog, ReconcileExecution, ReconcileRun, Sweep
from app.errors import DatabaseUnreachable
from app.jobs.border import Border, Hung
from app.ports.job_queue import Trouble


@dataclass(frozen=True, kw_only=True, slots=True)
class Flows:
    """What jobs do. Each returns the seconds after which it wants to be called again, None when it is done."""

    reconcile_backlog: Callable[[], float | None]
    reconcile_run: Callable[[UUID], float | None]
    answer_request: Callable[[str], float | None]
    reconcile_execution: Callable[[UUID], float | None]
    sweep: Callable[[], float | None]

    def do(self, job: Job) -> float | None:
        match job:
            case ReconcileBacklog():
                return self.reconcile_backlog()
            case ReconcileRun(run_id=run_id):
                return self.reconcile_run(run_id)
            case AnswerRequest(key=key):
                return self.answer_request(key)
            case ReconcileExecution(execution_id=execution_id):
                return self.reconcile_execution(execution_id)
            case Sweep():
                return self.sweep()


def register(app: App, flows: Flows, border: Border, longest: float) -> set[int]:
    """Make the tasks known to the library's ``app``. Returns the ids of the jobs that are being done, a live set.

    A job that takes longer than so many seconds hangs: it counts as failed, and makes room for others.
    """
    doing: set[int] = set()

    async def task(context: JobContext, /, trouble: dict[str, int] | None = None, **arguments: object) -> None:
        """The flow runs in a thread of its own, which the end of the process need not wait for."""
        job_id = context.job.id or 0  # one that was taken out of the queue has an id
        doing.add(job_id)

        def cross(do: Callable[[Job], float | None]) -> None:
            job = from_row(context.job.task_name, arguments)
            border.cross(job_id, job, _read(trouble), lambda: do(job))

        async def work() -> None:
            try:
                await asyncio.wait_for(asyncio.wrap_future(start(lambda: cross(flows.do))), longest)
            except TimeoutError:  # whatever its thread still does is done by another as well, and falls at the fence
                await asyncio.wrap_future(start(lambda: cross(_hung)))

        try:
            await work()
        except asyncio.CancelledError:  # it took longer than a stop may take: somebody else does it again
            with contextlib.suppress(DatabaseUnreachable):  # then it is given back once our heartbeat is missed
                await asyncio.wrap_future(start(lambda: border.queue.give_back(job_id)))
            raise
        finally:
            doing.discard(job_id)

    for name in TASKS:
        app.task(name=name, queue=QUEUE, pass_context=True)(task)
    return doing


def _hung(_: Job) -> float | None:
    raise Hung


def _read(trouble: dict[str, int] | None) -> Trouble | None:
    return Trouble(tries=trouble.get("tries", 0), failures=trouble.get("failures", 0)) if trouble else None
