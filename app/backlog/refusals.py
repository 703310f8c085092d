"""What a database refused, as one sentence that says what to do. The same words for every way in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from app.backlog import migrate
from app.backlog.session import Row
from app.errors import DatabaseRefused, MasonError, NotMigrated

Ask = Callable[[str, Mapping[str, object]], list[Row]]

_MISSING = ("42P01", "42703", "42883", "42704", "3F000", "PGRST202", "PGRST204", "PGRST205")
"""Undefined table, column, function, type, schema; the same in PostgREST's own words."""

_DENIED = "42501"
_CHECK_VIOLATED = "23514"
_LONGEST = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """An error as the database told it; ``code`` is a SQLSTATE or one of PostgREST's own codes."""

    code: str
    message: str
    detail: str = ""


def explain(refusal: Refusal, args: Mapping[str, object], ask: Ask) -> MasonError:
    """The error to raise for a refused call with these arguments; ``ask`` calls a function of the same database."""
    said = one_line(refusal.message)
    if refusal.code in _MISSING:
        return NotMigrated(
            f"The database lacks something of {_migration_of(said)} ({said}): "
            "run `mason migrate` (or POST /api/setup/migrations) first."
        )
    if refusal.code == _DENIED:
        return denied(said)
    if refusal.code == _CHECK_VIOLATED:
        return DatabaseRefused(_broken_rule(refusal, args, ask) or f"The database refused: {said}")
    return DatabaseRefused(f"The database refused: {said}")


def denied(said: str) -> DatabaseRefused:
    return DatabaseRefused(
        f"The database's access rules forbid this ({said}): give Mason the project's service_role or sb_secret key, "
        "or a role that may use its tables."
    )


def one_line(text: str) -> str:
    """The first line, without control characters, cut where nobody reads on."""
    line = "".join(c for c in text.strip().partition("\n")[0] if c.isprintable())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _migration_of(said: str) -> str:
    """The migration that first names what is missing: the most specific of the words that have a name of ours."""
    for word in re.findall(r"\w+", said):
        for migration in migrate.packaged():
            if ("_" in word) and re.search(rf"\b{word}\b", migration.sql):
                return f"migration {migration.name}"
    return "Mason's migrations"


def _broken_rule(refusal: Refusal, args: Mapping[str, object], ask: Ask) -> str:
    """Which column had which value, and what it may have; empty when the database cannot tell."""
    names = re.findall(r'"([^"]+)"', refusal.message)
    if len(names) != 2:
        return ""
    table, constraint = names
    try:
        rules = ask("rule", {"table": table, "constraint": constraint})
    except MasonError:
        return ""
    for rule in rules:
        column = str(rule["column"])
        values = list(_values(args, column))
        in_the_row = [value for value in values if _holds(refusal.detail, value)]
        if in_the_row or len(values) == 1:
            return (
                f"The database refused {column} = {one_line(repr((in_the_row or values)[0]))} in {table}: "
                f"its rule {constraint} asks for {one_line(str(rule['rule']))}."
            )
    return ""


def _holds(detail: str, value: object) -> bool:
    """Whether "Failing row contains (1, x, y)." has this value."""
    return re.search(rf"[( ]{re.escape(str(value))}[,)]", detail) is not None


def _values(value: object, column: str) -> Iterator[object]:
    """Everything that stands under a column's name in some arguments."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            if name == column:
                yield part
            else:
                yield from _values(part, column)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _values(part, column)
