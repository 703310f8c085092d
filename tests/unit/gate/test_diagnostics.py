"""Diagnostics out of outputs as the tools really write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.domain.results import CheckKind, CheckResult, CheckStatus, Diagnostic, Severity
from app.gate.diagnostics import MAX_DIAGNOSTICS, MAX_WARNINGS, new_warnings, parse, plain, without_new_warnings

TREE = Path("/run/item/tree")

TSC = """\
src/a.ts(1,17): error TS2307: Cannot find module 'left-pad' or its corresponding type declarations.
src/routes/(shop)/page.tsx(2,7): error TS2322: Type 'string' is not assignable to type 'number'.
  Types of property 'x' are incompatible.
error TS5023: Unknown compiler option 'x'.
"""
TSC_PRETTY = """\
\x1b[96msrc/a.ts\x1b[0m:\x1b[93m2\x1b[0m:\x1b[93m7\x1b[0m - \x1b[91merror\x1b[0m\x1b[90m TS2322: \x1b[0mType 'string' \
is not assignable to type 'number'.

\x1b[7m2\x1b[0m const x: number = "a";
\x1b[7m \x1b[0m \x1b[91m      ~\x1b[0m

Found 1 error in src/a.ts\x1b[90m:2\x1b[0m
"""
ESLINT_STYLISH = """\

/run/item/tree/src/b.js
   1:7   warning  'y' is assigned a value but never used  no-unused-vars
  12:1   error    Parsing error: Unexpected token

/run/item/tree/src/[id]/c.tsx
  2:10  error  Unexpected any. Specify a different type  @typescript-eslint/no-explicit-any

✖ 3 problems (2 errors, 1 warning)
  1 error and 0 warnings potentially fixable with the `--fix` option.
"""
ESLINT_LONG_MESSAGE = """\

/run/item/tree/src/Greeting.tsx
  1:1  error  Parsing error: Unexpected token
  6:5  error  Error: Calling setState synchronously within an effect can trigger cascading renders

Effects are intended to synchronize state between React and external systems.

/run/item/tree/src/Greeting.tsx:6:5
  5 |   useEffect(() => {
> 6 |     setShown(name)
    |     ^^^^^^^^ Avoid calling setState() directly within an effect
  7 |   }, [name])  react-hooks/set-state-in-effect
  9:3  error  Unexpected any. Specify a different type  @typescript-eslint/no-explicit-any

/run/item/tree/src/main.ts
  2:7  error  'sum' is never reassigned. Use 'const' instead  prefer-const

✖ 4 problems (4 errors, 0 warnings)
"""
ESLINT_UNIX = """\
/run/item/tree/src/b.js:1:7: 'y' is assigned a value but never used. [Warning/no-unused-vars]
/run/item/tree/src/b.js:2:1: 'foo' is not defined. [Error/no-undef]

2 problems
"""
ESLINT_COMPACT = """\
/run/item/tree/src/b.js: line 1, col 7, Warning - 'y' is assigned a value but never used. (no-unused-vars)
/run/item/tree/src/b.js: line 2, col 1, Error - 'foo' is not defined. (no-undef)

2 problems
"""
RUFF_FULL = """\
F401 [*] `os` imported but unused
 --> a.py:1:8
  |
1 | import os
  |        ^^
help: Remove unused import: `os`

invalid-syntax: Expected a parameter or the end of the parameter list
 --> pkg/bad.py:1:7
  |
1 | def f(:
  |       ^

Found 2 errors.
"""
RUFF_CONCISE = """\
a.py:1:8: F401 [*] `os` imported but unused
bad.py:2:1: invalid-syntax: unexpected EOF while parsing
bad.py:3:1: SyntaxError: Expected an expression
Found 3 errors.
"""
MYPY = """\
app/a.py:3: error: Incompatible return value type (got "int", expected "str")  [return-value]
app/a.py:9:5: error: Name "x" is not defined  [name-defined]
app/a.py:9: note: Did you mean "y"?
Found 2 errors in 1 file (checked 1 source file)
"""
PYRIGHT = """\
/run/item/tree/a.py
  /run/item/tree/a.py:3:12 - error: Type "int" is not assignable to return type "str"
    "int" is not assignable to "str" (reportReturnType)
  /run/item/tree/a.py:7:5 - warning: Import "x" could not be resolved (reportMissingImports)
1 error, 1 warning, 0 informations
"""
PYTEST = """\
============================= test session starts ==============================
collected 3 items / 1 error

==================================== ERRORS ====================================
_______________________ ERROR collecting tests/test_c.py _______________________
ImportError while importing test module '/run/item/tree/tests/test_c.py'.
tests/test_c.py:1: in <module>
    import nothing_there
E   ModuleNotFoundError: No module named 'nothing_there'
_________________________ ERROR at setup of test_b _____________________________
    @pytest.fixture
>   def broken(): raise RuntimeError("fx")
E   RuntimeError: fx

tests/test_a.py:10: RuntimeError
=================================== FAILURES ===================================
_________________________________ TestF.test_f _________________________________

self = <test_a.TestF object at 0x7f>

    def test_f(self):
>       helper(f(1))

tests/test_a.py:5:
_ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _

src/helper.py:13: AssertionError: x
E   AssertionError: x
__________________________________ test_p[1-a] _________________________________
tests/test_a.py:8: AssertionError
=========================== short test summary info ============================
FAILED tests/test_a.py::TestF::test_f - AssertionError: x
FAILED tests/test_a.py::test_p[1-a] - AssertionError: no: really - it is
ERROR tests/test_c.py
ERROR tests/test_a.py::test_b - RuntimeError: fx
==================== 2 failed, 2 errors in 0.46s ====================
"""
UNITTEST = """\
F
======================================================================
FAIL: test_x (test_u.A.test_x)
----------------------------------------------------------------------
Traceback (most recent call last):
  File "/usr/lib/python3.11/unittest/mock.py", line 1375, in patched
    return func(*newargs, **newkeywargs)
  File "/run/item/tree/tests/test_u.py", line 4, in test_x
    self.assertEqual(1, 2)
AssertionError: 1 != 2

----------------------------------------------------------------------
Ran 1 test in 0.000s

FAILED (failures=1)
"""
GO_BUILD = """\
# example.com/m/pkg
pkg/a.go:5:2: undefined: x
vet: ./main.go:7:12: declared and not used: y
./main.go:9:3: Printf format %d has arg s of wrong type string
"""
GO_TEST = """\
--- FAIL: TestAdd (0.00s)
    add_test.go:8: got 1, want 2
FAIL
FAIL\texample.com/m/pkg\t0.012s
ok  \texample.com/m/other\t0.010s
FAIL
"""
CARGO = """\
    Checking p v0.1.0 (/run/item/tree)
warning: unused variable: `unused`
 --> src/lib.rs:1:25
  |
1 | pub fn f() -> i32 { let unused = 1; 2 }
  |                         ^^^^^^ help: if this is intentional, prefix it with an underscore: `_unused`

error[E0308]: mismatched types
  --> src/lib.rs:12:21
   |
error: could not compile `p` (lib) due to 1 previous error
"""
CARGO_TEST = """\
---- tests::t stdout ----

thread 'tests::t' (9212) panicked at src/lib.rs:3:30:
assertion `left == right` failed
  left: 2
"""
VITEST = """\
 FAIL  src/a.test.ts > math > adds
AssertionError: expected 1 to be 2 // Object.is equality

- Expected
+ Received

 ❯ node_modules/x/y.js:1:1
 ❯ src/a.test.ts:2:32
      1| import { test, expect } from "vitest";
"""
JEST = """\
FAIL src/a.test.js
  ● adds › one

    expect(received).toBe(expected)

      at Object.toBe (/run/item/tree/src/a.test.js:5:20)
      at process (node:internal/x:1:2)
"""
GCC = """\
main.c: In function 'main':
main.c:3:5: error: 'x' undeclared (first use in this function)
src/util.h:9:10: fatal error: nope.h: No such file or directory
lib/x.sh:3:1: warning: Use quotes [SC2086]
some.tf:7: Something is odd
"""


def shown(output: str, tree: Path = TREE) -> list[str]:
    return [str(diagnostic) for diagnostic in parse(output, tree)]


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (TSC, ["src/a.ts:1:17 error TS2307 Cannot find module 'left-pad' or its corresponding type declarations.",
               "src/routes/(shop)/page.tsx:2:7 error TS2322 Type 'string' is not assignable to type 'number'."]),
        (TSC_PRETTY, ["src/a.ts:2:7 error TS2322 Type 'string' is not assignable to type 'number'."]),
        (ESLINT_STYLISH, ["src/b.js:1:7 warning no-unused-vars 'y' is assigned a value but never used",
                          "src/b.js:12:1 error Parsing error: Unexpected token",
                          "src/[id]/c.tsx:2:10 error @typescript-eslint/no-explicit-any Unexpected any. "
                          "Specify a different type"]),
        (ESLINT_LONG_MESSAGE, ["src/Greeting.tsx:1:1 error Parsing error: Unexpected token",
                               "src/Greeting.tsx:6:5 error react-hooks/set-state-in-effect Error: Calling setState "
                               "synchronously within an effect can trigger cascading renders",
                               "src/Greeting.tsx:9:3 error @typescript-eslint/no-explicit-any Unexpected any. "
                               "Specify a different type",
                               "src/main.ts:2:7 error prefer-const 'sum' is never reassigned. Use 'const' instead"]),
        (ESLINT_UNIX, ["src/b.js:1:7 warning no-unused-vars 'y' is assigned a value but never used.",
                       "src/b.js:2:1 error no-undef 'foo' is not defined."]),
        (ESLINT_COMPACT, ["src/b.js:1:7 warning no-unused-vars 'y' is assigned a value but never used.",
                          "src/b.js:2:1 error no-undef 'foo' is not defined."]),
        (RUFF_FULL, ["a.py:1:8 error F401 `os` imported but unused",
                     "pkg/bad.py:1:7 error invalid-syntax Expected a parameter or the end of the parameter list"]),
        (RUFF_CONCISE, ["a.py:1:8 error F401 `os` imported but unused",
                        "bad.py:2:1 error invalid-syntax unexpected EOF while parsing",
                        "bad.py:3:1 error SyntaxError Expected an expression"]),
        (MYPY, ['app/a.py:3 error return-value Incompatible return value type (got "int", expected "str")',
                'app/a.py:9:5 error name-defined Name "x" is not defined',
                'app/a.py:9 note Did you mean "y"?']),
        (PYRIGHT, ['a.py:3:12 error Type "int" is not assignable to return type "str"',
                   'a.py:7:5 warning reportMissingImports Import "x" could not be resolved']),
        (PYTEST, ["tests/test_a.py:5 error TestF.test_f: AssertionError: x",
                  "tests/test_a.py:8 error test_p[1-a]: AssertionError: no: really - it is",
                  "tests/test_c.py:1 error ModuleNotFoundError: No module named 'nothing_there'",
                  "tests/test_a.py:10 error test_b: RuntimeError: fx"]),
        (UNITTEST, ["tests/test_u.py:4 error AssertionError 1 != 2"]),
        (GO_BUILD, ["pkg/a.go:5:2 error undefined: x",
                    "main.go:7:12 error declared and not used: y",
                    "main.go:9:3 error Printf format %d has arg s of wrong type string"]),
        (GO_TEST, ["add_test.go:8 error TestAdd: got 1, want 2"]),
        (CARGO, ["src/lib.rs:1:25 warning unused variable: `unused`",
                 "src/lib.rs:12:21 error E0308 mismatched types"]),
        (CARGO_TEST, ["src/lib.rs:3:30 error tests::t: assertion `left == right` failed"]),
        (VITEST, ["src/a.test.ts:2:32 error src/a.test.ts > math > adds: AssertionError: expected 1 to be 2 "
                  "// Object.is equality"]),
        (JEST, ["src/a.test.js:5:20 error adds › one: expect(received).toBe(expected)"]),
        (GCC, ["main.c:3:5 error 'x' undeclared (first use in this function)",
               "src/util.h:9:10 error nope.h: No such file or directory",
               "lib/x.sh:3:1 warning SC2086 Use quotes",
               "some.tf:7 error Something is odd"]),
    ],
    ids=lambda value: None if isinstance(value, list) else value.strip().splitlines()[0][:40],
)  # fmt: skip
def test_parse__real_formats(output: str, expected: list[str]) -> None:
    assert shown(output) == expected
    assert shown(output.replace("\n", "\r\n")) == expected


def test_parse__go_test_files_are_found_in_their_package(tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "add_test.go").write_text("package pkg")
    assert shown(GO_TEST, tmp_path) == ["pkg/add_test.go:8 error TestAdd: got 1, want 2"]


@pytest.mark.parametrize(
    "output",
    [
        "",
        "Listening on http://localhost:3000: ready",
        "12:30:45: it is half past twelve",
        "Duration 178ms (transform 28ms: 3)",
        "/usr/lib/python3/a.py:3:1: error: outside",
        "../other/a.py:3:1: error: outside",
        "a/../../b.py:3:1: error: outside",
        "node_modules/x/index.d.ts(3,1): error TS1: in a package",
        "packages/a/node_modules/x/i.ts(3,1): error TS1: in a package",
        ".venv/lib/a.py:3: error: in a package",
        "[12:00:01] app:3: hello",
        "npm error code 1: x",
        "postgres://user@host:5432: refused",
    ],
)
def test_parse__what_is_no_finding_in_the_tree(output: str) -> None:
    assert shown(output) == []


def test_parse__each_finding_once() -> None:
    assert len(parse(MYPY * 3, TREE)) == 3


def test_parse__bounded_with_errors_first() -> None:
    warnings = "".join(f"a.py:{n}: warning: w\n" for n in range(1, 500))
    found = parse(warnings + "b.py:1: error: the one that counts\n", TREE)
    assert len(found) == MAX_DIAGNOSTICS
    assert found[0].message == "the one that counts"
    assert len(parse("a.py:1: error: " + "x" * 100_000, TREE)[0].message) <= 600


@pytest.mark.parametrize(
    "piece",
    ["a", "a:1:", "a:1:1: error: ", " ", "/", "_", "___ x ", "\x1b[", "\x1b]", "a.py:1:1 ", "(1,1): ", " --> a", "[x]",
     "  1:1  error  a  ", "FAILED a", "at (", "a.b/", "1:1: [", "thread 'a' ", "\n", "a:1\n", "a/\n --> a:1:1\n",
     "a.py:1:1: ", "\u2028", "Traceback (most recent call last):\n", "cannot find module '"],
)  # fmt: skip
def test_parse__a_megabyte_of_anything_is_read_to_its_end(piece: str) -> None:
    """A pattern that goes back over what it has read would keep this busy for minutes."""
    assert len(parse((piece * 1_000_000)[:1_000_000], TREE)) <= MAX_DIAGNOSTICS


def test_plain__escapes_and_carriage_returns() -> None:
    assert (
        plain("\x1b[1;31mred\x1b[0m \x1b]8;;http://x\x07link\x1b]8;;\x07 \x1b(B10%\r20%\r\n") == "red link 10%\n20%\n"
    )


def lint(*messages: str, status: CheckStatus = CheckStatus.PASS, kind: CheckKind = CheckKind.LINT) -> CheckResult:
    warnings = tuple(
        Diagnostic(path="a.js", line=n, message=message, severity=Severity.WARNING)
        for n, message in enumerate(messages)
    )
    return CheckResult(kind=kind, status=status, diagnostics=warnings)


def test_new_warnings__counted_by_fingerprint() -> None:
    assert new_warnings(lint("a", "b"), lint("b", "a")) == ()
    assert [d.line for d in new_warnings(lint("a", "b"), lint("x", "a", "b", "b"))] == [0, 3]
    assert new_warnings(lint("a", "a"), lint("a")) == ()
    error = Diagnostic(path="a.js", line=1, message="an error")
    assert new_warnings(lint(), CheckResult(kind=CheckKind.LINT, status=CheckStatus.FAIL, diagnostics=(error,))) == ()


def test_new_warnings__none_can_be_told_when_the_base_is_full_of_them() -> None:
    full = lint(*(["a"] * MAX_WARNINGS))
    assert new_warnings(full, lint("b")) == ()


def test_without_new_warnings__fails_a_passing_lint() -> None:
    failed = without_new_warnings(lint("a"), lint("a", "b"))
    assert (failed.status, failed.reason) == (CheckStatus.FAIL, "1 new warning against the base")
    assert [d.message for d in failed.diagnostics] == ["b"]
    assert failed.blocks
    assert failed.fingerprints == {"lint|a.js||b"}


def test_without_new_warnings__leaves_everything_else_alone() -> None:
    for now in (lint("a"), lint("b", status=CheckStatus.FAIL), lint("b", kind=CheckKind.TEST)):
        assert without_new_warnings(lint("a"), now) is now
