"""What runners say of their tests, and what is believed when they say nothing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from app.domain.results import CheckKind, CheckResult, CheckStatus
from app.gate.checks import Gate
from app.gate.steps import Check, Toolchain, Words, shell
from app.gate.tally import is_test_runner, lost_runs, tally_of
from app.process import Stop

PYTEST = ("python3", "-m", "pytest", "-p", "no:cacheprovider")
UNITTEST = ("python3", "-m", "unittest", "discover")
NODE = ("node", "--test")


@pytest.mark.parametrize(
    ("output", "found", "ran"),
    [
        ("==== 3 passed, 2 skipped, 1 warning in 0.12s ====\n", 5, 3),
        ("...  [100%]\n3 passed in 12.01s\n", 3, 3),
        ("==== 1 passed in 75.10s (0:01:15) ====", 1, 1),
        ("==== no tests ran in 0.01s ====", 0, 0),
        ("4 deselected in 0.01s", 0, 0),
        ("..s.. [ 50%]\n..... [100%]\n", 10, 9),
        ("Ran 3 tests in 0.001s\n\nOK (skipped=1)\n", 3, 2),
        ("Ran 0 tests in 0.000s\n\nNO TESTS RAN\n", 0, 0),
        ("Test Suites: 1 passed, 1 total\nTests:       1 skipped, 5 passed, 6 total\n", 6, 5),
        (" Test Files  1 passed (1)\n      Tests  4 passed | 2 skipped (6)\n", 6, 4),
        ("packages/a test:       Tests  4 passed (4)\npackages/b test:       Tests  3 passed (3)\n", 7, 7),
        ("ℹ tests 3\nℹ suites 1\nℹ pass 3\nℹ skipped 1\nℹ todo 0\n", 3, 2),
        ("TAP version 13\n# Subtest: a.test.js\nok 1 - a.test.js\n# tests 1\n# pass 1\n", 1, 0),
        ("✔ src/a.test.ts (59.3ms)\n✔ a (0.8ms)\nℹ tests 2\n", 2, 1),
        ("test result: ok. 5 passed; 0 failed; 0 ignored\n\ntest result: ok. 2 passed; 0 failed\n", 7, 7),
        ("     Summary [   0.1s] 5 tests run: 5 passed, 0 skipped\n", 5, 5),
        ("ok  \texample.org/a\t0.003s\n?   \texample.org/b\t[no test files]\nok  \texample.org/c\t(cached)\n", 2, 2),
        ("?   \texample.org/b\t[no test files]\n", 0, 0),
        ("\n  5 passing (10ms)\n  1 pending\n", 5, 5),
        ("Running 5 tests using 2 workers\n  5 passed (3.2s)\n", 5, 5),
        ("Ran 5 tests across 1 file. [10.00ms]\n", 5, 5),
        ('{"numPassedTests":5,"numTotalTests":5}', 5, 5),
    ],
)
def test_tally_of__reads_what_runners_say(output: str, found: int, ran: int) -> None:
    tally = tally_of(output)
    assert tally is not None
    assert (tally.found, tally.ran) == (found, ran)


@pytest.mark.parametrize(
    "output",
    [
        "",
        "collected 5 items\n\ntests/test_a.py ",
        "Ran 3 tests in 0.001s\n",
        "Built 5 modules in 1.20s",
        "... [ 50%]\n",
    ],
)
def test_tally_of__no_summary(output: str) -> None:
    assert tally_of(output) is None


@pytest.mark.parametrize(
    "piece", ["1 passed, ", "= ", ".", "ok ", "Tests ", "1 ", "\n", "ok a 1s ", "# ", "<testsuites "]
)
def test_tally_of__long_hostile_output_takes_no_time(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    tally_of(text)
    is_test_runner(shell(text), text)


@pytest.mark.parametrize(
    "command",
    [
        PYTEST,
        UNITTEST,
        NODE,
        ("node", "--import", "tsx", "--test", "src"),
        ("go", "test", "./..."),
        ("cargo", "test", "--workspace"),
        shell("cd web && CI=1 npx jest --ci"),
        shell("uv run --frozen pytest -q"),
        shell(".venv/bin/pytest"),
        shell("coverage run -m unittest"),
        shell("poetry run python manage.py test"),
        shell("node node_modules/.bin/vitest run"),
    ],
)
def test_is_test_runner__by_its_command(command: Words) -> None:
    assert is_test_runner(command, "")


@pytest.mark.parametrize(
    ("command", "output"),
    [
        (("npm", "run", "test"), "\n> shop@1.0.0 test\n> vitest run --coverage\n\n"),
        (("yarn", "run", "test"), "$ jest --ci\n"),
        (("pnpm", "run", "test"), "packages/a test$ vitest run\n"),
        (("make", "test"), "python -m pytest -q\n"),
        (("tox",), "===== test session starts =====\n"),
    ],
)
def test_is_test_runner__by_what_a_script_shows(command: Words, output: str) -> None:
    assert is_test_runner(command, output)


@pytest.mark.parametrize(
    "script", ["grep -q pytest requirements.txt", "test -f a", "ls tests/unittest", "pip install pytest", "true"]
)
def test_is_test_runner__another_command_is_none(script: str) -> None:
    assert not is_test_runner(shell(script), "pytest\n")


def ended(tmp_path: Path, command: Words, kind: CheckKind = CheckKind.TEST) -> CheckResult:
    toolchain = Toolchain(name="sample", install=None, checks=(Check(kind=kind, command=command, timeout=60),))
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    gate = Gate(toolchain, environ, 1, tmp_path / "scratch", tmp_path / "installs")
    return gate.run(tmp_path / "tree", [kind], Stop())[0]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    place = tmp_path / "tree"
    place.mkdir()
    (place / "product.py").write_text("VALUE = 1\n")
    (place / "test_product.py").write_text(
        "import unittest\nimport product\n\n\nclass TestIt(unittest.TestCase):\n"
        "    def test_it(self):\n        self.assertEqual(product.VALUE, 1)\n"
    )
    return place


@pytest.mark.parametrize("command", [PYTEST, (*PYTEST, "-q"), (*PYTEST, "-qq"), UNITTEST, shell("python3 -m pytest")])
@pytest.mark.parametrize("kind", [CheckKind.TEST, CheckKind.E2E])
def test_gate__code_that_ends_the_runner_has_not_passed(
    tmp_path: Path, tree: Path, command: Words, kind: CheckKind
) -> None:
    before = ended(tmp_path, command, kind)
    assert before.status is CheckStatus.PASS, before.output
    (tree / "product.py").write_text("import os\nos._exit(0)\n")
    after = ended(tmp_path, command, kind)
    assert (after.status, after.reason) == (
        CheckStatus.ERROR,
        "ended without a summary, so nothing is known of its tests",
    )


def test_gate__a_runner_that_ran_nothing_has_not_passed(tmp_path: Path, tree: Path) -> None:
    (tree / "conftest.py").write_text("def pytest_sessionfinish(session):\n    session.exitstatus = 0\n")
    result = ended(tmp_path, (*PYTEST, "-k", "nothing_like_it"))
    assert (result.status, result.reason) == (CheckStatus.FAIL, "no tests ran")


def test_gate__another_kind_of_check_needs_no_tests(tmp_path: Path, tree: Path) -> None:
    assert ended(tmp_path, shell("exit 0; pytest"), CheckKind.BUILD).status is CheckStatus.PASS


@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
def test_lost_runs__a_file_that_node_ended_is_no_test(tmp_path: Path, tree: Path) -> None:
    (tree / "product.js").write_text("exports.value = 1;\n")
    (tree / "a.test.js").write_text(
        "const { test } = require('node:test');\nrequire('./product.js');\ntest('one', () => {});\n"
    )
    before = ended(tmp_path, NODE)
    (tree / "product.js").write_text("process.exit(0);\n")
    after = ended(tmp_path, NODE)
    assert before.status is CheckStatus.PASS
    assert lost_runs(before, after) == "ran 0 of the 1 tests that it ran on the base"
    assert lost_runs(before, before) == ""


@pytest.mark.parametrize(("before", "after", "lost"), [(10, 5, False), (10, 4, True), (1, 1, False), (0, 0, False)])
def test_lost_runs__fewer_than_half(before: int, after: int, lost: bool) -> None:
    def result(number: int) -> CheckResult:
        return CheckResult(kind=CheckKind.TEST, status=CheckStatus.PASS, output=f"{number} passed in 0.01s")

    assert bool(lost_runs(result(before), result(after))) is lost
