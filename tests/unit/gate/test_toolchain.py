"""Detection, as tables: files of a base commit in, commands out."""

from __future__ import annotations

import json

import pytest

from app.domain.policy import Policy, parse_policy
from app.domain.results import CheckKind
from app.errors import NoChecks, UsageError
from app.gate.toolchain import Toolchain, detect

Files = dict[str, str | bytes]


def toolchain(files: Files, policy: Policy | None = None) -> Toolchain:
    def read(path: str) -> bytes | None:
        content = files.get(path)
        return content.encode() if isinstance(content, str) else content

    return detect(sorted(files), read, policy or Policy())


def commands(found: Toolchain) -> dict[str, str]:
    return {check.kind.value: " ".join(check.command) for check in found.checks}


def package(**fields: object) -> str:
    return json.dumps(fields)


SCRIPTS = {
    "typecheck": "tsc --noEmit",
    "lint": "eslint .",
    "build": "vite build",
    "test": "vitest",
    "e2e": "playwright",
}


@pytest.mark.parametrize(
    ("lock", "manager", "install"),
    [
        ("pnpm-lock.yaml", "pnpm", "pnpm install --frozen-lockfile --package-import-method=copy"),
        ("package-lock.json", "npm", "npm ci"),
        ("npm-shrinkwrap.json", "npm", "npm ci"),
        ("yarn.lock", "yarn", "yarn install --frozen-lockfile"),
        ("bun.lock", "bun", "bun install --frozen-lockfile --backend=copyfile"),
        ("bun.lockb", "bun", "bun install --frozen-lockfile --backend=copyfile"),
    ],
)
def test_detect__package_manager_by_lock_file(lock: str, manager: str, install: str) -> None:
    found = toolchain({"package.json": package(scripts=SCRIPTS, devDependencies={"vite": "6"}), lock: "{}"})
    assert commands(found) == {kind: f"{manager} run {kind}" for kind in SCRIPTS}
    assert found.install is not None
    assert " ".join(found.install.command).startswith(install)
    assert found.install.produces == ("node_modules",)
    assert {"package.json", lock, ".npmrc"} <= set(found.install.key_files)


@pytest.mark.parametrize(
    ("declared", "manager"),
    [("pnpm@9.1.0", "pnpm"), ("yarn@4.1.0", "yarn"), ("bun@1.1", "bun"), ("cargo@1", "npm"), (7, "npm"), (None, "npm")],
)
def test_detect__package_manager_by_field(declared: object, manager: str) -> None:
    found = toolchain({"package.json": package(scripts={"lint": "x"}, packageManager=declared)})
    assert commands(found) == {"lint": f"{manager} run lint"}
    assert found.install is None  # it declares nothing that could be installed


def test_detect__yarn_berry_has_other_options_and_copies_only_node_modules() -> None:
    files: Files = {"package.json": package(scripts=SCRIPTS, dependencies={"a": "1"}), "yarn.lock": "__metadata:\n"}
    plug_and_play = toolchain(files)
    linked = toolchain(files | {".yarnrc.yml": "nodeLinker: node-modules\n"})
    assert plug_and_play.install is not None
    assert plug_and_play.install.command == ("yarn", "install", "--immutable")
    assert plug_and_play.install.produces == ()
    assert linked.install is not None
    assert linked.install.produces == ("node_modules",)


def test_detect__workspaces_each_have_their_node_modules() -> None:
    files: Files = {
        "package.json": package(scripts={"test": "x"}, workspaces=["packages/*"]),
        "packages/a/package.json": package(dependencies={"left": "1"}),
        "packages/b/package.json": package(),
        "package-lock.json": "{}",
    }
    install = toolchain(files).install
    assert install is not None
    assert install.produces == ("node_modules", "packages/a/node_modules", "packages/b/node_modules")
    assert "packages/a/package.json" in install.key_files


@pytest.mark.parametrize(("script", "copied"), [("husky", True), ("prisma generate", False)])
def test_detect__life_cycle_scripts_keep_installs_from_being_copied(script: str, copied: bool) -> None:
    manifest = package(scripts={"test": "x", "prepare": script}, dependencies={"a": "1"})
    install = toolchain({"package.json": manifest, "package-lock.json": "{}"}).install
    assert install is not None
    assert bool(install.produces) is copied


