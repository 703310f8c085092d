"""The spool: rows that the database could not take, kept on disk until it can. One file a run, JSON lines.

A file is one line a row, ``{"kind": …, "row": …}``. Every write of the backlog is idempotent and fenced, so a file that
is written back twice, or late, does no harm. What lies there is hostile until parsed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError, from_json

from app.domain.progress import Progress
from app.errors import DatabaseRefused, MasonError
from app.ports.backlog import Backlog, ItemEventRow, IterationRow, LogRow, TaskRow
from app.reporting.outbox import BATCH, EVENTS, ITERATIONS, LOGS, PROGRESS, TASKS

log = logging.getLogger("mason")

LIMIT = 20_000_000
"""Bytes of one file; rows beyond that are dropped, debug rows first."""

_SET_ASIDE = ".bad"

_ROW_OF_KIND: Mapping[str, type] = {
    PROGRESS: Progress,
    TASKS: TaskRow,
    ITERATIONS: IterationRow,
    EVENTS: ItemEventRow,
    LOGS: LogRow,
}


class Spool:
    """A directory of such files, which runners of the same database share."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def keep(self, name: str, rows: Sequence[tuple[str, object]]) -> Path | None:
        """Keep rows (kind and row), the most important first, in a new file; None, with a warning, when it failed."""
        file = self._directory / f"{name}.jsonl"
        lines, size = [], 0
        for kind, row in rows:
            line = _line(kind, row)
            if line is None or size + len(line) > LIMIT:
                continue
            lines.append(line)
            size += len(line)
        try:
            self._write(file, lines)
        except OSError as problem:
            log.warning("%d rows of progress and log are lost, they cannot be kept on disk: %s", len(rows), problem)
            return None
        log.warning("%d rows of progress and log wait in %s; the next run writes them", len(lines), file)
        if dropped := len(rows) - len(lines):
            log.warning("%d rows of progress and log are lost: %s is full", dropped, file.name)
        return file

    def write_back(self, backlog: Backlog) -> None:
        """Write every file that no other runner is at, and remove it. While the database is away, they stay."""
        for file in sorted(self._directory.glob("*.jsonl")):
            try:
                with _claimed(file) as content:
                    if content is not None:
                        self._write_file_back(file, content, backlog)
                        file.unlink()
            except _Unusable as problem:
                self._set_aside(file, str(problem))
            except FileNotFoundError:  # another runner was faster
                continue
            except OSError as problem:
                log.warning("%s cannot be read back: %s", file, problem)
            except MasonError:  # the database is away: the file waits on
                return

    def _write_file_back(self, file: Path, content: bytes, backlog: Backlog) -> None:
        good: dict[str, list[tuple[bytes, Any]]] = {kind: [] for kind in _ROW_OF_KIND}
        bad: list[bytes] = []
        for line in filter(None, content.split(b"\n")):
            try:
                kind, row = _parsed(line)
            except (ValueError, KeyError, TypeError):
                bad.append(line)
            else:
                good[kind].append((line, row))
        for kind, write in _writers(backlog).items():
            for start in range(0, len(good[kind]), BATCH):
                batch = good[kind][start : start + BATCH]
                try:
                    write([row for _, row in batch])
                except DatabaseRefused:
                    bad += [line for line, _ in batch]
        if bad:
            aside = file.with_name(f"{file.name}{_SET_ASIDE}")
            self._write(aside, [line + b"\n" for line in bad])
            log.warning("%d rows of %s cannot be used, they are set aside in %s", len(bad), file.name, aside)

    def _write(self, file: Path, lines: Sequence[bytes]) -> None:
        """All or nothing, and for nobody else's eyes."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = file.with_name(f".{uuid4()}")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                out.writelines(lines)
                out.flush()
                os.fsync(out.fileno())
            draft.replace(file)
        finally:
            draft.unlink(missing_ok=True)

    def _set_aside(self, file: Path, why: str) -> None:
        aside = file.with_name(f"{file.name}{_SET_ASIDE}")
        with contextlib.suppress(OSError):
            file.rename(aside)
        log.warning("%s %s, it is set aside as %s", file, why, aside.name)


class _Unusable(Exception):
    """A file that holds no rows."""


@contextmanager
def _claimed(file: Path) -> Iterator[bytes | None]:
    """The content of a file that is ours alone inside the block; None for one that another runner is at.

    The claim is a lock, so that it ends with its holder, however that ends.
    """
    with os.fdopen(_opened(file), "rb") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        about = os.fstat(opened.fileno())
        if about.st_size > LIMIT:
            raise _Unusable("is too large")
        yield opened.read() if about.st_nlink else None


def _opened(file: Path) -> int:
    if file.is_symlink():
        raise _Unusable("is a link")
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _Unusable("is no file")
    return descriptor


def _line(kind: str, row: object) -> bytes | None:
    try:
        return b'{"kind":%s,"row":%s}\n' % (json.dumps(kind).encode(), _adapter(kind).dump_json(row))
    except PydanticSerializationError:
        return None


def _parsed(line: bytes) -> tuple[str, Any]:
    """The kind and row of a line. Raises ValueError, KeyError or TypeError when it holds none."""
    found = from_json(line)
    kind = found["kind"]
    return kind, _adapter(kind).validate_python(found["row"])


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    return TypeAdapter(_ROW_OF_KIND[kind])


def _writers(backlog: Backlog) -> dict[str, Callable[[Sequence[Any]], None]]:
    return {
        PROGRESS: backlog.save_progress,
        TASKS: backlog.save_tasks,
        ITERATIONS: backlog.save_iterations,
        EVENTS: backlog.note_events,
        LOGS: backlog.append_logs,
    }
