"""The files of an Actions job: its step's outputs, and the job summary."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from app.domain.runs import RunResult
from app.reporting.check_texts import fenced_tail, render, within_limit
from app.reporting.summary import executed

log = logging.getLogger("mason")

SUMMARY_LIMIT = 1024 * 1024
"""Octets of one step's summary: GitHub shows nothing of a longer one."""

_KEPT_LIMIT = 60_000


def outputs(result: RunResult) -> dict[str, str]:
    """The Action's outputs (contracts §3), as far as they follow from how the run ended."""
    pulls = [r.outcome.pull_request for r in result.results if r.outcome.pull_request]
    return {
        "run-id": str(result.run_id) if result.run_id else "",
        "items-executed": str(len(executed(result))),
        "items-failed": str(len(result.failed)),
        "prs-created": str(len(pulls)),
        "pr-urls": json.dumps(pulls),
        "cost-usd": f"{result.usage.cost_usd:.4f}",
        "status": result.status.value,
    }


def write_outputs(path: Path | None, values: Mapping[str, str]) -> None:
    """Append to the step's outputs. Without a file (locally) nothing; one that cannot be written is a warning."""
    _append(path, "".join(output(name, value) for name, value in values.items()))


def output(name: str, value: str) -> str:
    """One output. Its delimiter is drawn by lot, so that no value can end early and name another output."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", name):
        raise ValueError(f"{name!r} is no name of an output")
    delimiter = f"end_{uuid4().hex}"
    while delimiter in value:
        delimiter = f"end_{uuid4().hex}"
    return f"{name}<<{delimiter}\n{value}\n{delimiter}\n"


def write_summary(path: Path | None, markdown: str, *, kept: str = "") -> None:
    """Append to the job summary, cut where the step's limit is. ``kept`` are rows that the database did not take."""
    rows = render("kept_rows.md", rows=fenced_tail(kept, _KEPT_LIMIT)) if kept.strip() else ""
    written = path.stat().st_size if path and path.is_file() else 0
    room = SUMMARY_LIMIT - written - len(rows.encode()) - len("\n\n\n")
    if room < len(markdown.encode()) and room < 1000:
        log.warning("The job summary is full; what follows is left out")
        return
    _append(path, within_limit(_storable(markdown).rstrip("\n"), room) + "\n\n" + (rows + "\n" if rows else ""))


def _append(path: Path | None, text: str) -> None:
    if path is None or not path.exists():
        return
    try:
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(_storable(text))
    except OSError as problem:
        log.warning("%s could not be written: %s", path.name, problem.strerror or problem)


def _storable(text: str) -> str:
    """Without lone surrogates, which no file takes."""
    return text.encode("utf-8", "replace").decode()
