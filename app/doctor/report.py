"""All probes in one list, and the findings as a table or as JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app import versions
from app.config_file import read_config_file
from app.doctor import machine
from app.doctor.agent import probe_agent
from app.doctor.forge import probe_github
from app.doctor.store import probe_binaries, probe_store, skipped
from app.domain.supabase_keys import read_key
from app.errors import DatabaseUnreachable, UsageError
from app.flows.doctor import Finding, Probe, Status, examine, judge_key
from app.log import Redactor
from app.settings import Settings, environment, read_settings, state_dir, supabase_origins

SECONDS = 20.0
"""For all probes together: they run side by side."""

_STORED = "Supabase: URL and key were stored by the setup"

_MARKS = {Status.OK: "✓", Status.WARN: "!", Status.FAIL: "✗", Status.SKIPPED: "–"}
_COLOURS = {Status.OK: "green", Status.WARN: "yellow", Status.FAIL: "red", Status.SKIPPED: "dim"}


def check_up(
    repository: Path,
    *,
    dsn: str | None,
    production: bool,
    complete: Callable[[Settings], Settings] = lambda settings: settings,
    runs: bool = True,
) -> list[Finding]:
    """Everything that is checked, in the table's order; no secret is in it.

    ``complete`` puts in what a setup has stored. ``runs``: whether runs are carried out here, in this checkout.
    """
    environ = environment()
    try:
        given = read_settings(dsn=dsn, repository=repository)
        settings = complete(given)
        stored = settings.supabase_url != given.supabase_url
        configuration = Finding(
            check="configuration",
            status=Status.OK,
            detail=_STORED if stored else _source(settings, repository, environ, option=bool(dsn)),
        )
    except (UsageError, DatabaseUnreachable) as problem:
        settings = (
            Settings.model_construct()
        )  # the defaults: what does not depend on the configuration is still checked
        configuration = Finding(check="configuration", status=Status.FAIL, detail=str(problem))
    state = state_dir(settings, repository)
    probes: dict[str, Probe] = {
        "version": lambda: _version(settings),
        "key": lambda: _key(settings),
        "git": lambda: machine.probe_git(environ),
    }
    if runs:
        probes |= {
            "repository": lambda: machine.probe_repository(repository, environ),
            "toolchain": lambda: machine.probe_toolchain(repository, environ),
            "agent": lambda: probe_agent(repository, settings, environ),
        }
    probes["disk space"] = lambda: machine.probe_disk(settings, state)
    if runs:
        probes |= {
            "GitHub": lambda: probe_github(settings, repository, environ),
            "keys in git": lambda: machine.probe_ignored(repository, environ),
        }
    if configuration.status is Status.OK:
        probes["embedded Postgres"] = lambda: probe_binaries(settings)
        probes["database"] = lambda: probe_store(settings, state, production=production)
    else:
        probes["database"] = lambda: skipped("the configuration cannot be used")
    return Redactor(settings.secrets).value([configuration, *examine(probes, SECONDS)])


def as_json(findings: Sequence[Finding], *, healthy: bool) -> str:
    """``{"ok": …, "checks": [{"check", "status", "detail", "fix"}]}``; statuses are ok, warn, fail, skipped."""
    checks = [
        {"check": each.check, "status": each.status.value, "detail": each.detail, "fix": each.fix} for each in findings
    ]
    return json.dumps({"ok": healthy, "checks": checks}, indent=2, ensure_ascii=False)


def print_table(findings: Sequence[Finding], stream: TextIO) -> None:
    """One row a check; how to mend it stands below what is wrong."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for finding in findings:
        said = Text(finding.detail)
        if finding.fix:
            said.append(f"\n→ {finding.fix}")
        mark = Text(_MARKS[finding.status], style=_COLOURS[finding.status])
        table.add_row(mark, Text(finding.check, no_wrap=True), said)
    Console(file=stream).print(table)


def _source(settings: Settings, repository: Path, environ: Mapping[str, str], *, option: bool) -> str:
    """Where the database's address is from, and what is configured beside it without being used."""
    if settings.dsn:
        named = "--dsn" if option else "MASON_DSN"
        beside = "; the Supabase project that is configured too is not used" if settings.supabase_url else ""
        return f"the database is named by {named}{beside}"
    url, key = supabase_origins(environ, read_config_file(repository))
    if url and key:
        return f"Supabase: URL from {url.name}, key from {key.name}"
    return "no database is named: an embedded Postgres is used"


def _key(settings: Settings) -> list[Finding]:
    if settings.dsn or not (settings.supabase_url and settings.supabase_key):
        return [Finding(check="key", status=Status.SKIPPED, detail="no Supabase project is used")]
    return [judge_key(read_key(settings.supabase_key.get_secret_value()), settings.supabase_url, time.time())]


def _version(settings: Settings) -> list[Finding]:
    ours = versions.current()
    manifest = versions.published(settings.version_url)
    if manifest and versions.older(ours, manifest.required_minimum):
        detail = f"{ours} is older than {manifest.required_minimum}, the oldest that may still run"
        return [Finding(check="version", status=Status.FAIL, detail=detail, fix="run `mason update`")]
    if manifest and versions.older(ours, manifest.version):
        detail = f"{ours}; {manifest.version} is out"
        return [Finding(check="version", status=Status.WARN, detail=detail, fix="run `mason update`")]
    return [Finding(check="version", status=Status.OK, detail=ours)]
