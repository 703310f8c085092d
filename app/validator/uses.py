"""Where a file uses what it imported: ``module.member``, and calls with the number of their arguments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from app.validator.parsing import Parsing, found, line, text
from app.validator.resolve import reader_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    """``local`` or ``local.member``. ``arguments`` None: it is not called, or with a number that cannot be seen."""

    local: str
    line: int
    member: str = ""
    arguments: int | None = None


def uses(path: str, data: bytes, names: set[str], parsing: Parsing) -> Iterator[Use]:
    """The uses of these local names; a dotted name (Python's ``import a.b``) is one name. None in a file that cannot be
    parsed."""
    reader = reader_of(path)
    root = parsing.tree(reader.grammar(path), data) if reader else None
    if reader is None or root is None:
        return
    for match in found(reader.grammar(path), reader.uses(path), root):
        if "member" in match:
            if (local := text(match["object"])) in names:
                yield Use(local=local, member=text(match["member"]), line=line(match["member"]))
            continue
        local, _, member = text(match["callee"]).rpartition(".")
        local, member = (local, member) if local else (member, "")
        if local in names:
            given = reader.arguments(match["arguments"])
            yield Use(local=local, member=member, line=line(match["callee"]), arguments=given)