def test_detect__placeholder_test_is_no_test() -> None:
    manifest = package(scripts={"test": 'echo "Error: no test specified" && exit 1', "lint": "eslint ."})
    assert commands(toolchain({"package.json": manifest})) == {"lint": "npm run lint"}


@pytest.mark.parametrize(
    ("tsconfig", "version", "command"),
    [
        ('{"compilerOptions": {}}', "5.9.0", "tsc --noEmit"),
        ('{"files": [], "references": [{"path": "./a"}]}', "~5.9.3", "tsc --build --noEmit"),
        ('{"files": [], "references": [\n{"path": "./a"}]}', "^5.4.0", "tsc --build"),
        ('{"references": [ ]}', "latest", "tsc --noEmit"),
    ],
)
def test_detect__typescript_without_script(tsconfig: str, version: str, command: str) -> None:
    manifest = package(scripts={"test": "vitest"}, devDependencies={"typescript": version})
    found = toolchain({"package.json": manifest, "tsconfig.json": tsconfig})
    assert commands(found)["typecheck"] == command


@pytest.mark.parametrize(
    ("scripts", "lock", "fix"),
    [
        ({"lint": "biome lint", "lint:fix": "biome lint --write"}, "pnpm-lock.yaml", "pnpm run lint:fix"),
        ({"lint": "eslint ."}, "package-lock.json", "npm run lint -- --fix"),
        ({"lint": "eslint ."}, "pnpm-lock.yaml", "pnpm run lint --fix"),
        ({"lint": "eslint . && prettier --check ."}, "pnpm-lock.yaml", None),
        ({"lint": "biome lint"}, "pnpm-lock.yaml", None),
    ],
)
def test_detect__lint_autofix(scripts: dict[str, str], lock: str, fix: str | None) -> None:
    check = toolchain({"package.json": package(scripts=scripts), lock: ""}).check(CheckKind.LINT)
    assert check is not None
    assert (" ".join(check.autofix) if check.autofix else None) == fix


def test_detect__eslint_without_script() -> None:
    manifest = package(devDependencies={"eslint": "9"})
    assert commands(toolchain({"package.json": manifest, "eslint.config.mjs": ""})) == {"lint": "eslint ."}


PYTEST = "python3 -m pytest"
UNITTEST = "python3 -m unittest discover"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"pyproject.toml": "[tool.ruff]\n[tool.mypy]\nstrict = true\n[tool.pytest.ini_options]\n"},
         {"lint": "ruff check .", "typecheck": "mypy .", "test": PYTEST}),
        ({"pyproject.toml": "[tool.mypy]\npackages = ['a']\n"}, {"typecheck": "mypy"}),
        ({"mypy.ini": "[mypy]\nfiles = src\n", "a.py": ""}, {"typecheck": "mypy"}),
        ({"setup.cfg": "[mypy]\n[flake8]\n[tool:pytest]\n"}, {"typecheck": "mypy .", "lint": "flake8", "test": PYTEST}),
        ({"pyrightconfig.json": "{}", "a.py": ""}, {"typecheck": "pyright"}),
        ({"requirements-dev.txt": "ruff==0.9\n# pytest\n", "a.py": ""}, {"lint": "ruff check ."}),
        ({"requirements.txt": "Flake8>=6\npytest\n", "tests/test_a.py": ""}, {"lint": "flake8", "test": PYTEST}),
        ({"tests/test_a.py": "def test_a(): pass"}, {"test": PYTEST}),
        ({"conftest.py": "", "a.py": ""}, {"test": PYTEST}),
        ({"tests/test_a.py": "import unittest"}, {"test": f"{UNITTEST} -s tests"}),
        ({"tests/test_a.py": "import unittest", "tests/__init__.py": ""}, {"test": f"{UNITTEST} -s tests -t ."}),
        ({"test_a.py": "import unittest"}, {"test": UNITTEST}),
        ({"pyproject.toml": "[build-system]\nrequires=[]\n[project]\nname='a'\n[project.optional-dependencies]\n"
          "dev=['build']\n"}, {"build": 'sh -c python3 -m build --outdir "$(mktemp -d)" .'}),
    ],
)  # fmt: skip
def test_detect__python(files: Files, expected: dict[str, str]) -> None:
    assert commands(toolchain(files)) == expected


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({}, None),
        ({"pyproject.toml": "[tool.ruff]\n"}, None),
        ({"uv.lock": "", "pyproject.toml": "[project.optional-dependencies]\ndev=[]\nplot=[]\n[dependency-groups]\n"
          "dev=[]\ntest=[]\n"}, "uv sync --frozen --extra dev --group test"),
        ({"requirements.txt": "a", "requirements-dev.txt": "b", "requirements-docs.txt": "c"},
         "-r requirements-dev.txt -r requirements.txt"),
        ({"pyproject.toml": "[build-system]\n[project]\n[project.optional-dependencies]\ndev=['x']\n"}, "-e '.[dev]'"),
        ({"pyproject.toml": "[project]\ndependencies=['x>=1']\n[dependency-groups]\ndev=['y', {include-group='z'}]\n"
          "z=['w', {include-group='dev'}]\n"}, "'x>=1' y w"),
        ({"setup.py": "setup()"}, "-e ."),
    ],
)  # fmt: skip
def test_detect__python_install(files: Files, command: str | None) -> None:
    install = toolchain({"tests/test_a.py": "def test_a(): pass", **files}).install
    if command is None:
        assert install is None
    else:
        assert install is not None
        assert install.command[-1].endswith(command) or " ".join(install.command) == command
        assert install.produces == ()


