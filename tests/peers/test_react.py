"""A real TypeScript project: create-vite's react-ts with pnpm, tsc, eslint, vite and vitest; nothing is configured."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from app.domain.results import Outcome, Verdict
from tests.peers.kit import Witness, react_project
from tests.whole.kit import Project
from tests.whole.prds import change, new, prd

pytestmark = pytest.mark.peer

PASSED = dict.fromkeys(("typecheck", "lint", "build", "test"), "pass")
WHERE_PACKAGES_ARE = (
    'if [ "$2" = test ]; then pwd -P; readlink -f node_modules/react; find node_modules -type f -links +1 | head -3; fi'
)

CART = """\
export function count(quantities: number[]): number {
  return quantities.reduce((sum, quantity) => sum + quantity, 0)
}
"""
CART_TEST = """\
import { expect, test } from 'vitest'
import { count } from './cart'

test('a cart counts its things', () => {
  expect(count([1, 2])).toBe(3)
})
"""
GREEN = prd(
    "Add `src/cart.ts` and its test `src/cart.test.ts`.", new("src/cart.ts", CART), new("src/cart.test.ts", CART_TEST)
)

TOTAL = """\
export function total(prices: any[]): number {
  let none: number = 'nothing'
  return prices.reduce((sum, price) => sum + price, none)
}
"""
TOTAL_AUTOFIXED = TOTAL.replace("let", "const")
TOTAL_FIXED = TOTAL_AUTOFIXED.replace("any[]", "number[]").replace("'nothing'", "0")
TOTAL_TEST = CART_TEST.replace("count", "total").replace("cart", "total")
AFTER_A_FIX = prd(
    "Add `src/total.ts` and its test `src/total.test.ts`.",
    new("src/total.ts", TOTAL),
    new("src/total.test.ts", TOTAL_TEST),
    change("src/total.ts", TOTAL_AUTOFIXED, TOTAL_FIXED, fix=1),
)

GREETING = """\
import { useEffect, useState } from 'react'

export function Greeting({ name }: { name: string }) {
  const [shown, setShown] = useState('')
  useEffect(() => {
    setShown(`Hello, ${name}`)
  }, [name])
  return <p>{shown}</p>
}
"""
GREETING_FIXED = """\
export function Greeting({ name }: { name: string }) {
  return <p>Hello, {name}</p>
}
"""
DISCOUNT = """\
export function discounted(price: number, percent: number): number {
  return (price * percent) / 100
}
"""
DISCOUNT_FIXED = DISCOUNT.replace("* percent", "* (100 - percent)")
DISCOUNT_TEST = """\
import { expect, test } from 'vitest'
import { discounted } from './discount'

