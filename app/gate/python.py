"""Python: uv or pip; ruff or flake8, mypy or pyright, pytest or unittest, as the repository configures them."""

from __future__ import annotations

import re
import shlex
from itertools import islice
from posixpath import basename
from typing import Any

from app.domain.results import CheckKind
from app.gate.repository import Repository, at, strings, table
from app.gate.steps import Check, InstallStep, Words, shell

_MANIFESTS = ("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt")
_DEV_NAMES = ("dev", "develop", "development", "test", "tests", "testing", "lint", "types", "typing", "typecheck", "ci")
_DEV = "|".join(_DEV_NAMES)
_REQUIREMENTS = re.compile(
    rf"requirements(?:[-_.](?:{_DEV}))?\.txt|(?:{_DEV})[-_]requirements\.txt|requirements/(?:base|main|common|{_DEV})\.txt"
)
_TEST_FILE = re.compile(r"(?:[^/]+/)*(?:test_[^/]*|[^/]*_test|tests?)\.py")
_PYTEST_STYLE = re.compile(r"^(?:import pytest|from pytest |(?:async )?def test_)", re.MULTILINE)
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_TEST_FILES_READ = 50


def detect(repository: Repository) -> tuple[InstallStep | None, tuple[Check, ...]] | None:
    """A project, or mere scripts with tests, at the root."""
    loose = any(
        path.endswith(".py") and ("/" not in path or (_is_test(path) and path.startswith(("tests/", "test/"))))
        for path in repository.paths
    )
    if not loose and not repository.has(*_MANIFESTS) and not _requirement_files(repository):
        return None
    pyproject = repository.toml("pyproject.toml")
    declared = dependencies(repository)
    found = (
        _typecheck(repository, pyproject),
        _lint(repository, pyproject, declared),
        _build(pyproject, declared),
        _test(repository, pyproject, declared),
    )
    return _install(repository, pyproject), tuple(check for check in found if check)


def dependencies(repository: Repository) -> frozenset[str]:
    """The normalised names of every distribution that the repository declares, whatever for."""
    pyproject = repository.toml("pyproject.toml")
    listed = [
        *strings(at(pyproject, "project", "dependencies")),
        *(
            text
            for extra in table(at(pyproject, "project", "optional-dependencies")).values()
            for text in strings(extra)
        ),
        *(text for group in table(pyproject.get("dependency-groups")).values() for text in strings(group)),
        *strings(at(pyproject, "tool", "uv", "dev-dependencies")),
        *(line for path in _requirement_files(repository) for line in repository.text(path).splitlines()),
    ]
    poetry = table(at(pyproject, "tool", "poetry"))
    groups = [poetry, *table(poetry.get("group")).values()]
    listed += [
        name for group in groups for key in ("dependencies", "dev-dependencies") for name in table(at(group, key))
    ]
    listed += re.findall(r"""["']([A-Za-z0-9][\w.-]*)(?=[\[=<>~!;"' ])""", repository.text("setup.py"))
    listed += re.findall(r"(?m)^\s+([A-Za-z0-9][\w.-]*)", repository.text("setup.cfg"))
    return frozenset(normalised(match[1]) for text in listed if (match := _REQUIREMENT.match(text)))


