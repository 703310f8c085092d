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
        ("src/**/*.ts", "src/a.ts"),
        ("src/**/*.ts", "src/x/y/a.ts"),
        ("src/**.ts", "src/x/a.ts"),
        ("src/a**", "src/abc/d"),
        ("*a*b*c", "xaxbxc"),
        ("app/[user-id]/**", "app/[user-id]/page.tsx"),
        ("[slug]/**", "[slug]/x/page.tsx"),
        ("[!]a].ts", "b.ts"),
        ("[a-\\d].ts", "d.ts"),
        ("file[", "file["),
        ("**", "a/b"),
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
        ("db/**", "db"),
        ("src/*/a.ts", "src/a.ts"),
        ("a/**/b", "a/xb"),
        ("[user-id]", "x"),
        ("*" * 1001, "a"),
    ],
)
def test_matches__not_these(pattern: str, path: str) -> None:
    assert not matches(path, pattern)


@given(st.text(max_size=20), st.text(max_size=20))
def test_matches__any_pattern_is_answered(path: str, pattern: str) -> None:
    assert matches(path, pattern) in (True, False)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*e" * 400 + "z.txt", "e" * 4000),
        ("**/" * 300 + "z", "a/" * 2000 + "b"),
        ("*a*b" * 200 + "/**/" + "?" * 100, "ab" * 2000 + "/x" * 1000),
        ("/".join(["*e*e*e*e*e*e*e*e*e*z"] * 40), "/".join(["e" * 120] * 400)),
    ],
)
def test_matches__no_pattern_takes_long(pattern: str, path: str) -> None:
    """Each is answered within its steps: what went back further would never end."""
    assert not matches(path, pattern)
