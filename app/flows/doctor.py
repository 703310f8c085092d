"""The check-up: probes that look, side by side and each within its time, and the judgement of what they found.

A probe returns findings or raises; whatever one does, the others are heard. The judgements are pure.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.bounded import start
from app.domain.supabase_keys import ProjectKey, project_ref
from app.errors import MasonError

log = logging.getLogger("mason")

LIVE_TABLES = ("mason_execution_progress", "mason_pm_backlog_items")
OLDEST_GIT = (2, 38)
"""`git merge-tree --write-tree` came with it."""

SKEW_WARN, SKEW_FAIL = 30.0, 120.0
_MIGRATE = "run `mason migrate`"
_STRICT = "run `mason migrate --rls strict` and give Mason a service_role or sb_secret key"


class Status(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One line of the table: what was checked, how it is, and how to mend it (empty when nothing is wrong)."""

    check: str
    status: Status
    detail: str
    fix: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreFacts:
    """What a database says about itself (`mason_doctor`). ``asked`` and ``answered`` are this machine's clock.

    ``migrations`` maps the applied ones to their checksums. ``live`` are the tables in the realtime publication,
    ``replica_full`` those with full replica identity, ``open_to_anon`` those that the anon key may use freely.
    """

    asked: datetime
    answered: datetime
    server_time: datetime
    migrations: Mapping[str, str]
    publication: bool
    live: frozenset[str]
    replica_full: frozenset[str]
    has_anon: bool
    open_to_anon: tuple[str, ...]


Probe = Callable[[], Sequence[Finding]]


def examine(probes: Mapping[str, Probe], seconds: float) -> list[Finding]:
    """Run all probes side by side, ``seconds`` at most together; findings in the probes' order."""
    deadline = time.monotonic() + seconds
    started = {name: start(probe) for name, probe in probes.items()}
    found: list[Finding] = []
    for name, future in started.items():
        try:
            found += future.result(max(deadline - time.monotonic(), 0))
        except MasonError as problem:
            found.append(fail(name, str(problem)))
        except TimeoutError:
            found.append(fail(name, f"no answer within {seconds:.0f} seconds"))
        except Exception as problem:  # the named border of one probe: the others go on
            log.debug("Internal error", exc_info=True)
            found.append(fail(name, f"a bug: {type(problem).__name__}: {problem}"))
    return found


def healthy(findings: Sequence[Finding]) -> bool:
    """Whether nothing failed; warnings and what was skipped do not count."""
    return all(finding.status is not Status.FAIL for finding in findings)


def judge_key(key: ProjectKey, url: str, now: float) -> Finding:
    """A Supabase key beside the project's URL. ``now`` in seconds since 1970."""
    ref = project_ref(url)
    if key.kind == "unknown":
        return fail("key", "this is no Supabase key", "copy the key from the project's API settings")
    if key.ref and ref and key.ref != ref:
        return fail(
            "key", f"a {key.kind} key of the project {key.ref}, but the URL is that of {ref}", "use one project"
        )
    if key.expires is not None and key.expires <= now:
        return fail("key", f"the {key.kind} key has expired", "copy a new one from the project's API settings")
    if not key.bypasses_policies:
        return ok("key", f"{key.kind}: it may do what row level security lets it")
    return ok("key", f"{key.kind}: row level security does not hold it back")


def judge_schema(facts: StoreFacts, packaged: Mapping[str, str]) -> Finding:
    """The database's migrations beside the ones that this Mason carries (name → checksum)."""
    missing = [name for name in packaged if name not in facts.migrations]
    changed = [name for name in packaged if facts.migrations.get(name, packaged[name]) != packaged[name]]
    if changed:
        fix = "use the Mason that migrated this database, or a newer one"
        return fail("schema", f"applied with another text: {', '.join(changed)}", fix)
    if missing:
        return fail("schema", f"not applied yet: {', '.join(missing)}", _MIGRATE)
    newer = len(facts.migrations.keys() - packaged.keys())
    return ok("schema", f"{len(packaged)} migrations applied" + (f", {newer} of a newer Mason" if newer else ""))


def judge_realtime(facts: StoreFacts) -> Finding:
    """Whether the dashboard hears of every change."""
    if not facts.publication:
        return skipped("realtime", "no publication supabase_realtime: this is no Supabase database")
    silent = [name for name in LIVE_TABLES if name not in facts.live]
    partial = [name for name in LIVE_TABLES if name not in facts.replica_full]
    if silent:
        return fail(
            "realtime",
            f"not in the publication supabase_realtime: {', '.join(silent)}",
            "; ".join(f"alter publication supabase_realtime add table {name}" for name in silent),
        )
    if partial:
        return fail(
            "realtime",
            f"replica identity is not full: {', '.join(partial)}",
            "; ".join(f"alter table {name} replica identity full" for name in partial),
        )
    return ok("realtime", "both tables are published with full replica identity")


def judge_access(facts: StoreFacts, *, production: bool) -> Finding:
    """The row level security profile: what everyone can do who has the anon key, which browsers are given."""
    if not facts.has_anon:
        return ok("row level security", "no role anon: nobody gets in without a login of the database")
    if not facts.open_to_anon:
        return ok("row level security", "strict: the anon key sees and changes nothing")
    detail = (
        f"default: everyone with the anon key can read and change {len(facts.open_to_anon)} tables, "
        "so approve items and forge claims"
    )
    status = Status.FAIL if production else Status.WARN
    return Finding(check="row level security", status=status, detail=detail, fix=_STRICT)


def judge_clock(facts: StoreFacts) -> Finding:
    """This machine's clock beside the database's; the answer's way back and forth is not counted against it."""
    if facts.server_time < facts.asked:
        skew = (facts.asked - facts.server_time).total_seconds()
    else:
        skew = max((facts.server_time - facts.answered).total_seconds(), 0.0)
    if skew <= SKEW_WARN:
        return ok("clock", f"{skew:.0f} s apart from the database's")
    status = Status.FAIL if skew > SKEW_FAIL else Status.WARN
    detail = f"{skew:.0f} s apart from the database's: leases and key expiry are judged wrongly"
    return Finding(check="clock", status=status, detail=detail, fix="synchronise this machine's clock (NTP)")


def judge_git(version: tuple[int, ...] | None) -> Finding:
    """The version of git; None when it cannot be run."""
    if version is None:
        return fail("git", "not installed, or not on the PATH", "install git 2.38 or newer")
    said = ".".join(map(str, version))
    if version < OLDEST_GIT:
        return fail("git", f"{said} is too old: it cannot merge without a checkout", "install git 2.38 or newer")
    return ok("git", said)


def ok(check: str, detail: str) -> Finding:
    """Nothing is wrong."""
    return Finding(check=check, status=Status.OK, detail=detail)


def skipped(check: str, detail: str) -> Finding:
    """It was not checked, for a good reason."""
    return Finding(check=check, status=Status.SKIPPED, detail=detail)


def fail(check: str, detail: str, fix: str = "") -> Finding:
    """A run would fail, or do harm."""
    return Finding(check=check, status=Status.FAIL, detail=detail, fix=fix)
