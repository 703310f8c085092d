"""Workflow runs on GitHub: started, found, stopped."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from app.domain.dispatches import WorkflowRun
from app.errors import MasonError, UsageError
from app.forge.github.access import read_repository
from app.forge.github.client import PAGE, Client
from app.forge.github.names import quoted
from app.forge.github.records import ANYTHING, MAYBE_DISPATCH, DispatchAnswer, WorkflowRunAnswer, WorkflowRunsAnswer
from app.forge.github.refusals import Refusal

INPUTS_LIMIT = 65_535
"""Characters of all inputs together (platform facts, workflow_dispatch)."""

MOST_PAGES = 3

_NEEDS = "actions: write"


class Workflows:
    """Workflow runs of one repository; ``file`` is a workflow's name in ``.github/workflows``.

    ``details``: whether the server tells the run that a dispatch has made; older ones refuse the question.
    """

    def __init__(self, client: Client, repository: str) -> None:
        self._client = client
        self._repository = repository
        self._path = f"/repos/{quoted(repository)}/actions"
        self._details = True

    def start(self, file: str, inputs: Mapping[str, str]) -> WorkflowRun | None:
        """Dispatch the workflow on the default branch; None where the server does not tell which run that made.

        Not repeated when an answer is lost: Unreachable is raised at once. Raises UsageError with what is to be done.
        """
        if sum(len(name) + len(text) for name, text in inputs.items()) > INPUTS_LIMIT:
            raise UsageError(f"GitHub takes inputs of {INPUTS_LIMIT} characters at most: write shorter instructions")
        body = {"ref": read_repository(self._client, self._repository).default_branch, "inputs": dict(inputs)}
        try:
            answer = self._dispatch(file, body)
        except Refusal as refused:
            raise self._meaning(file, refused) from refused
        if answer is None:
            return None
        return WorkflowRun(id=str(answer.workflow_run_id), status="queued", url=answer.html_url)

    def _dispatch(self, file: str, body: Mapping[str, object]) -> DispatchAnswer | None:
        if self._details:
            try:
                return self._post(file, {**body, "return_run_details": True})
            except Refusal as refused:
                unknown = refused.status == 400 or "return_run_details" in refused.said
                if not unknown:
                    raise
                self._details = False
        return self._post(file, body)

    def _post(self, file: str, body: Mapping[str, object]) -> DispatchAnswer | None:
        path = f"{self._path}/workflows/{quoted(file)}/dispatches"
        doing = f"start the workflow {file} in {self._repository}"
        return self._client.call("POST", path, MAYBE_DISPATCH, doing=doing, body=body, needs=_NEEDS, once=True)

    def run(self, run_id: str) -> WorkflowRun | None:
        """A workflow run as it is now, None when it was deleted, or is none of GitHub's."""
        if not run_id.isdecimal():
            return None
        path = f"{self._path}/runs/{run_id}"
        try:
            return self._client.call("GET", path, WorkflowRunAnswer, doing=f"read workflow run {run_id}").record()
        except Refusal as refused:
            if refused.status != 404:
                raise
            return None

    def find(self, file: str, word: str, since: datetime) -> WorkflowRun | None:
        """The oldest dispatched run of the workflow since then whose name holds ``word``."""
        created = f">={since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        named: list[WorkflowRunAnswer] = []
        for page in range(1, MOST_PAGES + 1):
            asked = {"event": "workflow_dispatch", "created": created, "per_page": PAGE, "page": page}
            path = f"{self._path}/workflows/{quoted(file)}/runs"
            try:
                found = self._client.call("GET", path, WorkflowRunsAnswer, doing=f"list runs of {file}", params=asked)
            except Refusal as refused:
                if refused.status != 404:  # no such workflow any more
                    raise
                break
            named += [run for run in found.workflow_runs if word in run.display_title]
            if len(found.workflow_runs) < PAGE:
                break
        return min(named, key=lambda run: run.id).record() if named else None

    def cancel(self, run_id: str) -> None:
        """Stop a run. GitHub ends it by force five minutes later; one that has ended (409) is left alone."""
        path = f"{self._path}/runs/{run_id}/cancel"
        try:
            self._client.call("POST", path, ANYTHING, doing=f"cancel workflow run {run_id}", needs=_NEEDS)
        except Refusal as refused:
            if refused.status not in (404, 409):
                raise

    def _meaning(self, file: str, refused: Refusal) -> MasonError:
        """The error for a dispatch that GitHub refuses, with what is to be done about it."""
        where, said = f".github/workflows/{file}", refused.said.lower()
        if refused.status == 404:
            return UsageError(
                f"{self._repository} has no workflow {where} on its default branch: run `mason init` in it and commit"
            )
        if refused.status == 422 and "disabled workflow" in said:
            return UsageError(f"The workflow {where} of {self._repository} is disabled: enable it in the Actions tab")
        if refused.status == 422 and ("'workflow_dispatch' trigger" in said or "unexpected inputs" in said):
            return UsageError(
                f"The workflow {where} of {self._repository} does not take what Mason gives it: run `mason init"
                f" --force` in it and commit ({refused.said})"
            )
        return refused
