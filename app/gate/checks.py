"""The gate at work: the install step, the checks side by side, the autofixers."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from app import process, users
from app.domain.results import CheckKind, CheckResult, CheckStatus
from app.gate.diagnostics import MAX_DIAGNOSTICS, MAX_WARNINGS, parse, plain
from app.gate.environment import check_environment, install_environment
from app.gate.installs import InstallCache
from app.gate.steps import Check, InstallStep, Toolchain, Words
from app.gate.tally import is_test_runner, tally_of
from app.process import Finished, Stop
from app.removal import remove

OUTPUT_KEPT = 60_000
"""Characters of a check's output that its result carries: the first and the last half. Diagnostics are read before."""

_TICK = 0.02

_NO_SUCH_CHECK = "the repository has no such check"
_WHY_SKIPPED = {
    CheckKind.FRONTEND: "not configured: .github/mason.yml names no frontend",
    CheckKind.BACKEND: "not configured: .github/mason.yml has no checks.backend",
}


class Gate:
    """Runs one toolchain's commands in trees.

    ``slots`` commands at most run at once, over all trees and threads that share this object. ``scratch`` holds the
    throw-away homes, ``installs`` the install cache (see InstallCache for where it has to lie).
    """

    def __init__(
        self, toolchain: Toolchain, environ: Mapping[str, str], slots: int, scratch: Path, installs: Path
    ) -> None:
        self.toolchain = toolchain
        self._environ = dict(environ)
        self._path = environ.get("PATH", os.defpath)
        self._slots = threading.Semaphore(max(slots, 1))
        self._serving = threading.Lock()
        self._scratch = scratch
        self._cache = InstallCache(toolchain.install, installs, environ) if toolchain.install else None

    def install_key(self, tree: Path) -> str:
        """What decides about the install step's products in a tree; empty when there is no such step."""
        return self._cache.digest(tree) if self._cache else ""

    def prepare(self, tree: Path, stop: Stop, *, base: bool = False) -> CheckResult | None:
        """Run the install step in a tree, or copy what it made before; None when the tree is ready.

        A step that did not succeed comes back as a failing BUILD result. ``base`` says that the tree is a clean
        checkout of the base commit that nothing has written to: only such a tree may fill the cache (see InstallCache).
        """
        step, cache = self.toolchain.install, self._cache
        if step is None or cache is None:
            return None
        digest = cache.digest(tree)
        if cache.use(digest, tree, stop):
            return None
        with self._slot(stop) as free:
            failed = self._install(step, tree, stop) if free else _stopped(CheckKind.BUILD, step.command)
        if failed is None and base and digest == cache.digest(tree):
            cache.fill(digest, tree, stop)
        return failed

    def run(
        self,
        tree: Path,
        kinds: Sequence[CheckKind],
        stop: Stop,
        on_started: Callable[[CheckKind], None] = lambda _: None,
        on_finished: Callable[[CheckResult], None] = lambda _: None,
    ) -> tuple[CheckResult, ...]:
        """Run the checks of these kinds side by side: one result each, in the same order.

        A kind that the toolchain has no check for is ``skipped``. The callbacks are called from several threads.
        """

        def one(kind: CheckKind) -> CheckResult:
            check = self.toolchain.check(kind)
            result = (
                self._check(check, tree, home, stop, on_started)
                if check
                else CheckResult(kind=kind, status=CheckStatus.SKIPPED, reason=_WHY_SKIPPED.get(kind, _NO_SUCH_CHECK))
            )
            on_finished(result)
            return result

        if not kinds:
            return ()
        remove_byte_code(tree, self._path)
        with self._home(tree) as home, ThreadPoolExecutor(len(kinds), thread_name_prefix="check") as threads:
            return tuple(threads.map(one, kinds))

    def autofix(self, tree: Path, kinds: Sequence[CheckKind], stop: Stop) -> list[str]:
        """Run the autofixers of these kinds, one after the other; the commands that were tried.

        Whether one succeeded does not matter: the gate that follows says what is left.
        """
        tried: list[str] = []
        with self._home(tree) as home:
            for kind in kinds:
                check = self.toolchain.check(kind)
                if check is None or check.autofix is None:
                    continue
                with self._slot(stop) as free:
                    if not free:
                        break
                    tried.append(_shown(check.autofix))
                    self._execute(check.autofix, check.timeout, tree, home, stop)
        return tried

    def _check(
        self, check: Check, tree: Path, home: Path, stop: Stop, on_started: Callable[[CheckKind], None]
    ) -> CheckResult:
        with self._serving if check.alone else contextlib.nullcontext(), self._slot(stop) as free:
            if not free:
                return _stopped(check.kind, check.command)
            on_started(check.kind)
            finished = self._execute(check.command, check.timeout, tree, home, stop)
        output = _readable(finished, tree, home)
        status, reason = self._verdict(check, finished, output, tree, stop)
        limit = MAX_WARNINGS if check.kind is CheckKind.LINT else MAX_DIAGNOSTICS
        return CheckResult(
            kind=check.kind,
            status=status,
            command=_shown(check.command),
            seconds=finished.seconds,
            output=_clipped(output),
            diagnostics=parse(output, tree, limit),
            reason=reason,
        )

    def _execute(self, command: Words, timeout: float, tree: Path, home: Path, stop: Stop) -> Finished:
        environment = check_environment(self._environ, tree, home / "home", home / "tmp")
        return process.run(command, cwd=tree, env=environment, timeout=timeout, stop=stop, merge=True, contained=True)

    def _install(self, step: InstallStep, tree: Path, stop: Stop) -> CheckResult | None:
        with self._home(tree) as home:
            environment = install_environment(self._environ, tree, home / "home", home / "tmp")
            finished = process.run(
                step.command, cwd=tree, env=environment, timeout=step.timeout, stop=stop, merge=True, contained=True
            )
        if finished.ok:
            return None
        check = Check(kind=CheckKind.BUILD, command=step.command, timeout=step.timeout)
        output = _readable(finished, tree, home)
        status, reason = self._verdict(check, finished, output, tree, stop)
        return CheckResult(
            kind=CheckKind.BUILD,
            status=status,
            command=_shown(step.command),
            seconds=finished.seconds,
            output=_clipped(output),
            reason=reason if finished.stopped else f"install failed: {reason}",
        )

    @contextmanager
    def _slot(self, stop: Stop) -> Iterator[bool]:
        """A place among the commands that run at once; False when the stop came first."""
        while not (taken := self._slots.acquire(timeout=_TICK)) and not stop.is_set():
            pass
        try:
            yield taken and not stop.is_set()
        finally:
            if taken:
                self._slots.release()

    @contextmanager
    def _home(self, tree: Path) -> Iterator[Path]:
        """A directory with an empty ``home`` and ``tmp``: nothing that an agent left in a home changes a check.

        It is the tree's user's, and nobody else gets in.
        """
        self._scratch.mkdir(mode=0o711, parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix="h", dir=self._scratch))
        try:
            (place / "home").mkdir()
            (place / "tmp").mkdir()
            users.give_all(place, users.owner(tree))
            yield place
        finally:
            remove(place, self._path)

    def _verdict(
        self, check: Check, finished: Finished, output: str, tree: Path, stop: Stop
    ) -> tuple[CheckStatus, str]:
        """How a command ended. What could not run, or not to its end, has neither passed nor failed."""
        program = check.command[0] if finished.missing else _missing_program(finished.exit_code, output)
        if program and not (finished.stopped or finished.timed_out):
            return CheckStatus.ERROR, self._absent(program, tree)
        return _verdict(check, finished, output, stop)

    def _absent(self, program: str, tree: Path) -> str:
        user = users.owner(tree)
        if place := users.hidden(program, self._path, tree, user):
            return f"{program} is in {place.parent}, where the user {user}, whom commands run as, cannot get at it"
        return f"{program} is not installed here, or not executable"


