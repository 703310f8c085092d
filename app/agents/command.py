"""The command agent: any program, with the prompt on its standard input and the worktree as its directory.

What it learns from its environment: ``MASON_ROLE``, ``MASON_READ_ONLY`` (1 or 0), ``MASON_TASK`` and
``MASON_ITERATION`` where they apply, ``MASON_SCHEMA`` (a file with the JSON schema of the wanted answer) and
``MASON_ANSWER`` (a file to write the answer to). Instead of the file it may end its output with a JSON object, on a
line of its own or in a code fence. A key ``usage`` in the answer reports what the call used.

With a model proxy it also sees ``ANTHROPIC_BASE_URL``, ``ANTHROPIC_API_KEY``, ``OPENAI_BASE_URL`` and
``OPENAI_API_KEY``, and once it has called a model through that, what it used is what the proxy counted.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from app import users
from app.agents.command_answers import claimed_usage, read_answer
from app.agents.fences import json_object, last_object
from app.agents.model_access import Access, ModelProxy, TroubleKind, failed, model_for
from app.agents.presets import find_preset
from app.agents.strict_schema import strict
from app.domain.policy import AgentPolicy
from app.domain.results import Usage
from app.domain.text import one_line
from app.errors import UsageError
from app.ports.agent import AgentRequest, AgentResult, OnActivity
from app.process import Finished, Stop, base_environment, run
from app.removal import remove

ANSWER = "answer.json"

TEXT_LIMIT = 200_000
"""Characters at the end of the output that are looked at."""

_ACTIVITY_EVERY = 1.0
_COLOURS = re.compile(r"\x1b\[[0-9;]{0,20}[A-Za-z]")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Call:
    """One run of the program."""

    words: tuple[str, ...]
    variables: dict[str, str]
    stdin: bytes


class CommandAgent:
    """``environ`` is cut down to an allow list, to which ``pass_env`` adds names (a model key, say).

    ``preset`` says how its program is called; ``command`` then replaces the program's name. The files of a call lie in
    a directory of their own in ``scratch`` (None: where the system keeps temporary ones). Where the program runs as
    another user, the directory is that user's, and holds its home.
    """

    def __init__(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        pass_env: Sequence[str] = (),
        *,
        scratch: Path | None = None,
        preset: str | None = None,
        policy: AgentPolicy | None = None,
        proxy: ModelProxy | None = None,
    ) -> None:
        self._preset = find_preset(preset) if preset else None
        self._command = tuple(command) or ((self._preset.program,) if self._preset else ())
        if not self._command:
            raise UsageError("The command agent needs a command: set MASON_AGENT_COMMAND, or give --agent-command.")
        passed = {name: environ[name] for name in pass_env if name in environ}
        self._environment = base_environment(environ, passed)
        self._scratch = scratch
        self._policy = policy or AgentPolicy()
        self._proxy = proxy

    @property
    def name(self) -> str:
        return "command"

    def require_ready(self) -> None:
        """The program is there. Raises UsageError."""
        program, path = self._command[0], self._environment.get("PATH", os.defpath)
        if "/" not in program and not shutil.which(program, path=path):
            raise UsageError(f"The agent's program {program!r} is not installed, or not on the PATH")

    def run(self, request: AgentRequest, stop: Stop, on_activity: OnActivity) -> AgentResult:
        """Run the program once, and kill all that it leaves behind.

        Raises UsageError when there is no such program, or the model's API refuses the key, the credit or the model;
        everything else that goes wrong is the result's error.
        """
        if not request.worktree.is_dir():
            return AgentResult(error="The worktree is not there.")
        with self._directory() as directory:
            if self._proxy is None:
                return self._run(request, stop, on_activity, directory, None)[0]
            budget, prices = request.budget_usd, self._policy.prices
            with self._proxy.open(spender=request.item.id, budget_usd=budget, prices=prices) as access:
                result, killed = self._run(request, stop, on_activity, directory, access)
            return _with_the_proxys_word(result, access, killed=killed)

    def _run(
        self, request: AgentRequest, stop: Stop, on_activity: OnActivity, directory: Path, access: Access | None
    ) -> tuple[AgentResult, bool]:
        """The result, and whether a signal ended the program."""
        call = self._call(request, directory, access)
        user = users.owner(request.worktree)
        if user:
            call.variables.update(_own_places(directory, user))
        done = run(
            call.words,
            cwd=request.worktree,
            env=self._environment | call.variables,
            timeout=request.time_limit,
            idle=self._policy.idle_timeout if self._preset else None,
            stop=stop,
            stdin=call.stdin,
            contained=True,
            on_output=_Activity(on_activity),
        )
        if done.missing:
            program = self._command[0]
            place = users.hidden(program, self._environment.get("PATH", ""), request.worktree, user)
            why = f": the user {user}, whom it would run as, cannot get at {place}" if place else ""
            raise UsageError(f"The agent's program {program!r} cannot be run{why}.")
        killed = done.exit_code is not None and done.exit_code < 0
        return self._result(request, done, read_answer(directory / ANSWER, user)), killed

    def _call(self, request: AgentRequest, directory: Path, access: Access | None) -> _Call:
        """What to run; the files it is given are written."""
        prompt = request.prompt.encode("utf-8", "replace")
        model = model_for(request.role, self._policy)
        variables = _variables(request, directory, strict_schema=bool(self._preset and self._preset.strict_schema))
        variables |= {"MASON_MODEL": model} if model else {}
        variables |= _ways_to_a_model(access) if access else {}
        if self._preset is None:
            return _Call(words=self._command, variables=variables, stdin=prompt)
        values = {"may_change": "deny" if request.read_only else "allow"} | ({"model": model} if model else {})
        if access:
            values |= {"openai_url": access.openai_url, "anthropic_url": access.anthropic_url}
        if "MASON_SCHEMA" in variables:
            values |= {"schema": variables["MASON_SCHEMA"], "answer": variables["MASON_ANSWER"]}
        if self._preset.wants_file:
            file = directory / "prompt.md"
            file.write_bytes(prompt)
            values["prompt_file"], prompt = str(file), b""
        words = (*self._command, *self._preset.arguments(values, read_only=request.read_only))
        return _Call(words=words, variables=variables | self._preset.variables(values), stdin=prompt)

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
        usage = claimed_usage(found, done.seconds, request.budget_usd)
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
        if done.idle:
            return f"The agent {program!r} gave no sign of life for {self._policy.idle_timeout:g} s."
        if not done.ok:
            said = done.stderr.decode("utf-8", "replace").replace("\0", "").strip().splitlines()
            last = f": {said[-1][:300]}" if said else ""
            ended = "could not be started" if done.exit_code is None else f"ended with exit code {done.exit_code}"
            return f"The agent {program!r} {ended}{last}."
        if written and found is None:
            return f"The agent {program!r} wrote an answer that is not a JSON object."
        return ""


def _ways_to_a_model(access: Access) -> dict[str, str]:
    return {
        "ANTHROPIC_BASE_URL": access.anthropic_url,
        "ANTHROPIC_API_KEY": access.token,
        "OPENAI_BASE_URL": access.openai_url,
        "OPENAI_API_KEY": access.token,
    }


def _with_the_proxys_word(result: AgentResult, access: Access, *, killed: bool) -> AgentResult:
    """What was used and why it failed, where the proxy knows; it does not when it was never asked.

    Of a program that was ``killed`` after the API had answered, no failure of the API is the reason: its own commands
    can have brought about both. Raises UsageError when the API refuses in a way that it will refuse every call in.
    """
    used, trouble = access.usage(), access.trouble
    own = killed and used.turns > 0 and trouble is not None and trouble.kind is TroubleKind.TRANSIENT
    if trouble and not own and (result.error or not used.turns):  # some programs end well when no call of theirs did
        result = replace(failed(trouble, worked=used.turns > 0), text=result.text, usage=result.usage)
    return result if used == Usage() else replace(result, usage=replace(used, seconds=result.usage.seconds))


def _variables(request: AgentRequest, directory: Path, *, strict_schema: bool) -> dict[str, str]:
    variables = {
        "MASON_ROLE": str(request.role),
        "MASON_READ_ONLY": "1" if request.read_only else "0",
        "MASON_ANSWER": str(directory / ANSWER),
    }
    if request.task_id is not None:
        variables["MASON_TASK"] = request.task_id
    if request.iteration is not None:
        variables["MASON_ITERATION"] = str(request.iteration)
    if request.schema is not None:
        schema = directory / "schema.json"
        wanted = strict(request.schema) if strict_schema else request.schema
        schema.write_text(json.dumps(wanted, separators=(",", ":")), encoding="utf-8")
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
        text = _COLOURS.sub("", chunk[-2000:].decode("utf-8", "replace"))
        last = next((shown for line in reversed(text.split("\n")) if (shown := one_line(line.replace("\0", "")))), "")
        if last:
            self._next = now + _ACTIVITY_EVERY
            self._tell(last)
