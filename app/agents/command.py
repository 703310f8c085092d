"""The command agent: any program, with the prompt on its standard input and the worktree as its directory.

What it learns from its environment: ``MASON_ROLE``, ``MASON_READ_ONLY`` (1 or 0), ``MASON_TASK`` and
``MASON_ITERATION`` where they apply, ``MASON_SCHEMA`` (a file with the JSON schema of the wanted answer) and
``MASON_ANSWER`` (a file to write the answer to). Instead of the file it may end its output with a JSON object, on a
line of its own or in a code fence. A key ``usage`` in the answer reports what the call used.
"""

from __future__ import annotations

import json
import math
import os
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from app import users
from app.agents.fences import json_object, last_object
from app.domain.results import Usage
from app.errors import UsageError
from app.ports.agent import AgentRequest, AgentResult, OnActivity
from app.process import Finished, Stop, base_environment, run
from app.removal import remove

ANSWER_LIMIT = 2_000_000
"""Bytes of an answer file; a longer one is refused."""

TEXT_LIMIT = 200_000
"""Characters at the end of the output that are looked at."""

_ACTIVITY_EVERY = 1.0
_MOST = 10**12


class CommandAgent:
    """``environ`` is cut down to an allow list, to which ``pass_env`` adds names (a model key, say).

    The files of a call lie in a directory of their own in ``scratch`` (None: where the system keeps temporary ones).
    Where the program runs as another user, the directory is that user's, and holds its home.
    """

    def __init__(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        pass_env: Sequence[str] = (),
        *,
        scratch: Path | None = None,
    ) -> None:
        if not command:
            raise UsageError("The command agent needs a command.")
        self._command = tuple(command)
        passed = {name: environ[name] for name in pass_env if name in environ}
        self._environment = base_environment(environ, passed)
        self._scratch = scratch

    @property
    def name(self) -> str:
        return "command"

    def run(self, request: AgentRequest, stop: Stop, on_activity: OnActivity) -> AgentResult:
        """Run the program once, and kill all that it leaves behind.

        Raises UsageError when there is no such program; everything else that goes wrong is the result's error.
        """
        if not request.worktree.is_dir():
            return AgentResult(error="The worktree is not there.")
        with self._directory() as directory:
            answer_file = directory / "answer.json"
            user = users.owner(request.worktree)
            variables = _variables(request, directory, answer_file)
            if user:
                variables |= _own_places(directory, user)
            done = run(
                self._command,
                cwd=request.worktree,
                env=self._environment | variables,
                timeout=request.time_limit,
                stop=stop,
                stdin=request.prompt.encode("utf-8", "replace"),
                contained=True,
                on_output=_Activity(on_activity),
            )
            if done.missing:
                program = self._command[0]
                place = users.hidden(program, self._environment.get("PATH", ""), request.worktree, user)
                why = f": the user {user}, whom it would run as, cannot get at {place}" if place else ""
                raise UsageError(f"The agent's program {program!r} cannot be run{why}.")
            return self._result(request, done, _read(answer_file, user))

    @contextmanager
    def _directory(self) -> Iterator[Path]:
        directory = Path(tempfile.mkdtemp(prefix="mason-agent-", dir=self._scratch))
        try:
            yield directory
        finally:
            remove(directory, self._environment.get("PATH", os.defpath))

    def _result(self, request: AgentRequest, done: Finished, written: str) -> AgentResult:
        text = done.text[-TEXT_LIMIT:].replace("\0", "")
        found = json_object(written) if written else last_object(text)
        usage = _usage(found, done.seconds)
        if problem := self._problem(request, done, written, found):
            return AgentResult(text=text, usage=usage, error=problem)
        answer = {name: value for name, value in (found or {}).items() if name != "usage"}
        return AgentResult(text=text, answer=answer or None, usage=usage)

    def _problem(self, request: AgentRequest, done: Finished, written: str, found: Mapping[str, object] | None) -> str:
        program = self._command[0]
        if done.stopped:
            return f"The agent {program!r} was stopped."
        if done.timed_out:
            return f"The agent {program!r} did not end within {request.time_limit:g} s."
        if not done.ok:
            said = done.stderr.decode("utf-8", "replace").replace("\0", "").strip().splitlines()
            last = f": {said[-1][:300]}" if said else ""
            ended = "could not be started" if done.exit_code is None else f"ended with exit code {done.exit_code}"
            return f"The agent {program!r} {ended}{last}."
        if written and found is None:
            return f"The agent {program!r} wrote an answer that is not a JSON object."
        return ""


def _variables(request: AgentRequest, directory: Path, answer_file: Path) -> dict[str, str]:
    variables = {
        "MASON_ROLE": str(request.role),
        "MASON_READ_ONLY": "1" if request.read_only else "0",
        "MASON_ANSWER": str(answer_file),
    }
    if request.task_id is not None:
        variables["MASON_TASK"] = request.task_id
    if request.iteration is not None:
        variables["MASON_ITERATION"] = str(request.iteration)
    if request.schema is not None:
        schema = directory / "schema.json"
        schema.write_text(json.dumps(request.schema, separators=(",", ":")), encoding="utf-8")
        variables["MASON_SCHEMA"] = str(schema)
    return variables


def _own_places(directory: Path, user: int) -> dict[str, str]:
    """A home and a place for temporary files, for a user who has none; the whole directory becomes theirs."""
    places = {"HOME": directory / "home", "TMPDIR": directory / "tmp"}
    for place in places.values():
        place.mkdir()
    users.give_all(directory, user)
    return {name: str(place) for name, place in places.items()}


class _Activity:
    """Tells the last line of output, at most once a second."""

    def __init__(self, tell: OnActivity) -> None:
        self._tell = tell
        self._next = 0.0

    def __call__(self, chunk: bytes) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        lines = chunk[-2000:].decode("utf-8", "replace").replace("\0", "").split("\n")
        last = next((" ".join(line.split()) for line in reversed(lines) if line.strip()), "")
        if last:
            self._next = now + _ACTIVITY_EVERY
            self._tell(last[:200])


def _read(path: Path, user: int | None) -> str:
    """The regular file's text, empty when there is none; a link, a pipe or a huge file reads as no JSON.

    Nor does a hard link to a file that is not the ``user``'s who was to write it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return ""
    except OSError:
        return "not a file"
    try:
        status = os.fstat(descriptor)
        foreign = user is not None and status.st_uid != user
        if foreign or not stat.S_ISREG(status.st_mode) or status.st_size > ANSWER_LIMIT:
            return "not a file that can be used"
        return os.read(descriptor, ANSWER_LIMIT).decode("utf-8", "replace").strip()
    finally:
        os.close(descriptor)


def _usage(answer: Mapping[str, object] | None, seconds: float) -> Usage:
    """What the program says it used. Numbers that cannot be are left out; the seconds are Mason's own measure."""
    said = (answer or {}).get("usage")
    numbers = said if isinstance(said, Mapping) else {}
    return Usage(
        input_tokens=int(_number(numbers.get("input_tokens"))),
        output_tokens=int(_number(numbers.get("output_tokens"))),
        cost_usd=_number(numbers.get("cost_usd"), most=10**6),
        turns=int(_number(numbers.get("turns"))),
        tool_calls=int(_number(numbers.get("tool_calls"))),
        seconds=seconds,
    )


def _number(value: object, most: int = _MOST) -> float:
    usable = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most
    return float(value) if usable and isinstance(value, int | float) and math.isfinite(value) else 0.0