test('a tenth off', () => {
  expect(discounted(50, 10)).toBe(45)
})
"""
AFTER_TWO_FIXES = prd(
    "Add `src/Greeting.tsx`, `src/discount.ts` and `src/discount.test.ts`.",
    new("src/Greeting.tsx", GREETING),
    new("src/discount.ts", DISCOUNT),
    new("src/discount.test.ts", DISCOUNT_TEST),
    change("src/Greeting.tsx", GREETING, GREETING_FIXED, fix=1),
    change("src/discount.ts", DISCOUNT, DISCOUNT_FIXED, fix=2),
)


def test_react__items_pass_at_once_after_a_fix_and_after_two(
    packages: Path, tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pnpm = Witness(packages / ".bin" / "pnpm", tmp_path / "witness", WHERE_PACKAGES_ARE)
    monkeypatch.setenv("PATH", f"{pnpm.directory}{os.pathsep}{os.environ['PATH']}")
    project = Project(repository=react_project(packages, tmp_path / "shop"), dsn=database, root=tmp_path)
    green = project.approve(GREEN, "Count the cart")
    once = project.approve(AFTER_A_FIX, "Add up the cart")
    twice = project.approve(AFTER_TWO_FIXES, "Greet and discount")

    outcomes = {result.item.id: result.outcome for result in project.run().results}

    assert_completed(outcomes[green], iterations=0)
    assert_completed(outcomes[once], iterations=1)
    assert_completed(outcomes[twice], iterations=2)
    assert project.changed("mason/count-the-cart") == ["src/cart.test.ts", "src/cart.ts"]
    assert project.show("mason/add-up-the-cart", "src/total.ts") == TOTAL_FIXED.rstrip()
    assert project.show("mason/greet-and-discount", "src/discount.ts") == DISCOUNT_FIXED.rstrip()
    assert_tsc_and_eslint_were_read(project, once)
    assert_long_message_and_vitest_were_read(project, twice)
    assert_packages_were_installed_once_and_copied(pnpm, project)


def assert_completed(outcome: Outcome, *, iterations: int) -> None:
    """The final gate ran all four checks for real, after this many fix iterations."""
    assert outcome.verdict is Verdict.COMPLETED, outcome.reason
    assert len(outcome.iterations) == iterations
    assert outcome.gate
    assert {check.kind.value: check.status.value for check in outcome.gate.checks} == PASSED
    said = {check.kind.value: check.output for check in outcome.gate.checks}
    assert "tsc -b --noEmit" in said["typecheck"]
    assert "eslint ." in said["lint"]
    assert "built in" in said["build"]
    assert re.search(r"Test Files +2 passed", said["test"])


def assert_tsc_and_eslint_were_read(project: Project, item: UUID) -> None:
    found = first_failures(project, item)
    wrong_type = "src/total.ts:2:7 error TS2322 Type 'string' is not assignable to type 'number'."
    assert found["typescript"] == found["build"] == [wrong_type]
    assert found["eslint"] == [
        "src/total.ts:1:31 error @typescript-eslint/no-explicit-any Unexpected any. Specify a different type",
        "src/total.ts:2:7 error prefer-const 'none' is never reassigned. Use 'const' instead",
    ]
    (row,) = project.iterations(item)
    assert (row["passed"], row["checks_passed"], row["checks_failed"]) == (True, 4, 0)
    details = row["failure_details"]
    assert (details["before"], details["after"]) == (["typecheck", "lint", "build", "test"], [])
    assert "+  const none: number = 0\n" in details["changed"]
    assert row["tried"] == "pnpm run lint --fix; agent: Applied 1 diff of the PRD."


def assert_long_message_and_vitest_were_read(project: Project, item: UUID) -> None:
    found = first_failures(project, item)
    assert found["eslint"] == [
        "src/Greeting.tsx:6:5 error react-hooks/set-state-in-effect Error: Calling setState synchronously within an "
        "effect can trigger cascading renders"
    ]
    first, second = project.iterations(item)
    assert first["failure_details"]["before"] == ["lint", "test"]
    (still,) = first["failure_details"]["after"]
    assert (still["check"], still["status"]) == ("test", "fail")
    assert still["diagnostics"] == [
        "src/discount.test.ts:5:30 error src/discount.test.ts > a tenth off: AssertionError: expected 5 to be 45 // "
        "Object.is equality"
    ]
    details = second["failure_details"]
    assert (second["passed"], details["before"], details["after"]) == (True, ["test"], [])
    assert "+  return (price * (100 - percent)) / 100\n" in details["changed"]


def first_failures(project: Project, item: UUID) -> dict[str, list[str]]:
    """The diagnostics of the item's first gate, by check, as the log rows carry them."""
    rows = project.rows("select message, metadata from mason_execution_logs order by created_at")
    own = [row for row in rows if row["metadata"].get("item_id") == str(item)]
    start = next(n for n, row in enumerate(own) if row["message"] == "Starting fix iteration 1")
    logged: list[dict[str, Any]] = [row["metadata"] for row in own[:start]]
    return {
        each["check"]: each["diagnostics"] for each in logged if each.get("diagnostics") and "recorded_only" not in each
    }


def assert_packages_were_installed_once_and_copied(pnpm: Witness, project: Project) -> None:
    """One install for all trees; each has files of its own, and links that stay inside."""
    calls = pnpm.calls
    assert len([words for words, _ in calls if words.startswith("install ")]) == 1
    assert len(list((project.root / "state" / "installs").iterdir())) == 1
    seen = [lines for words, lines in calls if words == "run test"]
    assert len({tree for tree, *_ in seen}) >= 7  # the base, and two trees an item
    for tree, react, *hard_links in seen:
        assert react.startswith(f"{tree}/node_modules/.pnpm/react@")
        assert hard_links == []
