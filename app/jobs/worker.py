"""The worker: procrastinate's, started again whenever it ends, with a keeper beside it that brings lost jobs back."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg
from procrastinate import App
from procrastinate.connector import BaseAsyncConnector
from procrastinate.exceptions import ProcrastinateException
from procrastinate.worker import Worker

from app.bounded import start
from app.domain.job_rows import QUEUE
from app.domain.jobs import Sweep
from app.errors import MasonError
from app.jobs.border import MOST_FAILURES, Border
from app.jobs.tasks import Flows, register
from app.ports.job_queue import WorkQueue
from app.process import Stop

log = logging.getLogger("mason")

_TICK = 1.0
_STOP_TICK = 0.1
_POLL = 1.0
"""Seconds between looks for jobs that have become due; new ones are told of at once."""

_FIRST_REST, _LONGEST_REST = 0.2, 5.0
_CLOSING = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Rhythm:
    """Seconds: between heartbeats, without one until a worker counts as dead, between sweeps, from a stop until jobs
    that still run are left to others, and without a stop (as long as a key is held: then another can go on).
    """

    heartbeat: float = 1.0
    dead_after: float = 4.0
    sweep: float = 60.0
    grace: float = 25.0
    longest: float = 600.0


@dataclass(kw_only=True, slots=True)
class _Post:
    """What each of the library's workers is made with, and the one that is there now, with the jobs that it is doing:
    written by the loop, read by the keeper.
    """

    connect: Callable[[], BaseAsyncConnector]
    flows: Flows
    border: Border
    concurrency: int
    rhythm: Rhythm
    worker: Worker | None = None
    doing: set[int] = field(default_factory=set)

    @property
    def worker_id(self) -> int | None:
        return self.worker.worker_id if self.worker else None


def work(
    queue: WorkQueue,
    connect: Callable[[], BaseAsyncConnector],
    flows: Flows,
    stop: Stop,
    *,
    concurrency: int = 4,
    rhythm: Rhythm | None = None,
    redact: Callable[[str], str] = str,
) -> None:
    """Do jobs until the stop, whatever happens to the database meanwhile. ``connect`` makes a fresh connector.

    After the stop no job is begun; those that run may end within the grace, then they are given back and this returns.
    Their threads are left to end with the process.
    """
    for wordy in ("procrastinate.utils", "procrastinate.worker.mason"):  # tracebacks of what is told here in a sentence
        logging.getLogger(wordy).setLevel(logging.CRITICAL)
    stop.heeded = True
    post = _Post(
        connect=connect,
        flows=flows,
        border=Border(queue=queue, redact=redact),
        concurrency=concurrency,
        rhythm=rhythm or Rhythm(),
    )
    over = threading.Event()
    keeper = threading.Thread(target=_keep, args=(queue, post, over), name="keeper", daemon=True)
    keeper.start()
    try:
        asyncio.run(_work(post, stop))
    finally:
        over.set()
        keeper.join(_CLOSING)


async def _work(post: _Post, stop: Stop) -> None:
    """One worker after the other: the library's ends when the database goes away, without saying so."""
    asyncio.get_running_loop().set_exception_handler(_note)
    rest = _FIRST_REST
    while not stop.is_set():
        begun = time.monotonic()
        try:
            # The library would wait for its connections for half a minute, deaf to a stop and to the database's return.
            await asyncio.wrap_future(start(post.border.queue.ping))
            await _one_worker(post, stop)
        except (MasonError, ProcrastinateException, psycopg.Error) as problem:
            level = logging.WARNING if rest == _FIRST_REST else logging.DEBUG  # an outage is told once
            log.log(level, "The worker lost its database: %s", problem.__cause__ or problem)
        if time.monotonic() - begun > 2 * _LONGEST_REST:
            rest = _FIRST_REST
        await _pause(stop, rest)
        rest = min(2 * rest, _LONGEST_REST)


async def _one_worker(post: _Post, stop: Stop) -> None:
    """Until the library's worker has ended, by itself or because of the stop."""
    app = App(connector=post.connect())
    post.doing = register(app, post.flows, post.border, post.rhythm.longest)
    worker = post.worker = Worker(
        app,
        queues=[QUEUE],
        name="mason",
        concurrency=post.concurrency,
        fetch_job_polling_interval=_POLL,
        shutdown_graceful_timeout=post.rhythm.grace,
        delete_jobs="successful",
        install_signal_handlers=False,
        update_heartbeat_interval=post.rhythm.heartbeat,
        stalled_worker_timeout=post.rhythm.dead_after,
    )
    try:
        await app.open_async()
        running = asyncio.create_task(worker.run())  # type: ignore[no-untyped-call]
        while not (running.done() or stop.is_set()):
            await asyncio.wait({running}, timeout=_STOP_TICK)
        log.info("The worker takes no more jobs")
        while not running.done():
            worker.stop()  # type: ignore[no-untyped-call]  # again: one that has just begun forgets an earlier word
            await asyncio.wait({running}, timeout=_STOP_TICK)
        await running
    finally:
        await app.close_async()


async def _pause(stop: Stop, seconds: float) -> None:
    until = time.monotonic() + seconds
    while not stop.is_set() and time.monotonic() < until:
        await asyncio.sleep(_STOP_TICK)


def _keep(queue: WorkQueue, post: _Post, over: threading.Event) -> None:
    """Every second: jobs that nobody does any more go back to work, and a sweep waits."""
    missing: set[int] = set()
    sweep_after, away = 0.0, False  # the first sweep is now: nobody knows what was missed
    while True:
        try:
            queue.defer(Sweep(), after=sweep_after)
            missing = _revive(queue, post, missing)
            sweep_after, away = post.rhythm.sweep, False
        except MasonError as problem:
            if not away:
                log.warning("Lost jobs are not looked for now: %s", problem)
            away = True
        if over.wait(_TICK):
            return


def _revive(queue: WorkQueue, post: _Post, missing: set[int]) -> set[int]:
    """Bring lost jobs back. Returns those that the queue believes us to be doing and we are not: lost as well if they
    are still there at the next look, because a word to the queue was lost.
    """
    worker_id = post.worker_id
    now_missing = queue.doing(worker_id) - post.doing if worker_id is not None else set()
    lost = queue.revive(dead_after=post.rhythm.dead_after, unknown=missing & now_missing, most_failures=MOST_FAILURES)
    if lost:
        log.warning("%d lost jobs are done again", lost)
    return now_missing


def _note(_: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """What nobody awaited: a job's end that the queue does not want to hear, because somebody else has the job."""
    log.warning("The worker met: %s", context.get("exception") or context.get("message"))
