"""What would be run, or read, by the checks in place of their own."""

from __future__ import annotations

import pytest

from app.domain.plans import PrdContext
from app.domain.policy import Policy
from app.domain.results import TierStatus
from app.ports.workspace import Change, ChangeKind
from app.validator.rules.check_config import is_check_configuration
from app.validator.scope import check_scope


def scope(path: str, kind: ChangeKind, *files: str) -> TierStatus:
    return check_scope([Change(path=path, kind=kind)], PrdContext(files=files), Policy()).status


@pytest.mark.parametrize(
    "path",
    [
        "argparse.py",
        "pluggy.py",
        "src/argparse.py",
        "json/__init__.py",
        "src/_pytest/__init__.py",
        "iniconfig/__init__.py",
        "argparse.cpython-311-x86_64-linux-gnu.so",
        "logging/__init__.pyc",
        "shop.dist-info/entry_points.txt",
        "src/shop.egg-info/entry_points.txt",
        "hook.pth",
    ],
)
def test_scope__a_new_module_in_place_of_one_that_checks_import_has_to_be_named(path: str) -> None:
    assert scope(path, ChangeKind.ADDED) is TierStatus.FAIL
    assert scope(path, ChangeKind.ADDED, ".", "src") is TierStatus.FAIL
    assert scope(path, ChangeKind.ADDED, path) is TierStatus.PASS


@pytest.mark.parametrize(
    "path",
    [
        "shop.py",
        "shop/argparse.py",
        "src/shop/json/__init__.py",
        "calendar/page.tsx",
        "json/data.json",
        "test/__init__.py",
        "src/types.ts",
    ],
)
def test_scope__another_new_module_is_free(path: str) -> None:
    assert scope(path, ChangeKind.ADDED) is TierStatus.PASS


def test_scope__a_module_that_was_always_there_may_change() -> None:
    assert scope("calendar.py", ChangeKind.MODIFIED) is TierStatus.PASS


@pytest.mark.parametrize(
    "path",
    [
        "vitest.workspace.ts",
        "packages/a/vitest.setup.ts",
        "jest.setup.js",
        "src/setupTests.ts",
        "next.config.mjs",
        ".swcrc",
        ".oxlintrc.json",
        "tslint.json",
        ".importlinter",
        ".pytest.ini",
        "pytest.toml",
        "uv.toml",
        "build.rs",
        "crates/a/build.rs",
        ".tool-versions",
        ".nvmrc",
        "mise.toml",
        ".config/nextest.toml",
        "phpcs.xml",
        "phpcs.xml.dist",
        ".rubocop.yml",
        ".rubocop_todo.yml",
    ],
)
def test_check_configuration__known_by_its_name(path: str) -> None:
    assert is_check_configuration(path)
