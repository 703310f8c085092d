"""Results: diagnostics, checks, the validator's tiers, fix iterations, and how an item and a run ended."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

MAX_FIX_ITERATIONS = 5


class CheckKind(StrEnum):
    """What a check is for. Its order here is the order in which an agent gets failures (contracts §2)."""

    TYPECHECK = "typecheck"
    LINT = "lint"
    BUILD = "build"
    TEST = "test"
    E2E = "e2e"
    FRONTEND = "frontend"
    BACKEND = "backend"
    SMOKE = "smoke"


REQUIRED_CHECKS = (CheckKind.TYPECHECK, CheckKind.LINT, CheckKind.BUILD, CheckKind.TEST)
"""The checks of the four ``validation_*`` columns, always part of the gate."""


CHECKS_OF_DOMAIN = {
    "ui": (CheckKind.FRONTEND,),
    "ux": (CheckKind.FRONTEND,),
    "api": (CheckKind.BACKEND,),
    "data": (CheckKind.BACKEND,),
}
"""What is checked besides after a change of this domain (seed 8.3 and 8.4), on the commit that is to be pushed."""


class CheckStatus(StrEnum):
    """``skipped``: the repository has no such check. ``timeout`` and ``error`` (could not run) have not passed."""

    PASS = "pass"  # noqa: S105 - a status, no password
    FAIL = "fail"
    SKIPPED = "skipped"
    TIMEOUT = "timeout"
    ERROR = "error"


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


def _placeless(text: str) -> str:
    """Without line numbers and other counts."""
    return re.sub(r"[0-9]+", "#", text)


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnostic:
    """One finding of a check. ``path`` is relative to the repository; lines and columns count from 1, 0 is unknown."""

    path: str
    line: int
    message: str
    column: int = 0
    severity: Severity = Severity.ERROR
    code: str = ""

    @property
    def fingerprint(self) -> str:
        """What the finding is, wherever in the file it stands."""
        return f"{self.path}|{self.code}|{_placeless(self.message)}"

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" + (f":{self.column}" if self.column else "")
        return f"{place} {self.severity} {self.code + ' ' if self.code else ''}{self.message}"


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckResult:
    """How one check ended. ``output`` is bounded (its head and its tail); ``seconds`` is wall time."""

    kind: CheckKind
    status: CheckStatus
    command: str = ""
    seconds: float = 0.0
    output: str = ""
    diagnostics: tuple[Diagnostic, ...] = ()
    reason: str = ""

    @property
    def blocks(self) -> bool:
        """Whether this result keeps an item from its branch. A failed smoke test is a warning (contracts §2)."""
        return self.kind is not CheckKind.SMOKE and self.status not in (CheckStatus.PASS, CheckStatus.SKIPPED)

    @property
    def fingerprints(self) -> frozenset[str]:
        """The failure as a set, independent of line numbers, times and counts; empty when it does not block."""
        if not self.blocks:
            return frozenset()
        errors = [d for d in self.diagnostics if d.severity is Severity.ERROR] or list(self.diagnostics)
        if errors:
            return frozenset(f"{self.kind}|{d.fingerprint}" for d in errors)
        stable = re.sub(r"0x[0-9a-f]+|[0-9]+", "#", self.output[-4000:])
        digest = hashlib.sha256(f"{self.status}|{self.reason}|{stable}".encode()).hexdigest()
        return frozenset({f"{self.kind}|{digest}"})


@dataclass(frozen=True, kw_only=True, slots=True)
class GateResult:
    """All checks of one gate run on one state of the tree (``tree``: the git tree or commit it saw).

    ``rewritten`` are the files of that state which its own checks changed, where somebody looked.
    """

    checks: tuple[CheckResult, ...]
    tree: str = ""
    seconds: float = 0.0
    rewritten: frozenset[str] = frozenset()

    @property
    def passed(self) -> bool:
        """True only when some check ran and none blocks: a gate without checks has not passed."""
        ran = any(c.status is CheckStatus.PASS for c in self.checks if c.kind is not CheckKind.SMOKE)
        return ran and not self.failures

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        """The blocking results, in the order in which an agent gets them."""
        order = list(CheckKind)
        return tuple(sorted((c for c in self.checks if c.blocks), key=lambda c: order.index(c.kind)))

    def check(self, kind: CheckKind) -> CheckResult:
        """The result of one kind; ``skipped`` where the gate had no such check."""
        return next((c for c in self.checks if c.kind is kind), CheckResult(kind=kind, status=CheckStatus.SKIPPED))


class TierStatus(StrEnum):
    PASS = "pass"  # noqa: S105 - a status, no password
    WARN = "warn"
    FAIL = "fail"
    NOT_RUN = "not_run"


class Tier(StrEnum):
    """The five tiers, named as in the seed's JSON (step 7.5)."""

    SCOPE = "scope_verification"
    PATTERNS = "pattern_adherence"
    IMPORTS = "import_graph"
    DOMAIN = "domain_specific"
    SIDE_EFFECTS = "side_effects"

    @property
    def words(self) -> str:
        """For people."""
        return {"scope_verification": "scope", "pattern_adherence": "patterns", "import_graph": "imports"}.get(
            self.value, self.value.partition("_specific")[0].replace("_", " ")
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing a tier found; ``recommendation`` tells the agent what to do about it."""

    path: str
    message: str
    severity: Severity = Severity.ERROR
    recommendation: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class TierResult:
    tier: Tier
    status: TierStatus
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidatorResult:
    """The five tiers. Any failing tier stops the item (the seed's matrix leaves tiers 4 and 5 to severity)."""

    tiers: tuple[TierResult, ...]

    @property
    def proceed(self) -> bool:
        return not self.failures

    def with_tier(self, result: TierResult) -> ValidatorResult:
        """The same with this result in its tier's place."""
        return ValidatorResult(tiers=tuple(result if tier.tier is result.tier else tier for tier in self.tiers))

    @property
    def failures(self) -> tuple[TierResult, ...]:
        return tuple(t for t in self.tiers if t.status is TierStatus.FAIL)

    @property
    def fingerprints(self) -> frozenset[str]:
        """What is wrong, wherever in its file it stands."""
        found = [(tier.tier, finding) for tier in self.failures for finding in tier.findings]
        return frozenset(f"{t}|{_placeless(f.path)}|{_placeless(f.message)}" for t, f in found)


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What agents used. ``cost_usd`` in US dollars, ``seconds`` of wall time."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    turns: int = 0
    tool_calls: int = 0
    seconds: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cost_usd=self.cost_usd + other.cost_usd,
            turns=self.turns + other.turns,
            tool_calls=self.tool_calls + other.tool_calls,
            seconds=self.seconds + other.seconds,
        )

    def __str__(self) -> str:
        """For people; empty when nothing was used."""
        tokens = self.input_tokens + self.output_tokens
        parts = [f"{self.input_tokens:,} input and {self.output_tokens:,} output tokens"] if tokens else []
        parts += [f"{self.cost_usd:.2f} USD"] if self.cost_usd else []
        parts += [f"{self.turns:,} turns"] if self.turns and tokens else []
        parts += [f"{self.tool_calls:,} tool calls"] if self.tool_calls and tokens else []
        return ", ".join(parts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Iteration:
    """One fix iteration: what failed before it, what was tried, and what the evaluation after it said.

    ``changed`` is a bounded unified diff of what it did to the tree.
    """

    number: int
    failed_before: tuple[str, ...]
    tried: str
    gate: GateResult | None
    validator: ValidatorResult | None
    passed: bool
    changed: str = ""


class Verdict(StrEnum):
    """How one item ended. ``released`` went back to ``approved``; ``lost`` belongs to somebody else now."""

    COMPLETED = "completed"
    ALREADY_RESOLVED = "already_resolved"
    DEFERRED = "deferred"
    REJECTED = "rejected"
    RELEASED = "released"
    CHANGED = "changed"
    LOST = "lost"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How one item ended, with the evidence.

    ``gate`` is the final gate on ``commit`` when completed, the last gate otherwise. ``kept`` says where the work of a
    failed item lies, ``diff`` is the bounded unified diff of either. ``pull_request`` is a URL, ``pull_request_number``
    0 without one. ``failed_base`` is the base commit whose own failure gave the item back. ``unfinished``: it goes back
    although it has cost money, so the attempt counts: what happens to it night after night must come to an end
    (contracts §1, Going back: none may loop).
    """

    verdict: Verdict
    reason: str = ""
    branch: str | None = None
    commit: str | None = None
    pull_request: str | None = None
    pull_request_number: int = 0
    gate: GateResult | None = None
    validator: ValidatorResult | None = None
    iterations: tuple[Iteration, ...] = ()
    usage: Usage = field(default_factory=Usage)
    tasks_done: int = 0
    kept: str | None = None
    follow_up: UUID | None = None
    failed_base: str | None = None
    unfinished: bool = False
    diff: str = ""

    @property
    def succeeded(self) -> bool:
        return self.verdict in (Verdict.COMPLETED, Verdict.ALREADY_RESOLVED)
