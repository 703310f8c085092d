"""The base commit's own gate, once a run: a base that fails by itself must not cost an agent anything (step 10)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.domain.items import Item
from app.domain.results import CheckKind, GateResult
from app.domain.runs import Base
from app.errors import GitFailed
from app.gate.checks import Gate
from app.ports.workspace import ChangeKind, Tree, Workspace
from app.process import Stop

_WORDS = {
    CheckKind.TYPECHECK: r"type[- ]?check(s|er|ing)?|tsc|mypy|pyright|type errors?",
    CheckKind.LINT: r"lint(er|ing)?|eslint|ruff|clippy|flake8",
    CheckKind.BUILD: r"build(s|ing)?|compil\w+",
    CheckKind.TEST: r"(unit )?tests?|pytest|vitest|jest",
    CheckKind.E2E: r"e2e|end[- ]to[- ]end|playwright",
}


def check_base(workspace: Workspace, gate: Gate, base: Base, kinds: Sequence[CheckKind], stop: Stop) -> GateResult:
    """Every check on a clean checkout of the base commit; its install is the pristine one that later trees copy."""
    with workspace.tree("base", base.commit, branch=base.branch) as tree:
        if failure := gate.prepare(tree.path, stop, base=True):
            return GateResult(checks=(failure,), tree=base.commit)
        results = gate.run(tree.path, kinds, stop, lambda _: None, lambda _: None)
        try:
            changed = rewritten(workspace, tree, base.commit)
        except GitFailed:  # the checks left something that git cannot read
            changed = frozenset()
        return GateResult(checks=results, tree=base.commit, rewritten=changed)


def rewritten(workspace: Workspace, tree: Tree, commit: str) -> frozenset[str]:
    """The files of ``commit`` that are not any more what they were when it was checked out."""
    changes = workspace.changes(commit, tree.snapshot())
    return frozenset(change.path for change in changes if change.kind is not ChangeKind.ADDED)


def base_failure(base: Base, gate: GateResult) -> str:
    """One sentence for people: which checks of the base commit fail by themselves, and the first thing they say."""
    names = ", ".join(check.kind.value for check in gate.failures)
    first = gate.failures[0]
    detail = str(first.diagnostics[0]) if first.diagnostics else first.reason
    return f"The base commit {base.commit[:10]} of {base.branch} fails its own {names}" + (
        f" ({detail[:300]})" if detail else ""
    )


_BROKEN = r"fail(s|ed|ing|ures?)?|broken|breaks?|errors?|red|fix(es|ed)?|repair(s|ed)?|pass(es)? again"


def repairs(item: Item, gate: GateResult) -> bool:
    """Whether the item is there to repair the base: of every check that fails there, its PRD says so in a sentence.

    A PRD that only speaks of tests, as most do, does not count: its agent would work for nothing.
    """
    sentences = re.split(r"[.!?](?=\s)|\n\s*\n|\n(?=\s*[-*#|>])", f"{item.title}\n\n{item.prd or ''}"[:200_000])
    return all(any(_says_broken(check.kind, sentence) for sentence in sentences) for check in gate.failures)


def _says_broken(kind: CheckKind, sentence: str) -> bool:
    words = (_WORDS.get(kind, kind.value), _BROKEN)
    return all(re.search(rf"\b({word})\b", sentence, re.IGNORECASE) for word in words)
