"""Schemathesis against the whole REST API as its description says it is: a web server, two databases, no worker."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.backlog.postgres import postgres_backlog
from app.domain.events import Level
from app.domain.runs import Run
from app.planning.item_file import read_item_file
from app.ports.backlog import LogRow
from tests.contracts.test_backlog import BASE
from tests.contracts.test_run_views import failed_outcome
from tests.whole import served_api
from tests.whole.served_api import Served

pytestmark = pytest.mark.peer

served = served_api.served

LIMIT = 900.0
"""Seconds that everything may take."""

CASES = 100
"""Cases that are made up for an operation, besides those on the edges of what it allows."""

CONFIG = """
# What is required of these bodies is more than a schema says: which fields belong to one another, that a connection
# string is one, and leads to a host that is allowed.
[[operations]]
include-name = ["POST /api/setup/migrations", "POST /api/execution/start"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "409", "503"]

# A cursor is what an earlier answer held, and nothing else is good.
[[operations]]
include-name = ["GET /api/execution/runs", "GET /api/execution/runs/{id}/logs"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "404"]
"""


def test_schemathesis__finds_nothing(tmp_path: Path, served: Served) -> None:
    document = with_examples(served.get("/api/openapi.json"), seeded(served))
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    program = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
    assert program is not None
    command = [
        *(program, "--config-file", "schemathesis.toml", "run", "openapi.json", "--url", served.url, "--no-color"),
        *("--header", f"Authorization: {served.bearer['Authorization']}", "--request-timeout", "30", "--workers", "1"),
        *("--continue-on-failure", "--generation-deterministic", "--max-examples", str(CASES)),
    ]
    done = subprocess.run(
        command, cwd=tmp_path, env=served.environment, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert f"Tested: {sum(len(item) for item in document['paths'].values())}\n" in done.stdout


def seeded(served: Served) -> dict[str, UUID | str]:
    """What requests can be about: an item that may run, one that has run, its run, one that waits, an execution."""
    prd = "# A title\n\n## Problem\n\nA problem.\n\n## Wave 1\n\n- A task\n"
    with_dsn = postgres_backlog(served.environment["MASON_DSN"], patience=5.0)
    items = [with_dsn.add_item(read_item_file(prd, approved=True), repository=None) for _ in range(3)]
    run = Run(id=uuid4(), base=BASE, item_ids=(items[0],))
    with_dsn.open_run(run, repository=None)
    taken = with_dsn.claim(with_dsn.items([items[0]])[0], run_id=run.id, claimed_by="tester", branch="mason/x")
    assert taken is not None
    assert with_dsn.settle(taken.claim, failed_outcome())
    lines = [
        LogRow(
            id=uuid4(), run_id=run.id, level=Level.INFO, message=f"<b>{n}", metadata={}, created_at=datetime.now(UTC)
        )
        for n in range(300)
    ]
    with_dsn.append_logs(lines)
    with_dsn.close()
    started = served.post("/api/execution/start", {"itemIds": [str(items[1])]})
    body = {"workerId": "patch", "workItemId": str(items[2]), "prompt": "Do it."}
    execution = served.post("/api/agent-runtime/execute", body)
    return {
        "item": items[2],
        "ran": items[0],
        "run": run.id,
        "waiting": started["executionRunId"],
        "execution": execution["executionId"],
    }


def with_examples(document: dict[str, Any], known: dict[str, UUID | str]) -> dict[str, Any]:
    """The description with examples that are about something that is there."""
    paths = document["paths"]
    said: dict[str, object] = {name: str(one) for name, one in known.items()}

    def exemplify(path: str, method: str, place: str, *names: str) -> None:
        (found,) = [one for one in paths[path][method]["parameters"] if one["name"] == place]
        found["examples"] = {name: {"value": said[name]} for name in names}

    def body(path: str, value: object) -> None:
        content = paths[path]["post"]["requestBody"]["content"]["application/json"]
        content["examples"] = {"known": {"value": value}}

    exemplify("/api/execution/runs/{id}", "get", "id", "run", "waiting")
    exemplify("/api/execution/runs/{id}/logs", "get", "id", "run", "waiting")
    exemplify("/api/execution/runs/{id}/cancel", "post", "id", "waiting")
    exemplify("/api/agent-runtime/executions/{id}", "get", "id", "execution")
    exemplify("/api/agent-runtime/executions/{id}/cancel", "post", "id", "execution")
    paths["/api/setup/migrations"]["post"]["requestBody"]["content"]["application/json"].pop("examples")
    body("/api/execution/start", {"itemIds": [said["item"]]})
    body("/api/agent-runtime/execute", {"workerId": "patch", "workItemId": said["item"], "prompt": "Do it."})
    return document
