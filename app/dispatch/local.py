"""The local dispatcher: the runner is a process on this machine, which outlives the worker that started it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.dispatch.processes import Processes, Seen
from app.domain.dispatches import Dispatch, Work, WorkflowRun

MOST = 2
"""Runs side by side on one machine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Runner:
    """How to start a runner: ``mason`` is the command line of Mason itself, ``repository`` what it works on."""

    mason: Sequence[str]
    repository: Path
    environ: Mapping[str, str]


class LocalProcesses(Processes):
    """Implements `app.ports.dispatcher.Dispatcher`. ``directory`` is where the runs' directories lie. ``environ_of``
    gives the environment of a dispatch's process where not all have the runner's; it raises UsageError.
    """

    look_again = 1.0

    def __init__(
        self,
        directory: Path,
        runner: Runner,
        *,
        most: int = MOST,
        environ_of: Callable[[Dispatch], Mapping[str, str]] | None = None,
    ) -> None:
        super().__init__(directory, most=most)
        self._runner = runner
        self._environ_of = environ_of or (lambda _: runner.environ)

    def dispatch(self, dispatch: Dispatch) -> WorkflowRun | None:
        """Start its process. Raises Busy while as many as may run are running."""
        runner = self._runner
        command = [*runner.mason, *words(dispatch, runner)]
        seen = self.start(str(dispatch.id), command, cwd=runner.repository, environ=self._environ_of(dispatch))
        return _workflow_run(dispatch, seen) if seen else None

    def find(self, dispatch: Dispatch) -> WorkflowRun | None:
        seen = self.see(str(dispatch.id))
        return _workflow_run(dispatch, seen) if seen else None

    def cancel(self, dispatch: Dispatch) -> None:
        self.terminate(str(dispatch.id))


def _workflow_run(dispatch: Dispatch, seen: Seen) -> WorkflowRun:
    name = f"process {seen.pid}"
    if seen.alive:
        return WorkflowRun(id=name, status="in_progress")
    return WorkflowRun(id=name, status="completed", conclusion=conclusion(dispatch, seen.exit_code))


def conclusion(dispatch: Dispatch, code: str) -> str:
    """What an exit code means, in GitHub's words: 4 was asked to stop and gave its items back; with 1 an item of a run
    failed, and its row says so.
    """
    well = {"0": "success", "4": "stopped"} | ({"1": "success"} if dispatch.work is Work.RUN else {})
    return well.get(code, "failure")


def words(dispatch: Dispatch, runner: Runner) -> list[str]:
    """The arguments of `mason` for this work."""
    options = ["--repository", str(runner.repository)]
    options += ["--smoke-test"] if dispatch.smoke_test else []
    options += ["--e2e"] if dispatch.e2e else []
    match dispatch.work:
        case Work.RUN:
            items = [word for item in dispatch.items for word in ("--item", str(item))]
            return ["run", "--auto", "--run-id", str(dispatch.id), *items, *options]
        case Work.FIX:
            return ["fix", *options, "--", str(dispatch.number), dispatch.instructions]
        case Work.VALIDATE:
            return ["validate", *options, "--", str(dispatch.number)]
