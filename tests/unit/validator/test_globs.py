"""Path patterns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.validator.globs import matches


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*.sql", "db/deep/a.sql"),
        ("db/*.sql", "db/a.sql"),
        ("/a.txt", "a.txt"),
        ("db/", "db/deep/a.sql"),
        ("db", "src/db/a.sql"),
        ("db/**", "db/a/b"),
        ("**/db/*.sql", "db/a.sql"),
        ("**/db/*.sql", "x/y/db/a.sql"),
        ("a/**/b", "a/b"),
        ("a/**/b", "a/x/y/b"),
        ("Makefile", "makefile"),
        ("file?.ts", "file1.ts"),
        ("file[0-9].ts", "file7.ts"),
        ("file[!0-9].ts", "filex.ts"),
        ("a+b(c).ts", "a+b(c).ts"),
    ],
)
def test_matches__what_git_would_ignore(pattern: str, path: str) -> None:
    assert matches(path, pattern)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("db/*.sql", "db/deep/a.sql"),
        ("db/*.sql", "src/db/a.sql"),
        ("/a.txt", "src/a.txt"),
        ("db/", "dbx/a.sql"),
        ("file[!0-9].ts", "file7.ts"),
        ("", "a"),
        ("/", "a"),
    ],
)
def test_matches__not_these(pattern: str, path: str) -> None:
    assert not matches(path, pattern)


@given(st.text(max_size=20), st.text(max_size=20))
def test_matches__any_pattern_is_answered(path: str, pattern: str) -> None:
    assert matches(path, pattern) in (True, False)
