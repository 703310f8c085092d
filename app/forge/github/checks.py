"""Check runs on GitHub: made once, brought up to date, and never somebody else's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from app.domain.check_runs import ANNOTATIONS_A_REQUEST, CheckRun, FoundCheckRun, Subject
from app.forge.github.check_fields import annotations_of, fields
from app.forge.github.client import Client
from app.forge.github.names import quoted
from app.forge.github.records import CheckRunAnswer, CheckRunsAnswer
from app.forge.github.refusals import Refusal

_NEEDS = "checks: write"


class GithubCheckRuns:
    """Implements `app.ports.check_runs.CheckRuns` for one repository.

    A check run is Mason's when its ``external_id`` names a subject and its App is the one that Mason acts as. Which
    that is, GitHub tells in the answer to the first check run that Mason makes; until then a check run that looks like
    Mason's is tried, and one that GitHub does not let Mason change is left alone.

    ``page`` is where they lead, as soon as that is known; ``details_url`` before, and where it never is.
    """

    def __init__(
        self,
        client: Client,
        repository: str,
        *,
        details_url: str,
        buttons: bool,
        page: Callable[[], str] = lambda: "",
    ) -> None:
        self._client = client
        self._path = f"/repos/{quoted(repository)}"
        self._details_url = details_url
        self._page = page
        self._buttons = buttons
        self._app_id: int | None = None
        self._annotated: dict[int, int] = {}
        self._started: dict[tuple[str, str, Subject], int] = {}
        self._lock = threading.Lock()

    def found(self, commit: str, *, name: str | None = None) -> list[FoundCheckRun]:
        """The newest check runs of Mason's on a commit, one for each name."""
        return [_record(answer) for answer in self._of_mason(commit, name, only="latest")]

    def start(self, check: CheckRun) -> int:
        """Make one, or bring the one that is there already up to date. GitHub is looked at before, so that a process
        that was killed between a check run and its bookkeeping does not leave a second one.
        """
        key = (check.name, check.commit, check.subject)
        if key in self._started:
            self.write(self._started[key], check)
            return self._started[key]
        for answer in self._same(check):
            self._annotated.setdefault(answer.id, answer.output.annotations_count)
            try:
                self._write(answer.id, check)
            except Refusal as refused:
                if refused.status != 403:
                    raise
                continue  # another App's
            return self._remember(key, answer.id)
        return self._remember(key, self._create(check))

    def write(self, check_id: int, check: CheckRun, *, dispensable: bool = False) -> None:
        """Bring one up to date; annotations that it has already are not sent again."""
        if not (dispensable and not self._client.roomy):
            self._write(check_id, check)

    def _create(self, check: CheckRun) -> int:
        given = annotations_of(check)
        body = self._fields(check, given[:ANNOTATIONS_A_REQUEST]) | {"head_sha": check.commit}
        answer = self._client.call(
            "POST",
            f"{self._path}/check-runs",
            CheckRunAnswer,
            doing=f"make the check run {check.name!r}",
            body=body,
            needs=_NEEDS,
            found=lambda: next((answer for answer in self._same(check) if self._may_be_ours(answer)), None),
        )
        self._learn(answer, len(given[:ANNOTATIONS_A_REQUEST]))
        if len(given) > ANNOTATIONS_A_REQUEST:
            self._write(answer.id, check)
        return answer.id

    def _write(self, check_id: int, check: CheckRun) -> None:
        given = annotations_of(check)
        while True:
            there = self._annotated.get(check_id, 0)
            chunk = given[there : there + ANNOTATIONS_A_REQUEST]
            self._patch(check_id, self._fields(check, chunk), there + len(chunk))
            if there + len(chunk) >= len(given):
                break

    def _patch(self, check_id: int, body: dict[str, Any], annotated: int) -> None:
        """GitHub appends annotations: after a lost answer, the count tells whether these are there."""
        path = f"{self._path}/check-runs/{check_id}"

        def written() -> CheckRunAnswer | None:
            answer = self._client.call("GET", path, CheckRunAnswer, doing=f"read check run {check_id}")
            return answer if answer.output.annotations_count >= annotated else None

        answer = self._client.call(
            "PATCH",
            path,
            CheckRunAnswer,
            doing=f"update check run {check_id}",
            body=body,
            needs=_NEEDS,
            found=written if body["output"].get("annotations") else None,
        )
        self._learn(answer, annotated)

    def _fields(self, check: CheckRun, chunk: list[dict[str, Any]]) -> dict[str, Any]:
        details_url = check.page or self._page() or self._details_url
        return fields(check, chunk, details_url=details_url, buttons=self._buttons)

    def _same(self, check: CheckRun) -> list[CheckRunAnswer]:
        """Those of the same name, commit and subject, oldest first."""
        there = self._of_mason(check.commit, check.name, only="all")
        return sorted((one for one in there if one.external_id == str(check.subject)), key=lambda one: one.id)

    def _of_mason(self, commit: str, name: str | None, *, only: str) -> list[CheckRunAnswer]:
        params = {"filter": only} | ({"check_name": name} if name else {})
        answers = self._client.pages(
            f"{self._path}/commits/{commit}/check-runs",
            CheckRunsAnswer,
            lambda page: page.check_runs,
            doing="list check runs",
            params=params,
        )
        return [one for one in answers if Subject.parse(one.external_id) and self._may_be_ours(one)]

    def _may_be_ours(self, answer: CheckRunAnswer) -> bool:
        return self._app_id is None or answer.app_id == self._app_id

    def _learn(self, answer: CheckRunAnswer, annotated: int) -> None:
        with self._lock:
            self._app_id = answer.app_id if self._app_id is None else self._app_id
            self._annotated[answer.id] = max(annotated, answer.output.annotations_count)

    def _remember(self, key: tuple[str, str, Subject], check_id: int) -> int:
        with self._lock:
            return self._started.setdefault(key, check_id)


def _record(answer: CheckRunAnswer) -> FoundCheckRun:
    return FoundCheckRun(
        id=answer.id,
        name=answer.name,
        subject=Subject.parse(answer.external_id),
        completed=answer.status == "completed",
    )
