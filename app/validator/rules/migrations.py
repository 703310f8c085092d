"""SQL migrations that cannot run twice, and tables that anybody may read."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from app.validator.rules.rule import Sighting
from app.validator.rules.source import Source
from app.validator.rules.syntax import Lines

_NAME = r'(?P<name>[\w".\[\]`]{1,150})'
_CREATE = re.compile(
    r"\bCREATE\s{1,20}(?P<replace>OR\s{1,20}REPLACE\s{1,20})?"
    r"(?:(?:UNLOGGED|UNIQUE|MATERIALIZED|CONSTRAINT)\s{1,20}){0,2}"
    r"(?P<what>TABLE|INDEX|VIEW|SCHEMA|SEQUENCE|EXTENSION|FUNCTION|PROCEDURE|TRIGGER|POLICY)\s{1,20}"
    rf"(?:CONCURRENTLY\s{{1,20}})?(?P<careful>IF\s{{1,20}}NOT\s{{1,20}}EXISTS\s{{1,20}})?{_NAME}",
    re.IGNORECASE,
)
_ADD_COLUMN = re.compile(r"\bADD\s{1,20}COLUMN\s{1,20}(?!IF\s{1,20}NOT\s{1,20}EXISTS\b)", re.IGNORECASE)
_DROP = re.compile(
    r"\bDROP\s{1,20}(?:MATERIALIZED\s{1,20})?"
    r"(?P<what>TABLE|INDEX|VIEW|SCHEMA|SEQUENCE|EXTENSION|FUNCTION|PROCEDURE|TRIGGER|POLICY|TYPE|COLUMN|CONSTRAINT)\s{1,20}"
    rf"(?:CONCURRENTLY\s{{1,20}})?(?P<careful>IF\s{{1,20}}EXISTS\s{{1,20}})?{_NAME}",
    re.IGNORECASE,
)
_WITH_SECURITY = re.compile(
    rf"\bALTER\s{{1,20}}TABLE\s{{1,20}}(?:IF\s{{1,20}}EXISTS\s{{1,20}})?(?:ONLY\s{{1,20}})?{_NAME}\s{{1,20}}"
    r"(?:ENABLE|FORCE)\s{1,20}ROW\s{1,20}LEVEL\s{1,20}SECURITY",
    re.IGNORECASE,
)
_ONCE_BY_DESIGN = ("--> statement-breakpoint",)
"""Generated migrations, which their tool writes and runs once each (Drizzle)."""


def find_unrepeatable(source: Source) -> Iterator[Sighting]:
    """Statements that fail when the migration has already run. What was dropped first, if it was there, may be made."""
    if _runs_once(source):
        return
    text = source.code
    lines = Lines(text)
    dropped = {_plain(drop["name"]): drop.start() for drop in reversed(list(_DROP.finditer(text))) if drop["careful"]}
    for made in _CREATE.finditer(text):
        if not (made["careful"] or made["replace"] or dropped.get(_plain(made["name"]), len(text)) < made.start()):
            yield Sighting(line=lines.at(made.start()), key=_key(made[0]))
    for column in _ADD_COLUMN.finditer(text):
        yield Sighting(line=lines.at(column.start()), key=_key(text[column.start() : column.end() + 100].split(",")[0]))
    for drop in _DROP.finditer(text):
        if not drop["careful"]:
            yield Sighting(line=lines.at(drop.start()), key=_key(drop[0]))


def find_open_tables(source: Source) -> Iterator[Sighting]:
    """New tables of the public schema without row level security in the same migration."""
    text = source.code
    lines = Lines(text)
    closed = {_plain(match["name"]) for match in _WITH_SECURITY.finditer(text)}
    for made in _CREATE.finditer(text):
        schema, _, _ = made["name"].replace('"', "").rpartition(".")
        if made["what"].upper() == "TABLE" and schema.lower() in ("", "public") and _plain(made["name"]) not in closed:
            yield Sighting(line=lines.at(made.start()), key=_plain(made["name"]))


def is_supabase(path: str) -> bool:
    return "supabase/" in path


def _runs_once(source: Source) -> bool:
    # Prisma names each of its files so, and keeps a table of those that ran.
    return posixpath.basename(source.path) == "migration.sql" or any(mark in source.text for mark in _ONCE_BY_DESIGN)


def _plain(name: str) -> str:
    return name.lower().replace('"', "").replace("`", "").removeprefix("public.")


def _key(statement: str) -> str:
    return " ".join(statement.lower().split())
