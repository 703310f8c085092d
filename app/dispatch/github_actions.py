"""The dispatcher of GitHub Actions: a workflow run of the repository does the work.

Mason's run id travels in the inputs and, by the workflow's ``run-name``, in the workflow run's name: that is how it is
found again when the answer to a dispatch was lost, or held no id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Protocol

from app.domain.dispatches import Dispatch, Work, WorkflowRun

LOOK_AGAIN = 60.0
CLOCKS_APART = timedelta(minutes=5)
"""How far GitHub's clock and the database's may be apart."""


class Workflows(Protocol):
    """Workflow runs of one repository. Each method raises Unreachable, ForgeRefused or UsageError."""

    def start(self, file: str, inputs: Mapping[str, str]) -> WorkflowRun | None: ...

    def run(self, run_id: str) -> WorkflowRun | None: ...

    def find(self, file: str, word: str, since: datetime) -> WorkflowRun | None: ...

    def cancel(self, run_id: str) -> None: ...


class GithubActions:
    """Implements `app.ports.dispatcher.Dispatcher`. ``workflows`` gives those of a repository, ``file`` is the name of
    Mason's in ``.github/workflows``; ``look_again`` in seconds.
    """

    def __init__(
        self,
        workflows: Callable[[str | None], Workflows],
        *,
        file: str = "mason.yml",
        look_again: float = LOOK_AGAIN,
    ) -> None:
        self._workflows = workflows
        self._file = file
        self._look_again = look_again

    @property
    def look_again(self) -> float:
        return self._look_again

    def dispatch(self, dispatch: Dispatch) -> WorkflowRun | None:
        return self._workflows(dispatch.repository).start(self._file, inputs(dispatch))

    def find(self, dispatch: Dispatch) -> WorkflowRun | None:
        """The oldest one counts, should a lost answer have led to two: the second finds the items taken and ends."""
        workflows = self._workflows(dispatch.repository)
        if dispatch.workflow_run:
            return workflows.run(dispatch.workflow_run)
        return workflows.find(self._file, str(dispatch.id), dispatch.created_at - CLOCKS_APART)

    def cancel(self, dispatch: Dispatch) -> None:
        if (found := self.find(dispatch)) is not None and not found.completed:
            self._workflows(dispatch.repository).cancel(found.id)


def inputs(dispatch: Dispatch) -> dict[str, str]:
    """The workflow's inputs for this work; those that would say what is so anyway are left out (pure)."""
    given = {"command": dispatch.work.value, "run-id": str(dispatch.id)}
    if dispatch.work is not Work.RUN:
        given["pull-request"] = str(dispatch.number)
    if dispatch.instructions:
        given["instructions"] = dispatch.instructions
    if dispatch.smoke_test:
        given["smoke-test"] = "true"
    if dispatch.e2e:
        given["e2e"] = "true"
    return given
