"""One item as they usually are, and every prompt about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from app.domain.items import Item, ItemStatus
from app.domain.plans import Subagent, Task
from app.domain.results import (
    CheckKind,
    CheckResult,
    CheckStatus,
    Diagnostic,
    Finding,
    Iteration,
    Severity,
    Tier,
    TierResult,
    TierStatus,
    ValidatorResult,
)
from app.planning.context import read_context
from app.prompts import render
from app.prompts.routing import DOMAINS, instructions

TYPES = (*DOMAINS, "dashboard", "discovery", "auth", "backend", "refactor", "optimization", "fix", "whatever")

PRD = """\
# Show initials where an account has no picture

**Target:** `src/components/Avatar.tsx:24`

## Problem

Accounts without a picture get a grey square. In lists of comments nobody can tell who wrote what, and the square has
no text for those who cannot see it.

## Solution

Draw one or two initials on a colour that is derived from the account's id, with the same sizes as pictures have. Use
the tokens of the palette, and keep the name as the accessible text.

## Evidence

11 of 40 accounts in the fixtures have no picture; `src/components/Avatar.tsx` renders an empty div for them.

## Files

- `src/components/Avatar.tsx`: draw the initials
- `src/components/Avatar.test.tsx`: two letters, one letter, no name
- `src/lib/initials.ts`: new, the letters and the colour

## Implementation

### Wave 1: Foundation (Parallel)

| Task | Subagent | Description |
| ---- | -------- | ----------- |
| 1.1 | Explore | Find how pictures are sized and where avatars are used |

### Wave 2: Implementation (Parallel)

Blocked by: Wave 1

| Task | Subagent | Description |
| ---- | -------- | ----------- |
| 2.1 | frontend-design | Draw the initials in `src/components/Avatar.tsx` |
| 2.2 | general-purpose | Letters and colour in `src/lib/initials.ts` |

### Wave 3: Validation

Blocked by: Wave 2

| Task | Subagent | Description |
| ---- | -------- | ----------- |
| 3.1 | code-reviewer | Review all changes |

## Success Criteria

- [ ] An account without a picture shows one or two letters
- [ ] The name is read out by a screen reader
- [ ] The same account has the same colour everywhere
"""
DIFF = "".join(
    f"--- a/src/file{n}.ts\n+++ b/src/file{n}.ts\n@@ -1,3 +1,4 @@\n"
    + "".join(f"+  const value{line} = compute({line});\n" for line in range(20))
    for n in range(3)
)
TASK = Task(id="2.1", subagent=Subagent.FRONTEND, description="Draw the initials in `src/components/Avatar.tsx`")


def standard(item_type: str) -> Item:
    return Item(
        id=UUID(int=7),
        status=ItemStatus.APPROVED,
        title="Show initials where an account has no picture",
        type=item_type,
        area="frontend",
        problem="Accounts without a picture get a grey square.",
        solution="Draw one or two initials.",
        evidence_summary="11 of 40 accounts in the fixtures have no picture.",
        prd=PRD,
    )


def briefing(item: Item) -> render.Briefing:
    return render.Briefing(item=item, context=read_context(item), instructions=instructions(item.type, lambda _: None))


def failures() -> render.Failures:
    diagnostics = tuple(
        Diagnostic(
            path="src/components/Avatar.tsx", line=n, message=f"Property 'size{n}' does not exist", code="TS2339"
        )
        for n in range(1, 6)
    )
    output = "".join(f"{d}\n" for d in diagnostics)
    types = CheckResult(kind=CheckKind.TYPECHECK, status=CheckStatus.FAIL, command="pnpm typecheck", output=output)
    tests = CheckResult(kind=CheckKind.TEST, status=CheckStatus.FAIL, command="pnpm test", output="1 failed\n" * 40)
    checks = (replace(types, diagnostics=diagnostics), tests)
    scope = Finding(path="src/other.ts", message="src/other.ts was modified", recommendation="revert src/other.ts")
    warning = Finding(path="src/a.ts", message="src/a.ts: line 3: `any`", severity=Severity.WARNING)
    tiers = (
        TierResult(tier=Tier.SCOPE, status=TierStatus.FAIL, findings=(scope,)),
        TierResult(tier=Tier.DOMAIN, status=TierStatus.WARN, findings=(warning,)),
    )
    tried = Iteration(
        number=1, failed_before=("typecheck",), tried="agent: added a property", changed=DIFF[:1500], gate=None,
        validator=None, passed=False,
    )  # fmt: skip
    return render.Failures(iteration=2, checks=checks, validator=ValidatorResult(tiers=tiers), history=(tried,))


def notes(count: int = 2) -> tuple[render.TaskNote, ...]:
    explore = Task(id="1.1", subagent=Subagent.EXPLORE, description="Find how pictures are sized")
    text = "`src/components/Avatar.tsx:24` renders an empty div. Sizes come from `src/tokens.ts`.\n" * 10
    return (render.TaskNote(task=explore, text=text),) * count


def every_prompt(
    each: render.Briefing,
    task: Task = TASK,
    earlier: Sequence[render.TaskNote] = notes(),
    diff: str = DIFF,
    broken: render.Failures | None = None,
    asked: str = "Use two letters at most.",
    again: str = "",
) -> dict[str, str]:
    """Each prompt by the name of its template."""
    return {
        "re_evaluate": render.re_evaluate(each.item, again),
        "verify": render.verify(each, again),
        "write_prd": render.write_prd(each.item, again),
        "explore": render.explore(each, task, earlier),
        "implement": render.implement(each, task, earlier),
        "review": render.review(each, task, diff, again),
        "pattern_review": render.pattern_review(each, diff, [("src/components/Badge.tsx", diff)] * 3, again),
        "fix": render.fix(each, broken or failures(), again),
        "request": render.request(each, asked, again),
    }
