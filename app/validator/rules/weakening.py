"""Marks that make a check look away, and marks that keep a test from running. A tier-5 rule each, all errors."""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.validator.rules.rule import ALL, Look, Rule, Sighting, pattern
from app.validator.rules.source import Source
from app.validator.scope import is_test

_JS = (".ts", ".tsx", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs", ".vue", ".svelte", ".astro")
_PY = (".py", ".pyi")
_GO = (".go",)
_RUST = (".rs",)
_JVM = (".java", ".kt", ".kts", ".scala")
_RUBY = (".rb",)
_PHP = (".php",)
_CS = (".cs",)
_CSS = (".css", ".scss", ".less", ".sass")
_C = (".c", ".cc", ".cpp", ".h", ".hpp")

IN_COMMENTS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("@ts-ignore", _JS, r"@ts-ignore\b"),
    ("@ts-expect-error", _JS, r"@ts-expect-error\b"),
    ("@ts-nocheck", _JS, r"@ts-nocheck\b"),
    ("eslint-disable", _JS, r"\b(?:eslint|tslint|oxlint|deno)-(?:disable|lint-ignore)"),
    ("/* eslint", _JS, r"^/\*\s{0,10}eslint\s"),
    ("biome-ignore", (*_JS, *_CSS), r"\b(?:biome|rome)-ignore\b"),
    ("istanbul ignore", _JS, r"\b(?:istanbul|c8|v8|vitest)\s{1,5}ignore\b"),
    ("stylelint-disable", _CSS, r"\bstylelint-disable"),
    ("noqa", _PY, r"(?i)#\s{0,5}(?:(?:ruff|flake8)\s{0,3}:\s{0,3})?noqa\b"),
    ("type: ignore", _PY, r"#\s{0,5}type\s{0,3}:\s{0,3}ignore\b"),
    ("# mypy:", _PY, r"#\s{0,5}mypy\s{0,3}:"),
    (
        "pyright: ignore",
        _PY,
        r"#\s{0,5}(?:based)?pyright\s{0,3}:|#\s{0,5}(?:pyre|pytype|ty)\s{0,3}[:-]\s{0,3}(?:ignore|disable|fixme)",
    ),
    ("pylint: disable", _PY, r"#\s{0,5}pylint\s{0,3}:\s{0,3}(?:disable|skip-file)"),
    ("pragma: no cover", _PY, r"#\s{0,5}pragma\s{0,3}:\s{0,3}no\s{0,3}(?:cover|branch)"),
    ("nosec", (*_PY, *_GO), r"#\s{0,3}nosec\b"),
    ("nolint", _GO, r"^//\s{0,3}(?:nolint\b|lint:(?:file-)?ignore\b)"),
    ("go:build ignore", _GO, r"^//go:build\s{1,5}ignore\b"),
    ("rubocop:disable", _RUBY, r"#\s{0,5}rubocop\s{0,3}:\s{0,3}(?:disable|todo)\b"),
    ("phpstan-ignore", _PHP, r"@phpstan-ignore|phpcs:(?:ignore|disable)|@psalm-suppress"),
    ("NOLINT", _C, r"\bNOLINT"),
    (
        "nosemgrep",
        (*_JS, *_PY, *_GO, *_JVM, *_RUBY),
        r"\bnosemgrep\b|\bNOSONAR\b|\bgitleaks:allow\b|\ballowlist\s{1,3}secret\b",
    ),
)
"""What it is called, in which files, and how it is told in a comment."""

IN_CODE: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("#[allow(…)]", _RUST, r"^[ \t]{0,80}#!?\[\s{0,5}(?:allow|expect)\s{0,5}\("),
    ("@SuppressWarnings", _JVM, r"@(?:Suppress|SuppressWarnings|SuppressFBWarnings)\b"),
    ("#pragma warning disable", _CS, r"#pragma\s{1,5}warning\s{1,5}disable\b|\bSuppressMessage\("),
    ("#pragma diagnostic ignored", _C, r"#pragma\s{1,5}(?:GCC|clang)\s{1,5}diagnostic\s{1,5}ignored"),
    ("@no_type_check", _PY, r"@(?:typing\.)?no_type_check\b"),
)

