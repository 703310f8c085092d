from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from app.backlog.refusals import Refusal, explain, one_line
from app.errors import DatabaseRefused, DatabaseUnreachable, NotMigrated

BROKEN = 'new row for relation "mason_pm_backlog_items" violates check constraint "valid_type"'
RULES = {"valid_type": [{"column": "type", "rule": "CHECK ((type = 'fix'))"}]}


def ask(name: str, args: Mapping[str, object]) -> list[dict[str, Any]]:
    assert (name, args["table"]) == ("rule", "mason_pm_backlog_items")
    return RULES.get(str(args["constraint"]), [])


def told(code: str, message: str, args: Mapping[str, object] | None = None, detail: str = "") -> Exception:
    return explain(Refusal(code=code, message=message, detail=detail), args or {}, ask)


@pytest.mark.parametrize(
    ("code", "message", "migration"),
    [
        ("42P01", 'relation "mason_pm_validation_iterations" does not exist', "001_tables"),
        ("42703", 'column "failed_base" of relation "mason_pm_backlog_items" does not exist', "002_columns"),
        ("42883", "function mason_claim(jsonb) does not exist", "006_functions"),
        ("PGRST202", "Could not find the function public.mason_settle(args) in the schema cache", "006_functions"),
        ("PGRST205", "Could not find the table 'public.else' in the schema cache", "Mason's migrations"),
    ],
)
def test_explain__what_is_missing_names_its_migration(code: str, message: str, migration: str) -> None:
    problem = told(code, message)
    assert isinstance(problem, NotMigrated)
    assert migration in str(problem)
    assert "mason migrate" in str(problem) and "POST /api/setup/migrations" in str(problem)


def test_explain__a_broken_check_names_column_value_and_rule() -> None:
    problem = told("23514", BROKEN, {"own": {"title": "x", "type": "moonshot"}})
    assert str(problem) == (
        "The database refused type = 'moonshot' in mason_pm_backlog_items: "
        "its rule valid_type asks for CHECK ((type = 'fix'))."
    )


def test_explain__of_many_rows_the_one_that_broke_the_check_is_named() -> None:
    rows = {"rows": [{"type": "fix"}, {"type": "moonshot"}]}
    problem = told("23514", BROKEN, rows, detail="Failing row contains (1, x, moonshot).")
    assert "type = 'moonshot'" in str(problem)


@pytest.mark.parametrize("message", [BROKEN.replace("valid_type", "gone"), "something in another language"])
def test_explain__a_check_that_nobody_knows_is_told_as_it_came(message: str) -> None:
    assert str(told("23514", message, {"type": "moonshot"})) == f"The database refused: {message}"


def test_explain__a_rule_that_cannot_be_asked_for_is_told_as_it_came() -> None:
    def away(name: str, args: Mapping[str, object]) -> list[dict[str, Any]]:
        raise DatabaseUnreachable

    problem = explain(Refusal(code="23514", message=BROKEN), {"type": "x"}, away)
    assert str(problem) == f"The database refused: {BROKEN}"


def test_explain__denied_says_which_key_to_use() -> None:
    problem = told("42501", "permission denied for table mason_pm_backlog_items")
    assert isinstance(problem, DatabaseRefused)
    assert "service_role or sb_secret key" in str(problem)


def test_one_line__is_short_and_printable() -> None:
    assert one_line(" a\x1b[31m\tb\nsecond") == "a[31mb"
    assert len(one_line("x" * 5000)) == 300
