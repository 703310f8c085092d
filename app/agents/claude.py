"""The Claude Code agent: the real program, without a person at it, one process for one call.

The program is run itself, not through its SDK's client: that adds Mason's whole environment to the program's, and
leaves its processes behind. Options: https://docs.claude.com/en/docs/claude-code/cli-reference; what the program
prints: see `app.agents.claude_stream`.
"""

from __future__ import annotations

import hashlib
import os
import random
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from app import users
from app.agents.claude_outcome import Try, outcome
from app.agents.claude_program import find_program, missing
from app.agents.claude_roles import arguments, max_turns
from app.agents.claude_stream import Activity, transcript, usable_session
from app.agents.model_access import Access, ModelProxy
from app.domain.policy import AgentPolicy
from app.domain.results import Usage
from app.errors import UsageError
from app.ports.agent import AgentRequest, AgentResult, Failure, OnActivity, Role
from app.process import Stop, base_environment, run
from app.removal import remove

TRIES = 8
"""Runs of the program for one call at most, while the model's API keeps failing."""

PAID_TRIES = 4
"""Of those, how many in which the API has answered something: the first one, and three that go on with it."""

OUTPUT_LIMIT = 8_000_000
"""Bytes of output that are kept; the result is its last line."""

LONGEST_PAUSE = 60.0
"""Seconds between two tries, unless the API asks for more."""

CONTINUE = "The connection to the model was interrupted. Go on with the task from where you stopped."
"""Told to a session that is resumed after the API failed. Mason's own prompts are out of an adapter's reach."""