_SUITE = r"\b(?:describe|it|test|suite|context|specify|bench)"
SKIPS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "skip",
        _JS,
        _SUITE + r"\s{0,5}(?:\.\s{0,5}\w{1,20}\s{0,5}){0,3}\.\s{0,5}(?:skip|todo|fixme|skipIf|runIf|failing|fails)\b",
    ),
    ("only", _JS, _SUITE + r"\s{0,5}(?:\.\s{0,5}\w{1,20}\s{0,5}){0,3}\.\s{0,5}only\b"),
    ("xit", _JS, r"(?<![\w.$])(?:xit|xtest|xdescribe|xcontext|xspecify)\s{0,5}[(.]"),
    (
        "pytest skip",
        _PY,
        r"\bmark\s{0,5}\.\s{0,5}(?:skip|skipif|xfail)\b|\bpytest\s{0,5}\.\s{0,5}(?:skip|xfail|importorskip)\b",
    ),
    (
        "unittest skip",
        _PY,
        r"@(?:unittest\.)?(?:skip|skipIf|skipUnless|expectedFailure)\b|\.skipTest\s{0,5}\(|\bSkipTest\b",
    ),
    ("not collected", _PY, r"\bcollect_ignore(?:_glob)?\b|\b__test__\s{0,5}=\s{0,5}False\b"),
    ("t.Skip", _GO, r"\b[tb]\.(?:Skip|SkipNow|Skipf)\s{0,5}\("),
    ("#[ignore]", _RUST, r"^[ \t]{0,80}#\[\s{0,5}ignore\b"),
    ("@Disabled", _JVM, r"@(?:Disabled|Ignore)\b"),
    ("[Ignore]", _CS, r"\[\s{0,5}Ignore\b|\bSkip\s{0,3}=\s{0,3}\""),
    ("markTestSkipped", _PHP, r"\bmarkTest(?:Skipped|Incomplete)\b"),
    ("pending", _RUBY, r"^[ \t]{0,80}(?:xit|xdescribe|xcontext|skip|pending|fit|fdescribe)\b"),
)
"""What it is called, in which files, and how it is told in code."""

_FOCUSED = r"(?<![\w.$])(?:fit|fdescribe|fcontext)\s{0,5}\("
_CANNOT_FAIL = (
    r"\bexpect\s{0,3}\(\s{0,3}(?:true|1)\s{0,3}\)\s{0,5}\.\s{0,5}to(?:Be|Equal|BeTruthy)\b",
    r"\bassert\s{1,3}True\b|\bassertTrue\(\s{0,3}True\s{0,3}\)|\bassert\s{1,3}1\s{0,3}==\s{0,3}1\b",
    r"\bassert(?:\.ok)?\(\s{0,3}true\s{0,3}\)",
)

CANNOT_FAIL = Rule(
    name="assertion that cannot fail",
    look=pattern(*_CANNOT_FAIL),
    message="an assertion that cannot fail",
    recommendation="assert what the code does",
    languages=None,
    warns=ALL,
    in_tests=True,
    applies=is_test,
)


def _in_comments(expression: str) -> Look:
    compiled = re.compile(expression)

    def look(source: Source) -> Iterator[Sighting]:
        for line, comment in source.comments:
            if compiled.search(comment):
                yield Sighting(line=line)

    return look


def _with(suffixes: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("(?:" + "|".join(map(re.escape, suffixes)) + r")\Z", re.IGNORECASE)


def _suppression(name: str, suffixes: tuple[str, ...], look: Look) -> Rule:
    return Rule(
        name=name,
        look=look,
        message=f"a new suppression ({name})",
        recommendation="solve what the check found instead of silencing it",
        languages=None,
        errors=ALL,
        in_tests=True,
        applies=lambda path: bool(_with(suffixes).search(path)),
    )


def _skip(name: str, suffixes: tuple[str, ...], expression: str, *, only_tests: bool = False) -> Rule:
    return Rule(
        name=name,
        look=pattern(expression, flags=re.MULTILINE),
        message=f"tests are kept from running ({name})",
        recommendation="let the test run, and mend what it finds",
        languages=None,
        errors=ALL,
        in_tests=True,
        applies=lambda path: bool(_with(suffixes).search(path)) and (is_test(path) or not only_tests),
    )


SUPPRESSION_RULES: tuple[Rule, ...] = (
    *(_suppression(name, suffixes, _in_comments(expression)) for name, suffixes, expression in IN_COMMENTS),
    *(_suppression(n, suffixes, pattern(expression, flags=re.MULTILINE)) for n, suffixes, expression in IN_CODE),
)
SKIP_RULES: tuple[Rule, ...] = (
    *(_skip(*row, only_tests=row[1] not in (_JS, _RUST)) for row in SKIPS),
    _skip("fit", _JS, _FOCUSED, only_tests=True),
)