def normalised(name: str) -> str:
    """A distribution's name as the package index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _is_test(path: str) -> bool:
    return _TEST_FILE.fullmatch(path) is not None


def _requirement_files(repository: Repository) -> list[str]:
    return sorted(path for path in repository.paths if _REQUIREMENTS.fullmatch(path))


def _typecheck(repository: Repository, pyproject: dict[str, Any]) -> Check | None:
    mypy = table(at(pyproject, "tool", "mypy"))
    if mypy or repository.has("mypy.ini", ".mypy.ini") or "mypy" in repository.ini_sections("setup.cfg"):
        ini = "".join(repository.text(path) for path in ("mypy.ini", ".mypy.ini", "setup.cfg"))
        scoped = any(mypy.get(key) for key in ("files", "packages", "modules"))
        scoped = scoped or re.search(r"(?m)^(files|packages|modules)\s*=", ini) is not None
        return Check(kind=CheckKind.TYPECHECK, command=("mypy",) if scoped else ("mypy", "."))
    if at(pyproject, "tool", "pyright") is not None or repository.has("pyrightconfig.json"):
        return Check(kind=CheckKind.TYPECHECK, command=("pyright",))
    return None


def _lint(repository: Repository, pyproject: dict[str, Any], declared: frozenset[str]) -> Check | None:
    configured = at(pyproject, "tool", "ruff") is not None or repository.has("ruff.toml", ".ruff.toml")
    if configured or "ruff" in declared:
        command = ("ruff", "check")
        return Check(kind=CheckKind.LINT, command=(*command, "."), autofix=(*command, "--fix", "."))
    sections = repository.ini_sections("setup.cfg") | repository.ini_sections("tox.ini")
    if "flake8" in sections or repository.has(".flake8") or "flake8" in declared:
        return Check(kind=CheckKind.LINT, command=("flake8",))
    return None


def _build(pyproject: dict[str, Any], declared: frozenset[str]) -> Check | None:
    """A build where the project declares both how it is built and the tool that does it.

    The result goes to a temporary directory: what it leaves in the tree would become part of the work.
    """
    if "build-system" not in pyproject or "build" not in declared:
        return None
    return Check(kind=CheckKind.BUILD, command=shell('python3 -m build --outdir "$(mktemp -d)" .'))


def _test(repository: Repository, pyproject: dict[str, Any], declared: frozenset[str]) -> Check | None:
    configured = (
        at(pyproject, "tool", "pytest") is not None
        or any(basename(path) in ("conftest.py", "pytest.ini", ".pytest.ini") for path in repository.paths)
        or "tool:pytest" in repository.ini_sections("setup.cfg")
        or "pytest" in repository.ini_sections("tox.ini")
    )
    files = sorted(path for path in repository.paths if _is_test(path))
    texts = (repository.text(path) for path in islice(files, _TEST_FILES_READ))
    if configured or (files and ("pytest" in declared or any(_PYTEST_STYLE.search(text) for text in texts))):
        return Check(kind=CheckKind.TEST, command=("python3", "-m", "pytest"))
    return Check(kind=CheckKind.TEST, command=_unittest(repository, files)) if files else None


def _unittest(repository: Repository, files: list[str]) -> Words:
    discover = ("python3", "-m", "unittest", "discover")
    for directory in ("tests", "test"):
        if any(path.startswith(f"{directory}/") for path in files):
            top = ("-t", ".") if repository.has(f"{directory}/__init__.py") else ()
            return (*discover, "-s", directory, *top)
    return discover


def _install(repository: Repository, pyproject: dict[str, Any]) -> InstallStep | None:
    """``uv sync`` with a lock file, else a virtual environment and pip; none where nothing is to be installed.

    A virtual environment contains its own path, so every tree gets its own.
    """
    extras = [name for name in table(at(pyproject, "project", "optional-dependencies")) if name in _DEV_NAMES]
    if repository.has("uv.lock"):
        groups = [name for name in table(pyproject.get("dependency-groups")) if name in _DEV_NAMES and name != "dev"]
        options = [word for name in extras for word in ("--extra", name)]
        options += [word for name in groups for word in ("--group", name)]
        return InstallStep(command=("uv", "sync", "--frozen", *options), key_files=("uv.lock", "pyproject.toml"))
    files = _requirement_files(repository)
    words = [word for path in files for word in ("-r", path)] + _project(repository, pyproject, extras)
    if not words:
        return None
    script = f"python3 -m venv .venv && .venv/bin/python -m pip install --disable-pip-version-check {shlex.join(words)}"
    return InstallStep(command=shell(script), key_files=(*_MANIFESTS, *files))


def _project(repository: Repository, pyproject: dict[str, Any], extras: list[str]) -> list[str]:
    """What pip installs for the project itself: itself where it can be built, else what it lists."""
    words = []
    groups = table(pyproject.get("dependency-groups"))
    for name in groups:
        if name in _DEV_NAMES:
            words += _group(groups, name, frozenset())
    if repository.has("setup.py") or ("project" in pyproject and "build-system" in pyproject):
        return ["-e", f".[{','.join(extras)}]" if extras else ".", *words]
    listed = [*strings(at(pyproject, "project", "dependencies"))]
    listed += [text for name in extras for text in strings(at(pyproject, "project", "optional-dependencies", name))]
    return [*listed, *words]


def _group(groups: dict[str, Any], name: str, seen: frozenset[str]) -> list[str]:
    """The requirements of a dependency group, with the groups that it includes."""
    if name in seen:
        return []
    members = groups.get(name)
    words = strings(members)
    for member in members if isinstance(members, list) else []:
        included = at(member, "include-group")
        if isinstance(included, str):
            words += _group(groups, included, seen | {name})
    return words
