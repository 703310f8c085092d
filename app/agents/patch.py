"""The patch agent: no model, it applies the diffs and gives the answers that the PRD itself contains.

A PRD addresses it with code fences: ``diff task=2.1`` and ``diff fix=1`` hold unified diffs, a plain ``diff`` belongs
to the item's first implementing call; ``mason-answer role=verify`` holds a JSON object (for a fix also ``fix=1``).
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from app.agents.fences import Fence, fences, json_object
from app.agents.scratch import DoesNotApply, scratch
from app.domain.results import Usage
from app.ports.agent import AgentRequest, AgentResult, OnActivity, Role
from app.process import Stop

_DEFAULTS: Mapping[Role, Mapping[str, object]] = {
    Role.RE_EVALUATE: {"decision": "EXECUTE", "reason": "The PRD carries its own change."},
    Role.REVIEW: {"decision": "approve", "issues": []},
}
_NO_DIFF = "The PRD contains no diff, and the patch agent only applies diffs: add a code fence marked diff"
_ADDRESS = {"task": re.compile(r"\d{1,4}\.\d{1,4}"), "fix": re.compile(r"\d{1,4}")}


class PatchAgent:
    """Works from ``request.item.prd`` alone. ``environ`` is what git is found with, ``scratch`` a place for copies."""

    def __init__(self, environ: Mapping[str, str], *, scratch: Path | None = None) -> None:
        self._environ = environ
        self._scratch = scratch
        self._first_tasks: dict[UUID, str] = {}

    @property
    def name(self) -> str:
        return "patch"

    def require_ready(self) -> None:
        """It needs nothing."""

    def run(self, request: AgentRequest, stop: Stop, on_activity: OnActivity) -> AgentResult:
        """Apply what is addressed to this call, or give the answer to it. An unusable fence is the result's error."""
        started = time.monotonic()
        try:
            result = self._result(request, stop, on_activity)
        except DoesNotApply as problem:
            result = AgentResult(error=str(problem))
        except OSError as problem:
            result = AgentResult(error=f"The worktree cannot be changed: {problem.strerror or problem}.")
        if stop.is_set():
            result = AgentResult(error="The patch agent was stopped.")
        return replace(result, usage=Usage(turns=1, seconds=time.monotonic() - started))

    def _result(self, request: AgentRequest, stop: Stop, on_activity: OnActivity) -> AgentResult:
        if request.role is Role.WRITE_PRD:
            return AgentResult(error="The patch agent has no model and cannot write a PRD.")
        if not request.worktree.is_dir():
            return AgentResult(error="The worktree is not there.")
        found = fences(request.item.prd or "")
        text = ""
        if not request.read_only:
            if request.role is Role.IMPLEMENT and not _diffs(found):
                return AgentResult(error=_NO_DIFF)
            text = self._edit(request, self._addressed(request, found), stop, on_activity)
        written = _written_answer(request, found)
        if isinstance(written, AgentResult):
            return written
        if written is None and request.role is Role.VERIFY:
            return AgentResult(answer=self._verified(request, found, stop))
        if written is None and request.role is Role.FIX:
            return AgentResult(text=text, answer={"decision": "fixed", "reason": text})
        return AgentResult(text=text, answer=_DEFAULTS.get(request.role) if written is None else written)

    def _addressed(self, request: AgentRequest, found: list[Fence]) -> list[Fence]:
        diffs = _diffs(found)
        if request.role is Role.FIX:
            return [fence for fence in diffs if _fix(fence) == request.iteration]
        task = request.task_id or ""
        first = self._first_tasks.setdefault(request.item.id, task) == task
        return [
            fence
            for fence in diffs
            if (fence.attributes.get("task", task if first else None) == task) and _fix(fence) is None
        ]

    def _edit(self, request: AgentRequest, diffs: list[Fence], stop: Stop, on_activity: OnActivity) -> str:
        if not diffs:
            return "The PRD has no diff for this."
        with scratch(request.worktree, self._environ, stop, self._scratch) as copies:
            for fence in diffs:
                on_activity(f"Applying the diff at line {fence.line} of the PRD")
                try:
                    copies.apply(fence.content)
                except DoesNotApply as problem:
                    raise DoesNotApply(f"The diff at line {fence.line} of the PRD {problem}.") from problem
            try:
                copies.carry_back()
            except DoesNotApply as problem:
                raise DoesNotApply(f"A diff of the PRD {problem}.") from problem
        return f"Applied {len(diffs)} {'diff' if len(diffs) == 1 else 'diffs'} of the PRD."

    def _verified(self, request: AgentRequest, found: list[Fence], stop: Stop) -> Mapping[str, object]:
        """SKIP when every diff is in the tree already, with or without those of the fix iterations."""
        diffs = _diffs(found)
        tasks = [fence for fence in diffs if _fix(fence) is None]
        fixes = sorted((fence for fence in diffs if _fix(fence) is not None), key=lambda fence: _fix(fence) or 0)
        for state in (tasks, tasks + fixes) if fixes else (tasks,):
            with scratch(request.worktree, self._environ, stop, self._scratch) as copies:
                if tasks and all(copies.revert(fence.content) for fence in reversed(state)):
                    return {"decision": "SKIP", "reason": "Every diff of the PRD is in the code already."}
        return {"decision": "PROCEED", "reason": "The PRD's diffs are not in the code yet."}


def _diffs(found: list[Fence]) -> list[Fence]:
    """The diffs, their addresses checked. Raises DoesNotApply for one that cannot be read."""
    diffs = [fence for fence in found if fence.kind == "diff"]
    for fence in diffs:
        for name, shape in _ADDRESS.items():
            value = fence.attributes.get(name)
            if value is not None and not shape.fullmatch(value):
                raise DoesNotApply(
                    f"The diff at line {fence.line} of the PRD has an address that cannot be read: {name}={value[:40]}."
                )
    return diffs


def _fix(fence: Fence) -> int | None:
    value = fence.attributes.get("fix")
    return int(value) if value is not None else None


def _written_answer(request: AgentRequest, found: list[Fence]) -> Mapping[str, object] | AgentResult | None:
    """The PRD's own answer to this call, the one for this very iteration or task first."""
    mine = {"fix": str(request.iteration or ""), "task": request.task_id or ""}
    fitting = [
        fence
        for fence in found
        if fence.kind == "mason-answer"
        and fence.attributes.get("role") == request.role
        and all(fence.attributes.get(name, value) == value for name, value in mine.items())
    ]
    if not fitting:
        return None
    fence = max(fitting, key=lambda each: len(each.attributes))
    answer = json_object(fence.content)
    if answer is None:
        return AgentResult(error=f"The mason-answer at line {fence.line} of the PRD is not a JSON object.")
    return answer