QUIET: Mapping[str, str] = {
    "CLAUDE_CODE_SAFE_MODE": "1",
    "CLAUDE_CODE_DISABLE_AUTO_MEMORY": "1",
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
    "CLAUDE_CODE_DISABLE_CLAUDE_MDS": "1",
    "CLAUDE_CODE_DISABLE_CRON": "1",
    "CLAUDE_CODE_DISABLE_FILE_MENTIONS": "1",
    "CLAUDE_CODE_DISABLE_GIT_INSTRUCTIONS": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK": "1",
    "CLAUDE_CODE_MAX_RETRIES": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_TELEMETRY": "1",
}
"""The program calls nobody but the model, loads nothing that lies in the repository, and leaves patience to Mason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Call:
    """What stays the same through all tries of a call. ``deadline`` in seconds of the monotonic clock."""

    request: AgentRequest
    program: str
    user: int | None
    environment: Mapping[str, str]
    stop: Stop
    on_activity: OnActivity
    deadline: float


class ClaudeAgent:
    """``environ`` is cut down to an allow list, to which ``pass_env`` adds names.

    ``proxy`` is the way to the model; without one every call raises UsageError. ``program`` None: the one that came
    with the SDK, else what is found. The files of a call lie in a directory of their own in ``scratch``; those that a
    session is resumed from stay there until ``scratch`` goes (None: nothing can be resumed from call to call).
    ``pause`` is the first of the growing pauses (seconds) between tries.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        proxy: ModelProxy | None,
        policy: AgentPolicy | None = None,
        program: str | None = None,
        pass_env: tuple[str, ...] = (),
        scratch: Path | None = None,
        pause: float = 2.0,
    ) -> None:
        self._environment = base_environment(environ, {name: environ[name] for name in pass_env if name in environ})
        self._proxy = proxy
        self._policy = policy or AgentPolicy()
        self._program = program
        self._scratch = scratch
        self._pause = pause
        self._making = threading.Lock()

    @property
    def name(self) -> str:
        return "claude"

    def require_ready(self) -> None:
        """There is a program, and a key behind the proxy. Raises UsageError."""
        find_program(self._program, self._search_path)
        self._way()

    def run(self, request: AgentRequest, stop: Stop, on_activity: OnActivity) -> AgentResult:
        """Run the program, again while the model's API keeps failing, and kill all that it leaves behind.

        Raises UsageError when there is no such program, or the API refuses the key, the credit or the model.
        """
        started = time.monotonic()
        if not request.worktree.is_dir():
            return AgentResult(error="The worktree is not there.")
        program = find_program(self._program, self._search_path)
        user = users.owner(request.worktree)
        with self._places(request, user) as places:
            call = _Call(
                request=request,
                program=program,
                user=user,
                environment={**self._environment, **self._limits(), **QUIET, **places},
                stop=stop,
                on_activity=on_activity,
                deadline=started + request.time_limit,
            )
            result, usage = self._tries(call)
        return replace(result, usage=replace(usage, seconds=time.monotonic() - started))

    def _tries(self, call: _Call) -> tuple[AgentResult, Usage]:
        """Once the model has said something, the session is gone on with, so that nothing is paid for twice."""
        prompt, session, usage = call.request.prompt, usable_session(call.request.session), Usage()
        paid = 0
        for number in range(1, TRIES + 1):
            tried, used = self._try(call, prompt, session)
            usage += used
            paid += used.turns > 0
            if tried.lost_its_session:
                prompt, session = call.request.prompt, None
                continue
            result = outcome(replace(tried, worked=paid > 0))
            if not result.error or result.failure is not Failure.UNAVAILABLE:
                return result, usage
            if tried.transcript.answered and tried.transcript.session:
                prompt, session = CONTINUE, tried.transcript.session
            pause = self._patience(number, tried)
            if number == TRIES or paid == PAID_TRIES or time.monotonic() + pause >= call.deadline:
                return result, usage
            if call.stop.wait(pause):
                return AgentResult(error="Claude Code was stopped.", session=session), usage
        return result, usage

    def _patience(self, number: int, tried: Try) -> float:
        """Seconds until the next try: doubling, with jitter, and as long as the API asks for."""
        pause = min(self._pause * 2.0 ** (number - 1), LONGEST_PAUSE) * random.uniform(0.5, 1)  # noqa: S311 - no secret
        return max(pause, (tried.trouble.retry_after if tried.trouble else None) or 0.0)

    def _try(self, call: _Call, prompt: str, session: str | None) -> tuple[Try, Usage]:
        request = call.request
        budget, prices = request.budget_usd, self._policy.prices
        with self._way().open(spender=request.item.id, budget_usd=budget, prices=prices) as access:
            done = run(
                [call.program, *arguments(request, self._policy, session)],
                cwd=request.worktree,
                env={**call.environment, **_way_to_the_model(access)},
                timeout=call.deadline - time.monotonic(),
                idle=self._policy.idle_timeout,
                stop=call.stop,
                stdin=prompt.encode("utf-8", "replace"),
                contained=True,
                limit=OUTPUT_LIMIT,
                on_output=Activity(call.on_activity, request.worktree),
            )
            if done.missing:
                raise missing(call.program, self._search_path, request.worktree, call.user)
        used = access.usage()  # final only now: what was under way is over
        tried = Try(
            done=done,
            transcript=transcript(done.stdout),
            trouble=access.trouble,
            worked=used.turns > 0,
            session=session,
            time_limit=request.time_limit,
            idle=self._policy.idle_timeout,
            max_turns=max_turns(request.role, self._policy),
        )
        return tried, used

    def _way(self) -> ModelProxy:
        if self._proxy is None:
            raise UsageError(
                "The claude agent needs Anthropic's key: set MASON_ANTHROPIC_API_KEY (in Actions: anthropic-api-key)"
            )
        return self._proxy

    @property
    def _search_path(self) -> str:
        return self._environment.get("PATH", os.defpath)

    def _limits(self) -> dict[str, str]:
        """A command of the agent's ends before its silence is taken for the agent's own."""
        longest = int(self._policy.idle_timeout * 800)
        return {"BASH_MAX_TIMEOUT_MS": str(longest), "BASH_DEFAULT_TIMEOUT_MS": str(min(longest, 120_000))}

    @contextmanager
    def _places(self, request: AgentRequest, user: int | None) -> Iterator[dict[str, str]]:
        """A home and a place for temporary files of its own, gone with the call; they are the tree's user's.

        Only a session that fixes is gone on with in later calls, so only its record stays.
        """
        directory = Path(tempfile.mkdtemp(prefix="mason-agent-", dir=self._scratch))
        places = {"HOME": directory / "home", "TMPDIR": directory / "tmp", "CLAUDE_CONFIG_DIR": directory / "config"}
        try:
            for place in places.values():
                place.mkdir()
            users.give_all(directory, user)
            if self._scratch and request.role is Role.FIX:
                places["CLAUDE_CONFIG_DIR"] = self._kept(self._scratch, request.worktree, user)
            yield {name: str(place) for name, place in places.items()}
        finally:
            remove(directory, self._search_path)

    def _kept(self, scratch: Path, tree: Path, user: int | None) -> Path:
        """What a worktree's sessions are kept in: only its user could write there, and another user's is not taken."""
        place = scratch / f"claude-{hashlib.sha256(os.fsencode(tree)).hexdigest()[:16]}"
        with self._making:
            if place.is_dir() and place.stat().st_uid != (user or os.geteuid()):
                remove(place, self._search_path)
            if not place.is_dir():
                place.mkdir(mode=0o700)
                users.give(place, user)
        return place


def _way_to_the_model(access: Access) -> dict[str, str]:
    return {"ANTHROPIC_BASE_URL": access.anthropic_url, "ANTHROPIC_API_KEY": access.token}
