"""`mason jobs`: what the web app's queue holds, for its operator."""

from __future__ import annotations

from pathlib import Path

from app.errors import UsageError
from app.log import printable
from app.ports.job_queue import ParkedJob, QueueView
from app.settings import Settings, state_dir
from app.wiring import web_app
from app.wiring.databases import app_database_of


def show_jobs(settings: Settings, repository: Path, again: int | None) -> str:
    """The queue as text; with ``again``, a parked job goes back to work first. Raises UsageError when there is none."""
    with app_database_of(settings, state_dir(settings, repository)) as named, web_app.queue_view(named) as queue:
        if again is not None and not queue.retry_parked(again):
            raise UsageError(f"There is no parked job {again}")
        return as_text(queue)


def as_text(queue: QueueView) -> str:
    """A line a task, then a line a parked job."""
    state = queue.queue_state()
    lines = [f"{state.waiting} waiting, {state.doing} being done, {state.parked} parked"]
    lines += [
        f"  {task.task:<20} {task.waiting:>4} waiting  {task.doing:>4} being done  {task.parked:>4} parked"
        for task in state.tasks
    ]
    parked = queue.parked()
    if parked:
        lines += ["", "Parked (mason jobs --retry ID):", *(_line(job) for job in parked)]
    return "\n".join(lines)


def _line(job: ParkedJob) -> str:
    since = f"{job.since:%Y-%m-%d %H:%M} UTC"
    return printable(f"  {job.id:>6}  {job.task} {job.about}, {job.attempts} failures since {since}: {job.error}")
