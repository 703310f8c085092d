"""Tier 5: naming package.json for a dependency allows no other checks."""

from __future__ import annotations

import json

import pytest

from app.domain.plans import PrdContext
from app.domain.results import Severity
from app.validator.side_effects import check_side_effects
from tests.unit.validator.file_sets import subject

SCRIPTS = {
    "test": "npm run unit && pnpm e2e:all",
    "unit": "vitest",
    "dev": "vite",
    "lint": "run-s one",
    "one": "eslint",
}


def package(**changes: object) -> str:
    return json.dumps({"name": "a", "scripts": SCRIPTS, "devDependencies": {"vitest": "1"}, **changes})


def severities(before: str, after: str | None, problem: str = "") -> list[Severity]:
    context = PrdContext(files=("package.json",), problem=problem)
    judged = check_side_effects(subject({"package.json": before}, {"package.json": after}, context=context))
    return [finding.severity for finding in judged.findings]


@pytest.mark.parametrize(
    ("after", "asks"),
    [
        (package(scripts={**SCRIPTS, "test": "true"}), "Have `test` run both"),
        (package(scripts={**SCRIPTS, "unit": "true"}), 'The script "unit" is slow'),
        (package(scripts={**SCRIPTS, "one": "true"}), "`scripts.one`"),
        (package(scripts={**SCRIPTS, "preunit": "rm -r tests"}), "`preunit`"),
        (package(overrides={"vitest": "0"}), "`overrides`"),
        (package(resolutions={"vitest": "0"}), "`resolutions`"),
        (package(pnpm={"overrides": {"vitest": "0"}}), "`pnpm.overrides`"),
        (package(devDependencies={"vitest": "file:./fake"}), "`vitest`"),
    ],
)
def test_package_scripts__what_checks_is_changed_only_when_it_is_asked_for(after: str, asks: str) -> None:
    assert severities(package(), after) == [Severity.ERROR]
    assert severities(package(), after, "`npm test` passes, and tests/unit.test.ts does") == [Severity.ERROR]
    assert Severity.ERROR not in severities(package(), after, asks)


@pytest.mark.parametrize("broken", ["{", "[]", "\ufeff" + package(), "[" * 100_000])
def test_package_scripts__what_cannot_be_read_is_an_error(broken: str) -> None:
    assert severities(package(), broken) == [Severity.ERROR]
    assert severities(broken, package()) == [Severity.ERROR]


@pytest.mark.parametrize(
    "after",
    [
        package(scripts={**SCRIPTS, "dev": "next"}),
        package(dependencies={"x": "1", "y": "file:../y"}),
        package(scripts={**SCRIPTS, "more": "true"}),
    ],
)
def test_package_scripts__what_else_changes_is_free(after: str) -> None:
    assert severities(package(), after) == []
