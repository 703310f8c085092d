"""Tier 1: what is in scope, what is not, and what nothing can allow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.plans import PrdContext
from app.domain.policy import Policy
from app.domain.results import Severity, TierResult, TierStatus
from app.ports.workspace import Change, ChangeKind, FileKind
from app.validator.scope import MOST_FINDINGS, check_scope, is_test, named_paths


def scope(
    *changes: Change, files: tuple[str, ...] = (), target: str | None = None, protected: tuple[str, ...] = ()
) -> TierResult:
    return check_scope(changes, PrdContext(files=files, target=target), Policy(protected=protected))


def modified(path: str, **values: object) -> Change:
    return Change(path=path, kind=ChangeKind.MODIFIED, **values)


def added(path: str, **values: object) -> Change:
    return Change(path=path, kind=ChangeKind.ADDED, **values)


def deleted(path: str, **values: object) -> Change:
    return Change(path=path, kind=ChangeKind.DELETED, **values)


def link(path: str, target: str | None) -> Change:
    return added(path, file=FileKind.SYMLINK, target=target)


def test_scope__nothing_changed_fails() -> None:
    result = scope(files=("src/a.ts",))
    assert result.status is TierStatus.FAIL
    assert [f.message for f in result.findings] == ["nothing was changed"]


def test_scope__a_prd_without_files_is_compared_with_nothing() -> None:
    assert scope(modified("anything.py"), added("else/where.py")).status is TierStatus.PASS


@pytest.mark.parametrize("path", ["package.json", "packages/web/package.json", "pyproject.toml", "Cargo.toml"])
def test_scope__a_manifest_has_to_be_named_even_by_a_prd_without_files(path: str) -> None:
    assert scope(modified(path)).status is TierStatus.FAIL


@pytest.mark.parametrize("path", ["pytest.py", "unittest/__init__.py", "tests/conftest.py", "GNUmakefile", ".cargo/x"])
def test_scope__a_new_file_that_decides_what_a_check_runs_has_to_be_named(path: str) -> None:
    assert scope(modified("a.py"), added(path), files=("a.py", "tests/test_a.py")).status is TierStatus.FAIL
    assert scope(modified("a.py"), added(path), files=("a.py", path)).status is TierStatus.PASS


def test_scope__a_module_deeper_down_may_have_the_name_of_a_program() -> None:
    assert scope(added("src/shop/build.py"), files=("src/shop/build.py", "src/shop/x.py")).status is TierStatus.PASS
    assert scope(modified("src/shop/build.py"), files=("src/shop",)).status is TierStatus.PASS


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("src/a.ts", modified("src/a.ts")),
        ("./src/a.ts:12", modified("src/a.ts")),
        ("src/a.ts:12:4", deleted("src/a.ts")),
        ("src\\a.ts", modified("src/a.ts")),
        ("a.ts", modified("src/a.ts")),
        ("ui/Button.tsx", modified("src/ui/Button.tsx")),
        ("src/ui/", modified("src/ui/deep/Button.tsx")),
        ("src/ui", added("src/ui/deep/New.tsx")),
        ("src/**/*.ts", modified("src/deep/er/a.ts")),
        ("src/a.ts", added("src/helper.ts")),
        ("a.ts", added("src/helper.ts")),
        ("src/a.ts", added("src/a.test.ts")),
        ("src/a.ts", modified("src/__tests__/a.spec.tsx")),
        ("src/a.ts", modified("tests/a.e2e.ts")),
        ("app/a.py", modified("tests/unit/test_a.py")),
        ("app/a.py", modified("tests/unit/a_test.py")),
        ("pkg/a.go", modified("pkg/a_test.go")),
        ("app/thing/__init__.py", added("tests/test_thing.py")),
        ("src/Card/index.tsx", added("tests/Card.test.tsx")),
        ("tests/", modified("tests/test_a.py")),
        ("README.md", modified("README.md")),
        ("package.json", modified("package.json")),
        (".github/workflows/ci.yml", modified(".github/workflows/ci.yml")),
        (".env", added(".env")),
        ("vendor/lib", modified("vendor/lib", file=FileKind.SUBMODULE)),
    ],
)
def test_scope__what_the_prd_names_passes(name: str, change: Change) -> None:
    # "a.ts" finds its directory through the file that is there.
    others = (modified("src/a.ts"),) if name == "a.ts" else ()
    result = scope(change, *others, files=(name,))
    assert result.status is TierStatus.PASS, result.findings


def test_scope__the_target_counts_as_named() -> None:
    assert scope(modified("src/a.ts"), target="src/a.ts:42").status is TierStatus.PASS


@pytest.mark.parametrize(
    "change",
    [
        modified("src/b.ts"),
        deleted("src/b.ts"),
        modified("src/ab.ts"),
        modified("lib/src/a.tsx"),
        modified("package.json"),
        modified("pnpm-lock.yaml"),
        modified("tests/b.test.ts"),
        deleted("src/a.test.ts"),
    ],
)
def test_scope__an_existing_file_elsewhere_fails_and_says_what_to_do(change: Change) -> None:
    result = scope(modified("src/a.ts"), change, files=("src/a.ts",))
    assert result.status is TierStatus.FAIL
    (finding,) = result.findings
    assert finding.path == change.path
    assert finding.recommendation == f"revert {change.path} or have the PRD name it"


def test_scope__a_new_file_elsewhere_is_a_warning() -> None:
    result = scope(modified("src/a.ts"), added("docs/new.md"), files=("src/a.ts",))
    assert result.status is TierStatus.WARN
    assert [f.severity for f in result.findings] == [Severity.WARNING]


def test_scope__a_test_goes_only_with_what_it_tests() -> None:
    test = deleted("src/a.test.ts")
    assert scope(deleted("src/a.ts"), test, files=("src/a.ts",)).status is TierStatus.PASS
    assert scope(modified("src/a.ts"), test, files=("src/a.ts",)).status is TierStatus.FAIL
    assert scope(modified("src/a.ts"), test, files=("src/",)).status is TierStatus.FAIL
    assert scope(test, files=("src/a.test.ts",)).status is TierStatus.PASS


@pytest.mark.parametrize(
    ("manifest", "lock", "passes"),
    [
        ("package.json", "pnpm-lock.yaml", True),
        ("packages/web/package.json", "pnpm-lock.yaml", True),
        ("packages/web/package.json", "packages/web/package-lock.json", True),
        ("packages/web/package.json", "packages/api/package-lock.json", False),
        ("package.json", "packages/web/package-lock.json", False),
        ("pyproject.toml", "uv.lock", True),
        ("pyproject.toml", "Cargo.lock", False),
        ("Cargo.toml", "Cargo.lock", True),
    ],
)
def test_scope__a_lock_file_follows_its_manifest(manifest: str, lock: str, passes: bool) -> None:
    result = scope(modified(manifest), modified(lock), files=(manifest,))
    assert (result.status is TierStatus.PASS) is passes


def test_scope__a_lock_file_without_a_change_of_its_manifest_fails() -> None:
    assert scope(modified("uv.lock"), files=("pyproject.toml",)).status is TierStatus.FAIL


def test_scope__a_manifest_below_a_named_directory_has_to_be_named() -> None:
    assert scope(modified("packages/web/package.json"), files=("packages/web",)).status is TierStatus.FAIL


@pytest.mark.parametrize(
    "change",
    [
        added(".github/workflows/own.yml"),
        modified(".github/mason.yml"),
        modified(".GitHub/workflows/ci.yml"),
        added("src/.gitattributes"),
        added(".gitmodules"),
        modified("mason.config.json"),
        modified(".gitlab-ci.yml"),
        added("vendor/lib", file=FileKind.SUBMODULE),
        added("src/.env"),
        added(".env.production"),
        added("certs/server.pem"),
        added("src/id_rsa"),
        added("src/credentials-prod.json"),
        added(".npmrc"),
        added("src/.eslintrc.json"),
        modified("tsconfig.json"),
        modified("db/schema.sql"),
    ],
)
@pytest.mark.parametrize("files", [(), ("src/",), ("src/a.ts", "db/")])
def test_scope__protected_needs_the_exact_path(change: Change, files: tuple[str, ...]) -> None:
    result = scope(change, files=files, protected=("db/*.sql",))
    assert result.status is TierStatus.FAIL
    assert scope(change, files=(*files, change.path), protected=("db/*.sql",)).status is TierStatus.PASS


@pytest.mark.parametrize("path", [".env.example", "src/keys.ts", "src/env.ts", "id_rsa.pub", "docs/github.md"])
def test_scope__harmless_names_pass(path: str) -> None:
    assert scope(added(path)).status is TierStatus.PASS


def test_scope__a_secret_may_be_deleted() -> None:
    assert scope(deleted("src/.env"), files=("src/",)).status is TierStatus.PASS


@pytest.mark.parametrize(
    "change",
    [
        link("src/x", "/etc/passwd"),
        link("src/x", "../../etc/passwd"),
        link("x", ".."),
        link("src/x", "deep/../../../.."),
        link("src/x", "deep/../../src"),
        link("x", "C:\\Windows"),
        link("x", "\\\\host\\share"),
        link("x", "..\\..\\secret"),
        link("x", ".git/config"),
        link("x", None),
        link("x", ""),
        modified("x", file=FileKind.SYMLINK, target="/"),
        added(".git/hooks/pre-commit"),
        added("src/.GIT/config"),
        added("src/.g\u200cit/config"),
        added("src/.git. /config"),
        added("GIT~1/config"),
        added(".git::$INDEX_ALLOCATION/config"),
    ],
)
def test_scope__no_prd_can_allow_these(change: Change) -> None:
    assert scope(change).status is TierStatus.FAIL
    assert scope(change, files=(change.path,)).status is TierStatus.FAIL


@pytest.mark.parametrize("target", ["a.ts", "../lib/a.ts", "./a.ts", "../src", "deep/er/a.ts"])
def test_scope__links_inside_the_repository_pass(target: str) -> None:
    assert scope(link("src/x", target), files=("src",)).status is TierStatus.PASS


def test_scope__a_link_that_is_removed_is_judged_by_its_path_alone() -> None:
    assert scope(deleted("src/x", file=FileKind.SYMLINK, target="/etc"), files=("src",)).status is TierStatus.PASS


def test_scope__many_findings_are_counted_and_no_error_hides_behind_warnings() -> None:
    new = [added(f"new/{i}.txt") for i in range(2 * MOST_FINDINGS)]
    result = scope(*new, modified("z/other.py"), files=("src/a.ts",))
    assert len(result.findings) == MOST_FINDINGS + 1
    assert result.findings[0].path == "z/other.py"
    assert result.findings[-1].message == f"and {MOST_FINDINGS + 1} more"
    assert result.status is TierStatus.FAIL


@pytest.mark.parametrize("raw", ["", ".", "./", "/", "**", "*", "../", " "])
def test_named_paths__nothing_names_everything(raw: str) -> None:
    assert named_paths(PrdContext(files=(raw,))) == frozenset()


@pytest.mark.parametrize(
    ("path", "test"),
    [
        ("tests/x.py", True),
        ("src/x.test.tsx", True),
        ("x_test.go", True),
        ("src/contest.py", False),
        ("latest.ts", False),
    ],
)
def test_is_test__by_name_or_directory(path: str, test: bool) -> None:
    assert is_test(path) is test


paths = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30)


@given(
    st.lists(st.builds(Change, path=paths, kind=st.sampled_from(ChangeKind)), max_size=8), st.lists(paths, max_size=5)
)
def test_scope__any_paths_give_a_verdict_that_fits_its_findings(changes: list[Change], files: list[str]) -> None:
    result = check_scope(changes, PrdContext(files=tuple(files)), Policy())
    worst = {f.severity for f in result.findings}
    expected = TierStatus.FAIL if Severity.ERROR in worst else TierStatus.WARN if worst else TierStatus.PASS
    assert result.status is expected
