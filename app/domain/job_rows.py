"""Jobs as a queue stores them: a name, and a document of their arguments (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from uuid import UUID

from app.domain.jobs import AnswerRequest, Job, ReconcileBacklog, ReconcileExecution, ReconcileRun, Sweep

QUEUE = "mason"

TASKS: Mapping[str, type[Job]] = {
    "reconcile_backlog": ReconcileBacklog,
    "reconcile_run": ReconcileRun,
    "answer_request": AnswerRequest,
    "reconcile_execution": ReconcileExecution,
    "sweep": Sweep,
}
"""The name of each job; it stands in rows, so it never changes."""

_NAMES = {kind: name for name, kind in TASKS.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class JobRow:
    """``name`` is the same for jobs of which one is enough; of jobs with the same ``lock`` one is done at a time."""

    task: str
    name: str
    lock: str
    arguments: dict[str, str | int]


def to_row(job: Job) -> JobRow:
    match job:
        case ReconcileRun(run_id=run_id):
            name = lock = f"reconcile_run {run_id}"
        case ReconcileExecution(execution_id=execution_id):
            name = lock = f"reconcile_execution {execution_id}"
        case AnswerRequest(key=key, repository=repository, number=number):
            name, lock = f"answer_request {key}", f"place {repository}#{number}"
        case _:
            name = lock = _NAMES[type(job)]
    arguments = {field.name: _plain(getattr(job, field.name)) for field in fields(job)}
    return JobRow(task=_NAMES[type(job)], name=name, lock=lock, arguments=arguments)


def from_row(task: str, arguments: Mapping[str, object]) -> Job:
    """Raises ValueError for what is no job of this Mason's."""
    try:
        match task:
            case "reconcile_run":
                return ReconcileRun(run_id=UUID(str(arguments["run_id"])))
            case "reconcile_execution":
                return ReconcileExecution(execution_id=UUID(str(arguments["execution_id"])))
            case "answer_request":
                return AnswerRequest(
                    key=str(arguments["key"]),
                    repository=str(arguments["repository"]),
                    number=int(str(arguments["number"])),
                )
            case "reconcile_backlog":
                return ReconcileBacklog()
            case "sweep":
                return Sweep()
    except KeyError as missing:
        raise ValueError(f"The job {task} lacks {missing}") from None
    raise ValueError(f"This Mason knows no job {task[:40]!r}")


def _plain(value: object) -> str | int:
    return value if isinstance(value, int) else str(value)
