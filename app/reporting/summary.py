"""What people and machines read at the end of a run, as pure functions; the words are in ``templates/``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.domain.items import Item
from app.domain.judgements import Judgement
from app.domain.plans import Plan
from app.domain.results import CheckKind, CheckResult, CheckStatus, Iteration, Severity, Usage, Verdict
from app.domain.runs import Base, ItemResult, RunResult
from app.reporting import text
from app.reporting.log_rows import CHECK_TITLE

_TABLE = tuple(CheckKind)
_ALWAYS = _TABLE[:4]


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """What would be done with an item: its ``plan``, or None and a ``note`` that says why there is none."""

    item: Item
    branch: str
    plan: Plan | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _CheckLine:
    title: str
    status: str
    notes: str


def executed(result: RunResult) -> tuple[ItemResult, ...]:
    """The items that were worked on to an end: completed or rejected."""
    return tuple(r for r in result.results if r.outcome.verdict in (Verdict.COMPLETED, Verdict.REJECTED))


def markdown(result: RunResult) -> str:
    """The seed's "Execution Complete", with sections for what did not become a branch. Ends with a newline."""
    by_verdict = {verdict: [r for r in result.results if r.outcome.verdict is verdict] for verdict in Verdict}
    return _render(
        "complete.md",
        result=result,
        executed=executed(result),
        total_tasks=sum(r.outcome.tasks_done for r in result.results),
        status=_status(result),
        checks=_check_lines(result),
        iterations=[(r.item, iteration) for r in result.results for iteration in r.outcome.iterations],
        several=len(result.results) > 1,
        completed=by_verdict[Verdict.COMPLETED],
        pull_requests=[r for r in by_verdict[Verdict.COMPLETED] if r.outcome.pull_request],
        failed=by_verdict[Verdict.REJECTED],
        deferred=by_verdict[Verdict.DEFERRED],
        resolved=by_verdict[Verdict.ALREADY_RESOLVED],
        given_back=[r for v in (Verdict.RELEASED, Verdict.CHANGED, Verdict.LOST) for r in by_verdict[v]],
    )


def reevaluation(verdicts: Sequence[tuple[str, str, str]]) -> str:
    """The seed's summary of re-evaluated items: (title, ``EXECUTE`` or ``SKIP``, reason) each."""
    proceeding = [v for v in verdicts if v[1] == "EXECUTE"]
    return _render(
        "reevaluation.md",
        checked=len(verdicts),
        proceeding=proceeding,
        skipped=[v for v in verdicts if v[1] != "EXECUTE"],
    )


def plan_text(previews: Sequence[Preview], base: Base) -> str:
    """The seed's "Execution Plan" for ``--dry-run``: the waves of every item, each a table."""
    return _render("plan.md", previews=previews, base=base)


def judgement_text(judgement: Judgement) -> str:
    """What was found about a pull request, and what was done to it."""
    checks = [_check_line(check.kind, [check]) for check in judgement.gate.checks]
    return _render("judgement.md", judgement=judgement, checks=checks)


def as_json(result: RunResult) -> dict[str, object]:
    """The run for ``--json``, a stable shape; keys may be added, none is renamed or removed.

    ``run``: id or null · ``base``: {commit, branch} or null · ``status``: success, failed or cancelled ·
    ``items``: [{id, title, verdict, reason, branch, commit, pull_request, kept, follow_up, tasks_done,
    checks: [{check, status, command, seconds, errors, warnings, reason}],
    iterations: [{number, failed_before: [name], tried, passed}], usage}] ·
    ``left``: [{id, title}], held by another runner · ``usage``: {input_tokens, output_tokens, cost_usd, turns,
    tool_calls, seconds}, of an item or of all.
    """
    return {
        "run": str(result.run_id) if result.run_id else None,
        "base": {"commit": result.base.commit, "branch": result.base.branch} if result.base else None,
        "status": result.status.value,
        "items": [_item_json(r) for r in result.results],
        "left": [{"id": str(item.id), "title": item.title} for item in result.left],
        "usage": _usage_json(result.usage),
    }