def test_detect__ruff_has_an_autofix() -> None:
    check = toolchain({"ruff.toml": "", "a.py": ""}).check(CheckKind.LINT)
    assert check is not None
    assert check.autofix == ("ruff", "check", "--fix", ".")


def test_detect__go() -> None:
    found = toolchain({"go.mod": "module m", "go.sum": "", "main.go": ""})
    assert commands(found) == {"lint": "go vet ./...", "build": "go build -o /dev/null ./...", "test": "go test ./..."}
    assert found.install is not None
    assert found.install.command == ("go", "mod", "download")
    assert toolchain({"go.mod": "", "go.sum": "", "vendor/modules.txt": ""}).install is None
    assert commands(toolchain({"go.mod": "", ".golangci.yml": ""}))["lint"] == "golangci-lint run"


def test_detect__rust() -> None:
    found = toolchain({"Cargo.toml": "[workspace]\n[workspace.lints.clippy]\nall='warn'\n", "Cargo.lock": ""})
    assert commands(found) == {
        "typecheck": "cargo check --all-targets --workspace --locked",
        "lint": "cargo clippy --all-targets --workspace --locked",
        "build": "cargo build --workspace --locked",
        "test": "cargo test --workspace --locked",
    }
    assert "lint" not in commands(toolchain({"Cargo.toml": "[package]\nname='a'"}))


def test_detect__make() -> None:
    text = ".PHONY: test lint\nVERSION := 1\nbuild = 2\ntest lint: deps\n\tpytest\nlint-fix:\n\tx\ne2e::\n\ty\n"
    found = toolchain({"Makefile": text})
    assert commands(found) == {"lint": "make lint", "test": "make test", "e2e": "make e2e"}
    assert found.check(CheckKind.LINT).autofix == ("make", "lint-fix")  # type: ignore[union-attr]


def test_detect__make_is_not_asked_where_a_language_has_checks() -> None:
    assert commands(toolchain({"Makefile": "lint:\n", "go.mod": ""}))["lint"] == "go vet ./..."
    assert commands(toolchain({"Makefile": "lint:\n", "a.py": ""})) == {"lint": "make lint"}


def test_detect__two_languages_are_both_checked() -> None:
    files: Files = {
        "package.json": package(scripts={"test": "vitest", "lint": "x"}, dependencies={"a": "1"}),
        "package-lock.json": "{}",
        "requirements.txt": "pytest",
        "tests/test_a.py": "",
    }
    found = toolchain(files)
    assert found.name == "javascript+python"
    assert commands(found) == {"lint": "npm run lint", "test": f"sh -c npm run test && {PYTEST}"}
    assert found.install is not None
    assert found.install.command[2].startswith("npm ci --no-audit --no-fund && python3 -m venv")
    assert found.install.produces == ()  # the virtual environment among them cannot be moved


def test_detect__a_stray_requirements_file_installs_nothing() -> None:
    found = toolchain({"package.json": package(scripts={"test": "x"}), "requirements.txt": "sphinx"})
    assert (found.name, found.install) == ("javascript", None)


