"""Tier 5: tests that are taken away or skipped, suppressions, and the configuration of checks."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from app.domain.plans import PrdContext
from app.domain.results import Finding, Severity, Tier, TierResult, TierStatus
from app.validator.side_effects import check_side_effects
from app.validator.tiers import validate
from tests.unit.validator.file_sets import subject

JS = """describe('a', () => {
  it('adds', () => { expect(add(1, 1)).toBe(2) })
  test('takes', () => { expect(take(1, 1)).toBe(0) })
})
"""
PY = """def test_adds():
    assert add(1, 1) == 2


class TestA:
    def test_takes(self):
        assert take(1, 1) == 0
"""
GO = 'package a\nfunc TestAdds(t *testing.T) { t.Run("one", func(t *testing.T) { t.Fatal("x") }) }\n'


def judged(before: Mapping[str, str], after: Mapping[str, str | None], *files: str, problem: str = "") -> TierResult:
    return check_side_effects(subject(before, after, context=PrdContext(files=files, problem=problem)))


def severities(
    before: Mapping[str, str], after: Mapping[str, str | None], *files: str, problem: str = ""
) -> list[Severity]:
    return [finding.severity for finding in judged(before, after, *files, problem=problem).findings]


def test_side_effects__nothing_weakened_passes() -> None:
    result = judged({"a.ts": "1"}, {"a.ts": "2", "tests/a.test.ts": JS})
    assert (result.tier, result.status, result.findings) == (Tier.SIDE_EFFECTS, TierStatus.PASS, ())


@pytest.mark.parametrize(("path", "text"), [("a.test.ts", JS), ("tests/test_a.py", PY), ("a_test.go", GO)])
def test_side_effects__a_deleted_test_file_is_an_error_unless_it_is_named(path: str, text: str) -> None:
    assert severities({path: text}, {path: None}) == [Severity.ERROR]
    assert severities({path: text}, {path: None}, path, problem="Remove it.") == [Severity.WARNING]
    assert severities({path: text}, {path: None}, path, problem="With a test in it.") == [Severity.ERROR]
    assert severities({path: text}, {path: None}, "a.ts") == [Severity.ERROR]


@pytest.mark.parametrize(
    ("path", "before", "after", "name"),
    [
        ("a.test.ts", JS, JS.replace("  test('takes'", "  use('takes'"), "takes"),
        ("a.test.ts", JS, JS.replace("  test('takes'", "  // test('takes'"), "takes"),
        ("a.test.tsx", "it.each([1, 2])('each %d', (x) => { f(x) })", "", "each %d"),
        ("test_a.py", PY, PY.replace("def test_adds", "def adds"), "test_adds"),
        ("test_a.py", PY, PY[: PY.index("class")], "test_takes"),
        ("a_test.go", GO, 'package a\nfunc TestAdds(t *testing.T) { t.Fatal("x") }\n', "one"),
        (
            "src/a.rs",
            "#[test]\nfn adds() { assert!(true); }\n",
            "// #[test]\n// fn adds() { assert!(true); }\n",
            "adds",
        ),
        ("ATest.java", "class ATest {\n  @Test\n  void adds() { assertEquals(1, 1); }\n}", "class ATest {}", "adds"),
        ("spec/a_spec.rb", "it 'adds' do\nend\n", "", "adds"),
    ],
)
def test_side_effects__a_test_case_that_is_gone(path: str, before: str, after: str, name: str) -> None:
    result = judged({path: before}, {path: after})
    assert result.status is TierStatus.FAIL
    assert any("gone" in f.message and name in f.message for f in result.findings)
    assert TierStatus.WARN is judged({path: before}, {path: after}, path, problem="Obsolete cases.").status
    assert TierStatus.FAIL is judged({path: before}, {path: after}, path).status


def test_side_effects__a_renamed_test_is_not_gone() -> None:
    assert severities({"test_a.py": PY}, {"test_a.py": PY.replace("test_adds", "test_sums")}) == []


@pytest.mark.parametrize(("old", "new", "text"), [("a.test.ts", "b.test.ts", JS), ("test_a.py", "tests/test_b.py", PY)])
def test_side_effects__a_test_that_moved_is_found_by_its_name(old: str, new: str, text: str) -> None:
    assert severities({old: text}, {old: None, new: text}) == []
    reformatted = text.replace("    ", "  ").replace("'adds'", '"adds"')
    assert (
        severities({old: text}, {old: None, new: "// x\n" + reformatted if new.endswith("ts") else reformatted}) == []
    )


def test_side_effects__a_test_that_moved_is_counted_once() -> None:
    one = "def test_same():\n    assert f()\n"
    result = judged({"test_a.py": one, "test_b.py": one}, {"test_a.py": None, "test_b.py": None, "test_c.py": one})
    assert [finding.severity for finding in result.findings] == [Severity.ERROR]


def test_side_effects__other_test_files_move_by_their_content() -> None:
    assert severities({"a_test.lua": "x"}, {"a_test.lua": None}) == [Severity.ERROR]
    assert severities({"a_test.lua": "x"}, {"a_test.lua": None, "tests/a_test.lua": "x"}) == []
    assert severities({"tests/helper.ts": "export const a = 1"}, {"tests/helper.ts": None}) == []


def test_side_effects__fewer_assertions_are_a_warning() -> None:
    after = PY.replace("    assert add(1, 1) == 2\n", "    add(1, 1)\n")
    (finding,) = judged({"test_a.py": PY}, {"test_a.py": after}).findings
    assert finding.severity is Severity.WARNING
    assert "2 assertions before, 1 now" in finding.message


def test_side_effects__an_assertion_that_cannot_fail_is_a_warning() -> None:
    after = JS.replace("expect(take(1, 1)).toBe(0)", "expect(true).toBe(true)")
    assert severities({"a.test.ts": JS}, {"a.test.ts": after}) == [Severity.WARNING]


SKIPPED = [
    ("a.test.ts", "it.skip('a', () => {})"),
    ("a.test.ts", "describe.only('a', () => {})"),
    ("a.test.ts", "test.concurrent.skip('a', () => {})"),
    ("a.test.ts", "test.todo('a')"),
    ("a.test.ts", "xdescribe('a', () => {})"),
    ("a.test.ts", "xit('a', () => {})"),
    ("a.test.ts", "fit('a', () => {})"),
    ("test_a.py", "@pytest.mark.skip\ndef test_a(): pass"),
    ("test_a.py", "@pytest.mark.skipif(True, reason='x')\ndef test_a(): pass"),
    ("test_a.py", "pytestmark = pytest.mark.xfail"),
    ("test_a.py", "@unittest.skip('x')\ndef test_a(): pass"),
    ("test_a.py", "def test_a():\n    pytest.skip('x')"),
    ("a_test.go", 'package a\nfunc TestA(t *testing.T) { t.Skip("x") }'),
    ("src/a.rs", "#[test]\n#[ignore]\nfn a() {}"),
    ("src/test/ATest.java", "@Disabled\n@Test void a() {}"),
]


@pytest.mark.parametrize(("path", "text"), SKIPPED)
def test_side_effects__a_test_that_is_kept_from_running_is_an_error_unless_its_file_is_named(
    path: str, text: str
) -> None:
    assert Severity.ERROR in severities({}, {path: text})
    assert set(severities({}, {path: text}, path)) == {Severity.WARNING}
    assert severities({path: text}, {path: "\n\n" + text}) == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.test.ts", "// it.skip('a')\nit('does not .skip', () => { request.only('a'); model.fit(x); })"),
        ("a.ts", "items.skip(10).only(x); fit(map);"),
        ("a.py", "model.mark.skip(x)"),
        ("test_a.py", "# pytest.mark.skip\ndef test_a():\n    '''@unittest.skip'''"),
        ("a_test.go", "package a\n// t.Skip()\n"),
    ],
)
def test_side_effects__what_only_looks_like_a_skip(path: str, text: str) -> None:
    assert severities({}, {path: text}) == []


SUPPRESSED = [
    ("a.ts", "// @ts-ignore\nf()"),
    ("a.ts", "// @ts-expect-error nobody knows\nf()"),
    ("a.tsx", "// @ts-nocheck\nf()"),
    ("a.js", "f() // eslint-disable-line"),
    ("a.js", "/* eslint-disable no-console */"),
    ("a.tsx", "const a = <p>{/* eslint-disable-next-line */}</p>"),
    ("a.ts", "// biome-ignore lint/style: x"),
    ("a.ts", "/* istanbul ignore next */"),
    ("a.ts", "/* c8 ignore start */"),
    ("a.py", "import a  # noqa"),
    ("a.py", "import a  # NOQA: F401"),
    ("a.py", "# ruff: noqa"),
    ("a.py", "f()  # type: ignore[arg-type]"),
    ("a.py", "f()  # pyright: ignore"),
    ("a.py", "f()  # pragma: no cover"),
    ("a.py", "f()  # nosec"),
    ("a.py", "f()  # pylint: disable=x"),
    ("a.go", "package a\nvar b = c //nolint:errcheck\n"),
    ("a.rs", "#[allow(dead_code)]\nfn a() {}"),
    ("A.java", '@SuppressWarnings("x")'),
    ("tests/test_a.py", "f()  # type: ignore"),
]


@pytest.mark.parametrize(("path", "text"), SUPPRESSED)
def test_side_effects__a_new_suppression_is_an_error_even_in_a_file_that_is_named(path: str, text: str) -> None:
    assert severities({}, {path: text}) == [Severity.ERROR]
    assert severities({}, {path: text}, path) == [Severity.ERROR]
    assert severities({path: text}, {path: text + "\n\n"}) == []
    assert severities({path: text}, {path: None, f"b/{path}": text}) == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.ts", "const a = '@ts-ignore'; const b = `eslint-disable`;"),
        ("a.py", "a = '# noqa'\nb = '''\n# type: ignore\n'''"),
        ("README.md", "Use `# noqa` and `// @ts-ignore` with care."),
        ("a.rs", "// #[allow(dead_code)]"),
    ],
)
def test_side_effects__what_only_looks_like_a_suppression(path: str, text: str) -> None:
    assert severities({}, {path: text}) == []


def test_side_effects__a_suppression_that_the_prd_asks_for_is_a_warning() -> None:
    result = judged({}, {"a.ts": "// @ts-expect-error\nf()"}, problem="Replace it by a @ts-expect-error, says upstream")
    assert result.status is TierStatus.WARN


@pytest.mark.parametrize(
    "path", ["tsconfig.json", ".eslintrc.json", "ruff.toml", "jest.config.ts", ".github/workflows/ci.yml", "Makefile"]
)
def test_side_effects__configuration_of_checks_and_workflows(path: str) -> None:
    assert severities({path: "a"}, {path: "b"}) == [Severity.ERROR]
    assert severities({path: "a"}, {path: "b"}, path) == [Severity.WARNING]
    assert severities({path: "a"}, {path: None}) == [Severity.ERROR]


def package(**changes: object) -> str:
    plain = {"name": "a", "scripts": {"test": "jest", "lint": "eslint .", "dev": "vite"}, "jest": {"bail": 1}}
    return json.dumps({**plain, **changes})


@pytest.mark.parametrize(
    ("after", "what"),
    [
        (package(scripts={"test": "true", "lint": "eslint ."}), "scripts.test"),
        (package(scripts={"test": "jest"}), "scripts.lint"),
        (package(scripts={"test": "jest", "lint": "eslint .", "pretest": "rm -r tests"}), "scripts.pretest"),
        (package(jest={"testPathIgnorePatterns": ["."]}), "jest"),
        (package(eslintConfig={"rules": {}}), "eslintConfig"),
        ("{", "everything"),
        ("[" * 100_000, "everything"),
        (None, "scripts.test, scripts.lint, jest"),
    ],
)
def test_side_effects__what_package_json_says_about_checks(after: str | None, what: str) -> None:
    (finding,) = judged({"package.json": package()}, {"package.json": after}).findings
    assert finding.severity is Severity.ERROR
    assert finding.message.endswith(f": {what}")
    named = Severity.WARNING if what.startswith(("jest", "eslintConfig")) else Severity.ERROR
    assert severities({"package.json": package()}, {"package.json": after}, "package.json") == [named]


@pytest.mark.parametrize(
    "after",
    [
        package(dependencies={"x": "1"}),
        package(scripts={"test": "jest", "lint": "eslint .", "dev": "next"}),
        package(scripts={"test": "jest", "lint": "eslint .", "test:watch": "jest --watch"}),
        json.dumps(json.loads(package()), indent=4),
    ],
)
def test_side_effects__what_else_package_json_says(after: str) -> None:
    assert severities({"package.json": package()}, {"package.json": after}) == []


@pytest.mark.parametrize(
    ("path", "before", "after", "weaker"),
    [
        ("pyproject.toml", "[tool.ruff]\nselect = ['E']", "[tool.ruff]\nselect = []", True),
        ("pyproject.toml", "[tool.mypy]\nstrict = true", "", True),
        ("pyproject.toml", "", "[tool.pytest.ini_options]\naddopts = '-k nothing'", True),
        ("pyproject.toml", "[project]\nname = 'a'", "[project]\nname = 'b'", False),
        ("Cargo.toml", "[lints.rust]\nunsafe_code = 'forbid'", "[lints.rust]\nunsafe_code = 'allow'", True),
        ("Cargo.toml", "[dependencies]\na = '1'", "[dependencies]\na = '2'", False),
    ],
)
def test_side_effects__sections_of_other_manifests(path: str, before: str, after: str, weaker: bool) -> None:
    assert severities({path: before}, {path: after}) == ([Severity.ERROR] if weaker else [])


def test_side_effects__a_broken_use_counts_with_the_rest() -> None:
    broken = Finding(path="b.ts", message="b.ts uses what a.ts no longer exports")
    assert check_side_effects(subject({}, {"a.ts": "1"}), broken=[broken]).findings == (broken,)


def test_side_effects__hostile_names_are_shown_harmlessly() -> None:
    text = "it('a\\u001b[31m\x1b[31m" + "x" * 500 + "', () => {})\n"
    (finding,) = judged({"a.test.ts": text}, {"a.test.ts": ""}).findings
    assert "\x1b" not in finding.message
    assert len(finding.message) < 300


def test_validate__composes_the_tiers() -> None:
    result = validate(subject({}, {"a.ts": "let x: any; // @ts-ignore"}, domain="code-quality"))
    assert [tier.tier for tier in result.tiers] == list(Tier)
    assert [tier.status.value for tier in result.tiers] == ["pass", "not_run", "pass", "fail", "fail"]
    patterns = TierResult(tier=Tier.PATTERNS, status=TierStatus.PASS)
    assert result.with_tier(patterns).tiers[1] is patterns