def _item_json(result: ItemResult) -> dict[str, object]:
    item, outcome = result.item, result.outcome
    return {
        "id": str(item.id),
        "title": item.title,
        "verdict": outcome.verdict.value,
        "reason": outcome.reason,
        "branch": outcome.branch,
        "commit": outcome.commit,
        "pull_request": outcome.pull_request,
        "kept": outcome.kept,
        "follow_up": str(outcome.follow_up) if outcome.follow_up else None,
        "tasks_done": outcome.tasks_done,
        "checks": [_check_json(check) for check in outcome.gate.checks] if outcome.gate else [],
        "iterations": [_iteration_json(iteration) for iteration in outcome.iterations],
        "usage": _usage_json(outcome.usage),
    }


def _check_json(check: CheckResult) -> dict[str, object]:
    return {
        "check": check.kind.value,
        "status": check.status.value,
        "command": check.command,
        "seconds": round(check.seconds, 3),
        "errors": _count(check, Severity.ERROR),
        "warnings": _count(check, Severity.WARNING),
        "reason": check.reason,
    }


def _iteration_json(iteration: Iteration) -> dict[str, object]:
    return {
        "number": iteration.number,
        "failed_before": list(iteration.failed_before),
        "tried": iteration.tried,
        "passed": iteration.passed,
    }


def _usage_json(usage: Usage) -> dict[str, object]:
    return asdict(usage) | {"cost_usd": round(usage.cost_usd, 6), "seconds": round(usage.seconds, 3)}


def _status(result: RunResult) -> str:
    failed, total = len(result.failed), len(result.results)
    if result.cancelled:
        return "⚠️ Cancelled"
    if failed:
        return f"❌ {failed} of {total} Items Failed"
    if result.base_failed:
        return "❌ The Base Commit Fails Its Own Checks"
    return "✅ All Validations Passed" if executed(result) else "✅ Nothing To Execute"


def _check_lines(result: RunResult) -> list[_CheckLine]:
    """One line a check over all items that came as far as a gate; none when no item did."""
    gates = [r.outcome.gate for r in result.results if r.outcome.gate]
    by_kind = {kind: [c for gate in gates for c in gate.checks if c.kind is kind] for kind in _TABLE}
    return [_check_line(kind, by_kind[kind]) for kind in _TABLE if gates and (by_kind[kind] or kind in _ALWAYS)]


def _check_line(kind: CheckKind, checks: Sequence[CheckResult]) -> _CheckLine:
    failed = [c for c in checks if c.status not in (CheckStatus.PASS, CheckStatus.SKIPPED)]
    passed = [c for c in checks if c.status is CheckStatus.PASS]
    title = CHECK_TITLE[kind]
    if failed:
        mark = "⚠️ Fail" if kind is CheckKind.SMOKE else "❌ Fail"
        return _CheckLine(title=title, status=mark, notes=_failure_note(failed, len(checks)))
    if passed:
        return _CheckLine(title=title, status="✅ Pass", notes=_pass_note(kind, passed))
    return _CheckLine(title=title, status="⏭️ Skipped", notes="Not in this repository")


def _failure_note(failed: Sequence[CheckResult], total: int) -> str:
    errors = sum(_count(check, Severity.ERROR) for check in failed)
    found = f"{errors} error{'' if errors == 1 else 's'}" if errors else failed[0].reason or failed[0].status.value
    return found if total == 1 else f"{found}; in {len(failed)} of {total} items"


def _pass_note(kind: CheckKind, passed: Sequence[CheckResult]) -> str:
    match kind:
        case CheckKind.TYPECHECK | CheckKind.LINT:
            return "0 errors"
        case CheckKind.BUILD:
            return "Compiled cleanly"
        case _:
            counts = [_passing(check.output) for check in passed]
            total = sum(count for count in counts if count)
            return f"{total}/{total} passing" if all(counts) else "All passing"


def _passing(output: str) -> int | None:
    """How many tests a passed check says that it ran; the last such sentence of its output counts."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", output)
    found = re.findall(r"\b(\d{1,7}) pass(?:ed|ing)\b", plain)
    return int(found[-1]) if found else None


def _count(check: CheckResult, severity: Severity) -> int:
    return sum(d.severity is severity for d in check.diagnostics)


def _render(name: str, **values: object) -> str:
    rendered = _templates().get_template(name).render(values)
    return re.sub(r"\n{3,}", "\n\n", rendered).strip() + "\n"


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - this is Markdown: whatever comes from outside is escaped by "md", "code" or "link"
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(md=text.markdown, code=text.code, link=text.link)
    return environment