def test_detect__smoke_spec() -> None:
    files: Files = {"package.json": package(scripts={"test": "x"}), "e2e/smoke.spec.ts": ""}
    assert commands(toolchain(files))["smoke"] == "npx playwright test e2e/smoke.spec.ts"
    policy = parse_policy(b"execution: {checks: {smoke: ./smoke.sh}}")
    assert commands(toolchain(files, policy))["smoke"] == "sh -c ./smoke.sh"


def test_detect__policy_overrides_adds_and_removes() -> None:
    policy = parse_policy(b"checks: {lint: {run: ./l, timeout: 2m, fix: ./f}, test: null, build: make all}")
    found = toolchain({"package.json": package(scripts={"test": "x", "lint": "y", "typecheck": "z"})}, policy)
    assert commands(found) == {"typecheck": "npm run typecheck", "lint": "sh -c ./l", "build": "sh -c make all"}
    lint = found.check(CheckKind.LINT)
    assert lint is not None
    assert (lint.timeout, lint.autofix) == (120.0, ("sh", "-c", "./f"))


def test_detect__policy_install() -> None:
    policy = parse_policy(b"{install: {run: ./i, produces: [deps], key: [lock]}, checks: {test: t}}")
    install = toolchain({"README": ""}, policy).install
    assert install is not None
    assert (install.command, install.produces, install.key_files) == (("sh", "-c", "./i"), ("deps",), ("lock",))


def test_detect__policy_install_without_key_is_not_copied() -> None:
    install = toolchain({}, parse_policy(b"{install: {run: i, produces: [deps]}, checks: {test: t}}")).install
    assert install is not None
    assert install.produces == ()


@pytest.mark.parametrize("path", ["/etc", "../x", "a/../../b", "."])
def test_detect__policy_install_outside_the_tree_is_refused(path: str) -> None:
    policy = parse_policy(json.dumps({"install": {"run": "i", "produces": [path], "key": ["k"]}}).encode())
    with pytest.raises(UsageError, match="not a path inside the repository"):
        toolchain({"go.mod": ""}, policy)


@pytest.mark.parametrize(
    ("files", "policy"),
    [
        ({}, b""),
        ({"README.md": "hi"}, b""),
        ({"package.json": "{}"}, b""),
        ({"package.json": package(scripts={"e2e": "x"})}, b""),
        ({"e2e/smoke.spec.ts": ""}, b""),
        ({"go.mod": ""}, b"checks: {lint: null, build: null, test: null}"),
    ],
)
def test_detect__nothing_to_check_says_how_to_configure(files: Files, policy: bytes) -> None:
    with pytest.raises(NoChecks, match=r"\.github/mason\.yml.*checks: \{test"):
        toolchain(files, parse_policy(policy))


def test_detect__configured_e2e_alone_is_a_check() -> None:
    assert commands(toolchain({}, parse_policy(b"checks: {e2e: x}"))) == {"e2e": "sh -c x"}


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("package.json", "{"),
        ("package.json", "[" * 100_000),
        ("package.json", b"\xff\xfe\x00"),
        ("package.json", b" " * 3_000_000),
        ("pyproject.toml", "[tool"),
        ("pyproject.toml", "a = " + "[" * 100_000),
        ("Cargo.toml", b"\xff"),
    ],
)
def test_detect__broken_manifest_is_one_sentence(path: str, content: str | bytes) -> None:
    with pytest.raises(UsageError, match=f"{path} of the base commit is"):
        toolchain({path: content, "Makefile": "test:\n"})


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("package.json", '{"scripts": ["lint"], "dependencies": "x", "workspaces": 3, "packageManager": {}}'),
        ("package.json", '{"scripts": {"lint": {"a": 1}, "test": null, "build": "  "}}'),
        ("package.json", "[1, 2]"),
        ("package.json", ""),
        ("pyproject.toml", "tool = 3\nproject = 'x'\ndependency-groups = []\n"),
        ("pyproject.toml", "[project]\ndependencies = 3\noptional-dependencies = [1]\n[tool.poetry]\ngroup = 1\n"),
        ("Cargo.toml", "lints = 3\nworkspace = 1"),
        ("setup.cfg", "no section\n[[["),
        ("tox.ini", b"\x00\xff[flake8"),
        ("Makefile", "\x00" * 1000),
    ],
)
def test_detect__wrong_types_count_as_absent(path: str, content: str | bytes) -> None:
    found = toolchain({path: content, "tests/test_a.py": "def test_a(): pass"})
    assert PYTEST in commands(found)["test"]
