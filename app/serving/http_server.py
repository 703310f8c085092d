"""gunicorn, configured for Mason: threads in a few processes, each with connections of its own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import TConn, ThreadWorker

from app.serving.supervisor import GRACE
from app.web.bodies import Deadlines
from app.web.errors import TooSlow

Wsgi = Callable[..., Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """``workers`` counts processes, ``threads`` those of each."""

    host: str
    port: int
    workers: int
    threads: int


class _Logger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's own words go where all others go, as JSON."""

    def setup(self, cfg: Any) -> None:  # noqa: ANN401 - gunicorn's configuration
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's worker with threads, which gives a request's head no more time than a body: whoever stops in the
    middle of one would hold a thread for ever, and with a few connections all of them.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - gunicorn's own signature
        super().__init__(*args, **kwargs)
        self.heads = Deadlines()
        """For the heads of requests; bodies have their own."""

    def handle(self, conn: TConn) -> object:
        """One request on a connection; whether another one may follow on it."""
        with contextlib.suppress(TooSlow), contextlib.ExitStack() as head:
            head.enter_context(self.heads.over(conn.sock))
            conn.head = head
            return super().handle(conn)
        return False

    def handle_request(self, req: object, conn: TConn) -> object:
        """Its head is here."""
        with contextlib.suppress(TooSlow):  # at the last moment: it is answered all the same
            conn.head.close()
        return super().handle_request(req, conn)


class HttpServer(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """``make`` is called once in each worker, after the fork, so that no connection is shared. ``when_ready`` is told
    once that connections are accepted; ``at_exit`` of the process id of each worker that ended.
    """

    def __init__(
        self,
        address: Address,
        make: Callable[[], Wsgi],
        *,
        when_ready: Callable[[], None] = lambda: None,
        at_exit: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._address = address
        self._make = make
        self._when_ready = when_ready
        self._at_exit = at_exit
        super().__init__()

    def load_config(self) -> None:
        """Nothing is read from files or the environment."""
        shared_memory = Path("/dev/shm")  # noqa: S108 - where gunicorn keeps its heartbeats off the disk
        settings: dict[str, Any] = {
            "bind": [f"{self._address.host}:{self._address.port}"],
            "worker_class": Worker,
            "workers": self._address.workers,
            "threads": self._address.threads,
            "graceful_timeout": int(GRACE) - 2,
            "timeout": 60,
            "keepalive": 15,
            "backlog": 2048,
            "limit_request_line": 4094,
            "limit_request_fields": 60,
            "loglevel": "warning",
            "logger_class": _Logger,
            "control_socket_disable": True,
            "worker_tmp_dir": str(shared_memory) if shared_memory.is_dir() else None,
            "when_ready": lambda _: self._when_ready(),
            "child_exit": lambda _, worker: self._at_exit(worker.pid),
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def chdir(self) -> None:
        """Stay where we are: gunicorn would put the directory, a checkout, in front of Python's path."""

    def run(self) -> None:
        """Serve until a signal ends it."""
        ours = os.getpid()
        try:
            super().run()
        except SystemExit as end:
            if os.getpid() != ours:  # one of gunicorn's workers: nothing that its parent has opened is its to close
                os._exit(end.code if isinstance(end.code, int) else 1)
            raise

    def load(self) -> Wsgi:
        """The WSGI application of one worker."""
        return self._make()
