"""Comments on issues and pull requests: found again by their marker, and never somebody else's."""

from __future__ import annotations

from collections.abc import Callable

from app.forge.github.client import PAGE, Client
from app.forge.github.names import quoted
from app.forge.github.records import ANYTHING, COMMENTS, CommentAnswer
from app.forge.github.refusals import Refusal
from app.forge.github.text import head
from app.ports.repository import Reaction

BODY_LIMIT = 65_536
"""Characters of a comment that GitHub takes."""

MOST_PAGES = 25
"""Of a hundred comments: an issue takes no more than 2,500."""

_GONE = (404, 410)
_NEEDS = "issues: write"


class Comments:
    """Comments of one repository. ``me`` gives the login that they are written by, which nobody else can have."""

    def __init__(self, client: Client, repository: str, me: Callable[[], str]) -> None:
        self._client = client
        self._path = f"/repos/{quoted(repository)}/issues"
        self._me = me
        self._known: dict[tuple[int, str], CommentAnswer] = {}

    def react(self, comment_id: int, reaction: Reaction) -> None:
        """React to a comment. GitHub keeps one of each kind, however often it is asked."""
        path = f"{self._path}/comments/{comment_id}/reactions"
        body = {"content": reaction.value}
        try:
            self._client.call("POST", path, ANYTHING, doing="react to a comment", body=body, needs=_NEEDS)
        except Refusal as refused:
            if refused.status not in _GONE:
                raise

    def say(self, number: int, marker: str, text: str, *, dispensable: bool) -> str:
        """See `app.ports.repository.Repository.say`. A text that is too long loses its end.

        Idempotent because the comment is looked for before one is made, also after an answer was lost.
        """
        first = f"<!-- {marker} -->"
        body = head(f"{first}\n{text}", BODY_LIMIT)
        known = self._known.get((number, marker))
        if known and dispensable and not self._client.roomy:
            return known.html_url
        comment = (self._again(known.id) if known else None) or self._find(number, first)
        now = self._brought_up_to_date(comment, body, dispensable=dispensable) if comment else None
        if now is None:
            now = self._make(number, first, body)
        self._remember((number, marker), now)
        return now.html_url

    def _brought_up_to_date(self, comment: CommentAnswer, body: str, *, dispensable: bool) -> CommentAnswer | None:
        """The comment with this body; None when it was deleted meanwhile."""
        if _same(comment.body or "", body) or (dispensable and not self._client.roomy):
            return comment
        path = f"{self._path}/comments/{comment.id}"
        doing = f"edit comment {comment.id}"
        try:
            return self._client.call("PATCH", path, CommentAnswer, doing=doing, body={"body": body}, needs=_NEEDS)
        except Refusal as refused:
            if refused.status not in _GONE:
                raise
            return None

    def _make(self, number: int, first: str, body: str) -> CommentAnswer:
        return self._client.call(
            "POST",
            f"{self._path}/{number}/comments",
            CommentAnswer,
            doing=f"comment on #{number}",
            body={"body": body},
            needs=_NEEDS,
            found=lambda: self._find(number, first),
        )

    def _again(self, comment_id: int) -> CommentAnswer | None:
        """A comment that was found before: other processes edit it too, and people delete it."""
        path = f"{self._path}/comments/{comment_id}"
        try:
            return self._client.call("GET", path, CommentAnswer, doing=f"read comment {comment_id}")
        except Refusal as refused:
            if refused.status not in _GONE:
                raise
            return None

    def _find(self, number: int, first: str) -> CommentAnswer | None:
        """The oldest comment of ours that begins with this line: a copy in somebody else's is not ours."""
        me = self._me().lower()
        for page in range(1, MOST_PAGES + 1):
            asked = {"per_page": PAGE, "page": page}
            path = f"{self._path}/{number}/comments"
            found = self._client.call("GET", path, COMMENTS, doing=f"list the comments of #{number}", params=asked)
            for comment in found:
                ours = comment.user is not None and comment.user.login.lower() == me
                if ours and (comment.body or "").startswith(first):
                    return comment
            if len(found) < PAGE:
                break
        return None

    def _remember(self, key: tuple[int, str], comment: CommentAnswer) -> None:
        self._known.pop(key, None)
        while len(self._known) >= 1000:
            self._known.pop(next(iter(self._known)), None)
        self._known[key] = comment


def _same(one: str, other: str) -> bool:
    """GitHub may change how lines end."""
    return one.replace("\r\n", "\n").strip() == other.replace("\r\n", "\n").strip()
