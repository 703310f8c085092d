"""A state of a repository in memory, with the same answers as git's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.domain.plans import PrdContext
from app.domain.policy import Policy
from app.ports.workspace import READABLE, Change, ChangeKind
from app.validator.subject import Subject


@dataclass(frozen=True)
class FileSet:
    """Path → text."""

    texts: Mapping[str, str]

    def paths(self) -> list[str]:
        return sorted(self.texts)

    def read(self, paths: Sequence[str]) -> dict[str, bytes]:
        found = {path: self.texts[path].encode("utf-8", "surrogateescape") for path in paths if path in self.texts}
        return {path: data for path, data in found.items() if len(data) <= READABLE}

    def mentioning(self, words: Sequence[str]) -> list[str]:
        return [path for path in self.paths() if any(word and word in self.texts[path] for word in words)]


def subject(
    before: Mapping[str, str],
    after: Mapping[str, str | None],
    *,
    context: PrdContext | None = None,
    policy: Policy | None = None,
    domain: str = "general",
) -> Subject:
    """``after`` is what changes: a path's new text, None for a deleted one."""
    now = {path: text for path, text in {**before, **after}.items() if text is not None}
    changes = []
    for path in sorted(after):
        text = after[path]
        if text == before.get(path):
            continue
        kind = ChangeKind.DELETED if text is None else ChangeKind.MODIFIED if path in before else ChangeKind.ADDED
        changes.append(Change(path=path, kind=kind))
    return Subject(
        changes=changes,
        context=context or PrdContext(),
        policy=policy or Policy(),
        domain=domain,
        before=FileSet(dict(before)),
        after=FileSet(now),
    )