def remove_byte_code(tree: Path, search_path: str) -> None:
    """Remove what Python has compiled in a tree, installed packages apart.

    Byte code counts as fresh while its source has the same size and the same second of change: an edit that comes
    right after a check would be judged by the code before it.
    """
    waiting = [str(tree)]
    while waiting:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    continue
                if entry.name == "__pycache__":
                    remove(Path(entry.path), search_path)
                elif entry.name not in _NOT_OURS:
                    waiting.append(entry.path)


_NOT_OURS = frozenset({".git", ".venv", "node_modules"})

_NOT_FOUND = re.compile(
    r"(?m)^(?:"
    r"(?:/\S{0,100}/)?(?:ba|da|z)?sh: (?:line )?(?:\d{1,6}: )?(?P<shell>[^\s:]{1,200}): (?:command )?not found"
    r"|\S{0,300}python[\d.]{0,6}: No module named (?P<module>\S{1,200})"
    r"|error: no such command: `(?P<cargo>[\w-]{1,100})`"
    r"|error: '(?P<component>cargo-\w{1,100})' is not installed"
    r")"
)
_DENIED = re.compile(
    r"(?m)^(?:/\S{0,100}/)?\w{0,2}sh: (?:line )?(?:\d{1,6}: )?(?:exec: )?([^\s:/]{1,200}): Permission denied$"
)
_MAKE_NOT_FOUND = re.compile(r"(?m)^g?make(?:\[\d{1,4}\])?: \*\*\* .{0,300} Error 12[67]$")


