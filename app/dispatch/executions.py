"""Executions of the agent runtime as processes on this machine (port `app.ports.executions.ExecutionProcesses`)."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from app.dispatch.local import Runner
from app.dispatch.processes import Processes
from app.ports.executions import RunnerState

MOST = 2
"""Executions side by side on one machine."""


class LocalExecutions(Processes):
    """``directory`` is where the processes' directories lie; ``runner`` knows its way to the app database."""

    def __init__(self, directory: Path, runner: Runner, *, most: int = MOST) -> None:
        super().__init__(directory, most=most)
        self._runner = runner

    def begin(self, execution_id: UUID) -> None:
        runner = self._runner
        command = [*runner.mason, "execute", "--repository", str(runner.repository), str(execution_id)]
        self.start(str(execution_id), command, cwd=runner.repository, environ=runner.environ)

    def state(self, execution_id: UUID) -> RunnerState | None:
        seen = self.see(str(execution_id))
        if seen is None:
            return None
        code = int(seen.exit_code) if seen.exit_code.isdecimal() else None
        said = "" if seen.alive else self.last_words(str(execution_id))
        return RunnerState(alive=seen.alive, exit_code=code, said=said)

    def stop(self, execution_id: UUID, *, at_once: bool) -> None:
        if at_once:
            self.kill(str(execution_id))
        else:
            self.terminate(str(execution_id))
