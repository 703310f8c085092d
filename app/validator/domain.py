"""Tier 4, domain rules: what an item of its type must not add (seed, step 7.5 and Domain-Specific Fix Guidance)."""

from __future__ import annotations

from collections.abc import Iterator

from app.domain.results import Finding, Severity, Tier, TierResult
from app.validator.added import New, Pair, added, pairs
from app.validator.findings import tier_result
from app.validator.rules.source import LANGUAGES
from app.validator.rules.table import RULES
from app.validator.subject import Subject

_NAMED_LINES = 5


def check_domain(subject: Subject) -> TierResult:
    """Judge what the change adds by the rules for the item's domain; one finding a rule and file, at most 50."""
    rules = [rule for rule in RULES if rule.severity(subject.domain)]
    unread: list[Finding] = []
    found = added(_read(pairs(subject), unread), rules)
    return tier_result(Tier.DOMAIN, [*unread, *(finding(new, subject.domain) for new in found)])


def _read(changed: Iterator[Pair], unread: list[Finding]) -> Iterator[Pair]:
    """The pairs that can be judged; the others are told."""
    for pair in changed:
        yield pair
        if problem := _unread(pair):
            unread.append(problem)


def _unread(pair: Pair) -> Finding | None:
    """A file that nobody can look into is an error where rules would have to."""
    code = any(pair.path.lower().endswith(suffix) for suffix in LANGUAGES)
    if pair.after and pair.after.language and not pair.after.is_text:
        message = f"{pair.path} is source code with NUL characters, which nothing can judge"
    elif pair.after and pair.after.is_text and pair.after.syntax and not pair.after.syntax.whole:
        message = f"{pair.path} is longer than anything that can be judged"
    elif pair.unread:
        message = f"{pair.path} was not looked into: it, or the whole change, is too large"
    else:
        return None
    return Finding(
        path=pair.path,
        message=message,
        severity=Severity.ERROR if code else Severity.WARNING,
        recommendation=f"keep {pair.path} below a million bytes, or leave it out",
    )


def finding(new: New, domain: str) -> Finding:
    """What is new, with the lines where it stands; never with what stands there."""
    return Finding(
        path=new.path,
        message=f"{new.path}{where(new.lines)}: {new.rule.message}",
        severity=new.rule.severity(domain) or Severity.WARNING,
        recommendation=new.rule.recommendation,
    )


def where(lines: tuple[int, ...]) -> str:
    """`` line 3``, `` lines 3, 7``, `` lines 1, 2, 3, 4, 5 and 12 more``, with a colon in front."""
    shown = ", ".join(map(str, lines[:_NAMED_LINES]))
    more = f" and {len(lines) - _NAMED_LINES} more" if len(lines) > _NAMED_LINES else ""
    return f": line{'s' if len(lines) > 1 else ''} {shown}{more}"
