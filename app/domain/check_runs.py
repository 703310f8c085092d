"""Check runs: what GitHub's Checks UI shows of an item at work and of a published commit (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from app.domain.items import Item
from app.domain.results import Diagnostic
from app.domain.text import one_line

TEXT_LIMIT = 65_535
"""Characters of a check run's ``summary`` and of its ``text`` (platform facts, Checks)."""

ANNOTATIONS_A_REQUEST = 50
ANNOTATION_LIMIT = 200
"""Annotations of one check run at most: more of them help nobody, and each fifty cost a write."""

_NAME_LIMIT = 60


class Conclusion(StrEnum):
    """The conclusions that Mason uses, as GitHub spells them."""

    SUCCESS = "success"
    FAILURE = "failure"
    NEUTRAL = "neutral"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    TIMED_OUT = "timed_out"


class Button(StrEnum):
    """The three buttons, by the identifier that comes back with a press."""

    RETRY = "retry"
    FIX = "fix"
    CANCEL = "cancel"


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What a check run is about; it travels in ``external_id``. ``pull_request`` is 0 while there is none.

    ``item_id`` is None for a pull request that belongs to no item.
    """

    run_id: UUID
    item_id: UUID | None
    pull_request: int = 0

    def __str__(self) -> str:
        return f"mason:{self.run_id}:{self.item_id or '-'}:{self.pull_request}"

    @classmethod
    def parse(cls, text: str | None) -> Subject | None:
        """The subject that an ``external_id`` names, None when it is not one of Mason's."""
        uuid = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
        found = re.fullmatch(rf"mason:({uuid}):({uuid}|-):([0-9]{{1,9}})", text or "")
        if found is None:
            return None
        item = None if found[2] == "-" else UUID(found[2])
        return cls(run_id=UUID(found[1]), item_id=item, pull_request=int(found[3]))


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckRun:
    """What one check run says. ``conclusion`` None: it is in progress. ``summary`` and ``text`` are Markdown.

    ``page`` is where it leads, "" for where all of this process do.
    """

    name: str
    commit: str
    subject: Subject
    title: str
    summary: str
    text: str = ""
    conclusion: Conclusion | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    buttons: tuple[Button, ...] = ()
    page: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundCheckRun:
    """A check run that GitHub has, made by the App that Mason acts as; ``subject`` is None for somebody else's."""

    id: int
    name: str
    subject: Subject | None
    completed: bool


def item_check_name(item: Item) -> str:
    """The same for every run of an item. The id keeps two items apart, and an item from the gate's own names."""
    title = one_line(item.title, _NAME_LIMIT) or "item"
    return f"mason / {title} ({item.id.hex[:8]})"
