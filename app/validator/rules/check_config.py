"""Configuration that decides what checks find: whole files, and the sections of manifests that do so."""

from __future__ import annotations

import json
import posixpath
import re
import tomllib
from collections.abc import Callable, Mapping

from app.validator.forbidden import GATE_CONFIGURATION, PROTECTED
from app.validator.globs import matches
from app.validator.rules.source import Source

FILES = (
    *GATE_CONFIGURATION,
    *(pattern for pattern in PROTECTED if pattern not in (".gitattributes", ".gitmodules")),
    "justfile",
    "Taskfile.y*ml",
    "noxfile.py",
    "turbo.json",
    "nx.json",
    "deno.json*",
    ".pylintrc",
    "pylintrc",
    ".stylelintrc*",
    ".prettierignore",
    "cypress.config.*",
    "karma.conf.*",
    "codecov.y*ml",
    ".pre-commit-config.yaml",
    "lefthook.y*ml",
    ".husky/**",
    "phpunit.xml*",
    "phpstan.neon*",
    ".rubocop*.yml",
    "phpcs.xml*",
    ".phpcs.xml*",
    ".rspec",
)

_SCRIPT = re.compile(
    r"(?:pre|post)?(?:test|lint|build|typecheck|type-check|types|tsc|check|e2e|ci|verify|validate|coverage|smoke)(?:[:_-].*)?"
    r"|(?:pre|post)?install|prepare|prepublish\w*",
    re.IGNORECASE,
)
_HOOK = re.compile(r"(?:pre|post)(?:test|lint|build|typecheck|install|check).*|prepare", re.IGNORECASE)
_PACKAGE_SECTIONS = (
    "jest",
    "vitest",
    "eslintConfig",
    "eslintIgnore",
    "mocha",
    "ava",
    "nyc",
    "c8",
    "babel",
    "xo",
    "stylelint",
)
_PYTHON_TOOLS = (
    *(
        "pytest",
        "ruff",
        "mypy",
        "pyright",
        "basedpyright",
        "coverage",
        "pylint",
        "flake8",
        "bandit",
        "tox",
        "nox",
        "ty",
    ),
    *("importlinter", "pyre", "pytype", "poe", "taskipy", "hatch", "pdm"),
)
_CARGO_SECTIONS = ("lints",)


def is_check_configuration(path: str) -> bool:
    """Whether the whole file decides what checks find."""
    return any(matches(path, pattern) for pattern in FILES)


def has_check_sections(path: str) -> bool:
    return posixpath.basename(path) in _SECTIONS


def changed_sections(path: str, before: Source | None, after: Source | None) -> list[str]:
    """The names of the sections of a manifest that differ (``scripts.test``, ``tool.ruff``); a new one has none.

    A manifest that cannot be parsed any more has the one that is called ``everything``.
    """
    if before is None:
        return []
    sections = _SECTIONS[posixpath.basename(path)]
    old = _parsed(sections, before.text)
    new = _parsed(sections, after.text) if after else {}
    if old is None:
        return []
    if new is None:
        return ["everything"]
    names = [name for name in old if name not in new or new[name] != old[name]]
    return [*names, *(name for name in new if name not in old and not _is_harmless(name))]


def _is_harmless(name: str) -> bool:
    """A script that was not there before runs only where somebody calls it, unless its name makes it a hook."""
    section, _, script = name.partition(".")
    return section == "scripts" and not _HOOK.fullmatch(script)


Sections = dict[str, str]


def _parsed(sections: Callable[[str], Sections], text: str) -> Sections | None:
    """None for what is no manifest."""
    try:
        return sections(text)
    except (ValueError, RecursionError):
        return None


def _package(text: str) -> Sections:
    manifest = json.loads(text)
    if not isinstance(manifest, dict):
        raise ValueError("package.json is no object")
    scripts = manifest.get("scripts")
    checks = scripts if isinstance(scripts, dict) else {}
    return {
        **{f"scripts.{name}": str(run) for name, run in checks.items() if _SCRIPT.fullmatch(name)},
        **_chosen(manifest, _PACKAGE_SECTIONS, ""),
    }


def _pyproject(text: str) -> Sections:
    return _chosen(tomllib.loads(text).get("tool"), _PYTHON_TOOLS, "tool.")


def _cargo(text: str) -> Sections:
    manifest = tomllib.loads(text)
    workspace = manifest.get("workspace")
    return {**_chosen(manifest, _CARGO_SECTIONS, ""), **_chosen(workspace, _CARGO_SECTIONS, "workspace.")}


def _chosen(table: object, names: tuple[str, ...], prefix: str) -> Sections:
    if not isinstance(table, Mapping):
        return {}
    return {prefix + name: repr(table[name]) for name in names if name in table}


_SECTIONS: dict[str, Callable[[str], Sections]] = {
    "package.json": _package,
    "pyproject.toml": _pyproject,
    "Cargo.toml": _cargo,
}