def _verdict(check: Check, finished: Finished, output: str, stop: Stop) -> tuple[CheckStatus, str]:
    """How a command ended whose programs were all there."""
    if finished.stopped:
        return CheckStatus.ERROR, f"stopped: {stop.reason}" if stop.reason else "stopped"
    if finished.timed_out:
        return CheckStatus.TIMEOUT, f"took longer than {check.timeout:g} s"
    if finished.exit_code is None:
        return CheckStatus.ERROR, f"could not be started: {finished.stderr.decode('utf-8', 'replace')[:300]}"
    if finished.exit_code < 0:
        return CheckStatus.ERROR, f"was killed by {_signal(-finished.exit_code)}"
    if finished.exit_code:
        return CheckStatus.FAIL, f"exit code {finished.exit_code}"
    if check.kind in (CheckKind.TEST, CheckKind.E2E) and is_test_runner(check.command, output):
        return _tested(output)
    return CheckStatus.PASS, ""


def _tested(output: str) -> tuple[CheckStatus, str]:
    """How a test runner ended with exit code 0, which code under test can bring about by ending its process."""
    tally = tally_of(output)
    if tally is None:
        return CheckStatus.ERROR, "ended without a summary, so nothing is known of its tests"
    if not tally.found and not tally.may_be_none:
        return CheckStatus.FAIL, "no tests ran"
    return CheckStatus.PASS, ""


def _missing_program(exit_code: int | None, output: str) -> str | None:
    """The program whose absence ended a command, as shells, make, python and cargo say it."""
    if exit_code is None or exit_code <= 0:
        return None
    tail = output[-4000:]
    if match := _NOT_FOUND.search(tail):
        return next(name for name in match.groups() if name)
    if exit_code in (126, 127) or _MAKE_NOT_FOUND.search(tail):
        denied = _DENIED.search(tail)
        return denied[1] if denied else "a program that the check calls"
    return None


def _signal(number: int) -> str:
    return signal.Signals(number).name if number in {member.value for member in signal.Signals} else f"signal {number}"


def _stopped(kind: CheckKind, command: Words) -> CheckResult:
    return CheckResult(kind=kind, status=CheckStatus.ERROR, command=_shown(command), reason="stopped")


def _shown(command: Words) -> str:
    """A command as a person would type it."""
    return command[2] if command[:2] == ("sh", "-c") else shlex.join(command)


def _readable(finished: Finished, tree: Path, home: Path) -> str:
    """The output as text that is the same in every tree: own places replaced, no terminal escapes."""
    places = {tree: ".", tree.resolve(): ".", home / "tmp": "/tmp", home / "home": "~"}  # noqa: S108
    text = plain(finished.text)
    for place, name in sorted(places.items(), key=lambda pair: -len(str(pair[0]))):
        inner = f"{name}/" if name != "." else ""
        text = text.replace(f"{place}/", inner)
        text = re.sub(re.escape(str(place)) + r"(?![\w.-])", name, text)
    return text


def _clipped(text: str) -> str:
    half = OUTPUT_KEPT // 2
    return (
        text
        if len(text) <= OUTPUT_KEPT
        else f"{text[:half]}\n… {len(text) - OUTPUT_KEPT} characters left out …\n{text[-half:]}"
    )
