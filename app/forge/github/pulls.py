"""The pull request of an item: found or made, one ever, with Mason's section up to date."""

from __future__ import annotations

import logging

from app.domain.policy import PullRequestPolicy
from app.errors import ForgeRefused, MissingPermission, UsageError
from app.forge.github import body as bodies
from app.forge.github.client import Client
from app.forge.github.names import quoted
from app.forge.github.records import ANYTHING, PULLS, PullAnswer
from app.forge.github.refusals import Refusal
from app.forge.github.text import one_line, title
from app.ports.forge import Publication, PullRequest

_log = logging.getLogger(__name__)

_NEEDS = "pull-requests: write"


class Pulls:
    """Pull requests of one repository (``owner/name``)."""

    def __init__(self, client: Client, repository: str) -> None:
        self._client = client
        self._repository = repository
        self._path = f"/repos/{quoted(repository)}"

    def get(self, number: int) -> PullRequest:
        """One pull request. Raises UsageError when there is none."""
        try:
            return self._get(number).record(self._repository)
        except Refusal as refused:
            if refused.status not in (404, 410):
                raise
            raise UsageError(f"{self._repository} has no pull request {number}") from refused

    def find(self, publication: Publication, branch: str) -> PullAnswer | None:
        """The item's pull request: the open one of its branch, else the newest closed one that is this item's.

        A merged one counts only if it carries this very commit: what comes after a merge is new work.
        """
        owner = self._repository.partition("/")[0]
        params = {"head": f"{owner}:{branch}", "state": "all", "per_page": 100}
        asked = self._client.call("GET", f"{self._path}/pulls", PULLS, doing="list pull requests", params=params)
        # GitHub leaves the filter out when it does not understand it.
        ours = sorted((pull for pull in asked if pull.of(self._repository, branch)), key=lambda pull: pull.number)
        still_open = [pull for pull in ours if pull.state == "open"]
        if still_open:
            return next((pull for pull in still_open if _is_of(pull, publication)), still_open[0])
        closed = [pull for pull in ours if not pull.merged_at and _may_be_of(pull, publication)]
        done = [pull for pull in ours if pull.merged_at and carries(pull, publication)]
        return next(reversed(done or closed), None)

    def bring(self, publication: Publication, branch: str, tip: str, known: PullAnswer | None) -> PullAnswer:
        """Bring the pull request up to date with ``tip``, or open it. Raises ForgeRefused, Unreachable."""
        if known is not None:
            known = self._get(known.number)  # as people left it while the push took its time
            if known.state == "open" or not known.merged_at:
                try:
                    return self._update(known, publication, tip)
                except Refusal as refused:
                    if refused.status != 422 or known.state == "open":
                        raise
                    _log.warning(
                        "pull request %d cannot be opened again: %s", known.number, one_line(refused.said, 200)
                    )
        return self._open(publication, branch, tip)

    def _get(self, number: int) -> PullAnswer:
        return self._client.call("GET", f"{self._path}/pulls/{number}", PullAnswer, doing=f"read pull request {number}")

    def _update(self, pull: PullAnswer, publication: Publication, tip: str) -> PullAnswer:
        before = pull.body or ""
        text = bodies.merged(before, publication, tip)
        if text is None:
            _log.warning("pull request %d has no room for Mason's section: its body is left as it is", pull.number)
        change = {} if text in (None, before) else {"body": text}
        change |= {"state": "open"} if pull.state == "closed" else {}
        if change:
            doing = f"update pull request {pull.number}"
            path = f"{self._path}/pulls/{pull.number}"
            updated = self._client.call("PATCH", path, PullAnswer, doing=doing, body=change, needs=_NEEDS)
        else:
            updated = pull
        # An earlier attempt at this very commit may have ended before this.
        if pull.state == "closed" or bodies.mentions(before, publication.outcome.commit or tip):
            self._decorate(updated, publication.policy)
        return updated

    def _open(self, publication: Publication, branch: str, tip: str, *, draft: bool | None = None) -> PullAnswer:
        draft = publication.policy.draft if draft is None else draft
        fields = {
            "title": title(publication.item.title) or f"Item {publication.item.id}",
            "head": branch,
            "base": publication.base.branch,
            "body": bodies.merged("", publication, tip) or "",
            "draft": draft,
        }
        try:
            pull = self._client.call(
                "POST",
                f"{self._path}/pulls",
                PullAnswer,
                doing=f"open a pull request from {branch} to {publication.base.branch}",
                body=fields,
                needs=_NEEDS,
                found=lambda: self._open_one(publication, branch),
            )
        except Refusal as refused:
            if refused.status != 422:
                raise
            if draft and "draft" in refused.said.lower():
                _log.warning("the repository has no draft pull requests: this one is ready for review at once")
                return self._open(publication, branch, tip, draft=False)
            there = self._open_one(publication, branch) if "already exists" in refused.said else None
            if there is None:
                raise
            return self._update(there, publication, tip)
        self._decorate(pull, publication.policy)
        return pull

    def _open_one(self, publication: Publication, branch: str) -> PullAnswer | None:
        found = self.find(publication, branch)
        return found if found and (found.state == "open" or found.merged_at) else None

    def _decorate(self, pull: PullAnswer, policy: PullRequestPolicy) -> None:
        """Labels and reviewers. A refusal is a warning: the work is published without them."""
        labels = sorted(set(policy.labels) - {label.name for label in pull.labels})
        author = pull.user.login.lower() if pull.user else ""
        people = [name for name in policy.reviewers if "/" not in name and name.lower() != author]
        teams = [name.partition("/")[2] for name in policy.reviewers if "/" in name]
        if labels:
            self._add(f"issues/{pull.number}/labels", {"labels": labels}, f"label pull request {pull.number}")
        if (people or teams) and not (pull.requested_reviewers or pull.requested_teams):
            asked = {"reviewers": people, "team_reviewers": teams}
            doing = f"ask for reviews of pull request {pull.number}"
            self._add(f"pulls/{pull.number}/requested_reviewers", asked, doing)

    def _add(self, path: str, body: dict[str, list[str]], doing: str) -> None:
        try:
            self._client.call("POST", f"{self._path}/{path}", ANYTHING, doing=doing, body=body, needs=_NEEDS)
        except (ForgeRefused, MissingPermission) as refused:
            _log.warning("%s", refused)


def carries(pull: PullAnswer, publication: Publication) -> bool:
    """Whether this publication's commit is what the pull request already shows."""
    commit = publication.outcome.commit or ""
    return bool(commit) and (pull.head.sha == commit or bodies.mentions(pull.body or "", commit))


def _is_of(pull: PullAnswer, publication: Publication) -> bool:
    return bodies.item_of(pull.body or "") == publication.item.id


def _may_be_of(pull: PullAnswer, publication: Publication) -> bool:
    """A branch may be named like that of an item that is gone: its pull request is not this item's."""
    return bodies.item_of(pull.body or "") in (None, publication.item.id)
