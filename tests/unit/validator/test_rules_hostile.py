"""Tiers 4 and 5 over what a stranger may write: nothing raises, and time grows as the text does."""

from __future__ import annotations

import gc
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.results import TierStatus
from app.validator.added import MOST_BYTES
from app.validator.domain import check_domain
from app.validator.findings import MOST_FINDINGS
from app.validator.rules.syntax import MOST_NODES
from app.validator.side_effects import check_side_effects
from app.validator.subject import Subject
from tests.unit.validator.file_sets import subject

SUFFIXES = (".ts", ".tsx", ".js", ".py", ".go", ".sql", ".html", ".rs", ".java", ".rb", ".css", ".txt", ".json", "")
PATHS = [f"src/a{suffix}" for suffix in SUFFIXES] + [
    *("a.test.ts", "tests/test_a.py", "a_test.go", "package.json", "pyproject.toml", "Cargo.toml", "supabase/1.sql"),
]
WORDS = [
    *(
        "CREATE TABLE ",
        "DROP POLICY IF EXISTS a;",
        "/*",
        "*/",
        "--",
        "'",
        '"',
        "`",
        "${",
        "}",
        "$a$",
        "\n",
        " ",
        "\r",
        "\0",
    ),
    *(
        "<img ",
        "<a>",
        "<div onClick={a}>",
        'style="',
        "{...a}",
        "const x: any = ",
        "await db.query(",
        "for (a of b) {",
        "=>",
    ),
    *(
        "SELECT a FROM b ",
        'f"',
        "{a}",
        "% ",
        " + ",
        ".format(",
        "it('a', ",
        "test.skip(",
        "def test_a():\n  ",
        "#[test]\nfn a",
    ),
    *(
        "// @ts-ignore",
        "# noqa",
        "password = '",
        "eyJ",
        "AKIA",
        "-----BEGIN PRIVATE KEY-----",
        "://a:b@",
        "é",
        "\udcff",
    ),
]
texts = st.one_of(
    st.lists(st.sampled_from(WORDS), max_size=60).map("".join),
    st.binary(max_size=300).map(lambda data: data.decode("utf-8", "surrogateescape")),
)


def judge(given_subject: Subject) -> None:
    for result in (check_domain(given_subject), check_side_effects(given_subject)):
        assert result.status in (TierStatus.PASS, TierStatus.WARN, TierStatus.FAIL)
        assert len(result.findings) <= MOST_FINDINGS + 1


@settings(max_examples=150, deadline=None)
@given(
    before=st.dictionaries(st.sampled_from(PATHS), texts, max_size=3),
    after=st.dictionaries(st.sampled_from(PATHS), st.none() | texts, max_size=3),
)
def test_rules__no_change_makes_them_raise(before: dict[str, str], after: dict[str, str | None]) -> None:
    real = {path: text for path, text in after.items() if text is not None or path in before}
    judge(subject(before, real, domain="data"))


@settings(max_examples=100, deadline=None)
@given(path=st.sampled_from(PATHS), text=texts)
def test_rules__a_state_compared_with_its_copy_adds_nothing(path: str, text: str) -> None:
    unchanged = subject({path: text}, {path: text + "\n"}, domain="ui")
    readable = text.count("\0") == 0
    assert not readable or not check_domain(unchanged).findings or path == "package.json"


UNITS = [
    *(
        "x",
        " ",
        "\n",
        "'",
        '"',
        "`",
        "<",
        "<img ",
        '<a "',
        "<a b=c ",
        "/*",
        "--",
        "$a$",
        "CREATE ",
        "DROP TABLE ",
        ".json(",
    ),
    *("'SELECT a '+", "eyJ", "eyJaaaaaaaaaaaa.", "postgres://a:", "password='", "secret: ", "aws key ", "import * as "),
    *(
        "@Test ",
        "#[test]\n",
        "exec(`",
        "xoxb-1-",
        "it.",
        "it . a ",
        "it('a', ",
        "for(;;)",
        ".map(async a=>await db.query(",
    ),
    *(
        "<div onClick={a}>",
        "`SELECT * FROM ${",
        "(",
        "{",
        "a?b:",
        "jsonify(",
        "-----BEGIN PRIVATE KEY-----",
        'f"{a}" + ',
    ),
    *("eslint-disable ", "// @ts-ignore\n", "console.log(", "expect(", "assert ", "[", "a: any;"),
]


def seconds(path: str, unit: str, length: int) -> float:
    """CPU time of both tiers, the best of two: what else the machine does comes on top."""
    text = unit * (length // len(unit))
    hostile = subject({path: "x"}, {path: text}, domain="data")
    times = []
    for _ in range(2):
        gc.collect()
        begun = time.process_time()
        judge(hostile)
        times.append(time.process_time() - begun)
    return min(times)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("path", ["a.test.tsx", "src/a.py", "src/a.sql", "src/a.html", "src/a.rs"])
def test_rules__time_grows_as_the_text_does(path: str, unit: str) -> None:
    short, long = seconds(path, unit, 2_000), seconds(path, unit, 16_000)
    # Eight times the text; what is quadratic would take sixty-four times as long.
    assert long < 32 * max(short, 0.001)


@pytest.mark.parametrize("unit", ["x", "password='", "<img ", "/*", "(", "eyJ"])
def test_rules__a_line_of_a_megabyte_is_judged(unit: str) -> None:
    line = unit * (990_000 // len(unit))
    judge(subject({}, {"a.txt": line, "a.sql": line, "a.html": line}))


def test_rules__what_has_too_many_parts_is_told() -> None:
    result = check_domain(subject({}, {"a.py": "a\n" * (MOST_NODES - 10_000)}))
    assert "longer than anything" in result.findings[0].message
    assert result.status is TierStatus.FAIL


def test_rules__a_change_of_too_many_bytes_is_told() -> None:
    text = "".join(random.Random(1).choices("abcdefgh \n", k=999_000))
    files = {f"data/f{n:02}.txt": text for n in range(MOST_BYTES // len(text) + 3)}
    result = check_domain(subject({}, {**files, "z.ts": "1"}))
    assert result.status is TierStatus.FAIL
    assert any(f.path == "z.ts" and "too large" in f.message for f in result.findings)


def test_rules__nesting_has_no_depth_that_hurts() -> None:
    deep = "".join(f"{'  ' * n}if a:\n" for n in range(90)) + "x = " + "[" * 10_000
    judge(
        subject({}, {"a.py": deep, "a.ts": "{[(" * 10_000, "package.json": '{"a":' * 100_000, "a.tsx": "<a>" * 10_000})
    )
