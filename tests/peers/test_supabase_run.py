"""`mason run` on a Supabase project: an approved item becomes a branch, and the dashboard's tables tell it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row

from app.backlog.postgrest import supabase_backlog
from app.demo.show import HERE, make_repository
from app.planning.item_file import read_item_file
from tests.peers.gateway import PREFIX, Gateway
from tests.peers.supabase import ANON, SERVICE_ROLE, database, gateway, project

__all__ = ["database", "gateway", "project"]

pytestmark = pytest.mark.peer

MASON = [sys.executable, "-c", "from app.cli import main; main()"]


def mason(*words: str, environ: dict[str, str], place: Path) -> subprocess.CompletedProcess[str]:
    settings = {
        "PATH": os.environ["PATH"],
        "HOME": str(place),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "MASON_STATE_DIR": str(place / "state"),
        "MASON_RUNS_DIR": str(place / "runs"),
        "MASON_DATABASE_PATIENCE": "30",
    }
    return subprocess.run(
        [*MASON, *words], env=settings | environ, capture_output=True, text=True, timeout=240, check=False
    )


@pytest.mark.parametrize("key", [SERVICE_ROLE, ANON], ids=["service_role", "anon"])
def test_run__an_approved_item_is_completed_over_postgrest(
    gateway: Gateway, database: str, tmp_path: Path, key: str
) -> None:
    repository = make_repository(tmp_path / "shop")
    store = supabase_backlog(gateway.url, key, patience=30)
    prd = (HERE / "items" / "1-discount.md").read_text(encoding="utf-8")
    item = store.add_item(read_item_file(prd), repository=None)
    store.close()
    gateway.seen.clear()
    environ = {"MASON_SUPABASE_URL": gateway.url, "MASON_SUPABASE_KEY": key}
    done = mason("run", "--auto", "--json", "--repository", str(repository), environ=environ, place=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert key not in done.stdout + done.stderr
    assert all(path.startswith(f"{PREFIX}/rpc/mason_") for path in gateway.seen)
    with psycopg.connect(database, row_factory=dict_row) as connection:
        row = connection.execute("select * from mason_pm_backlog_items where id = %s", (item,)).fetchone()
        progress = connection.execute("select * from mason_execution_progress").fetchone()
        run = connection.execute("select * from mason_remote_execution_runs").fetchone()
    assert row and progress and run
    assert (row["status"], row["validation_passed"], row["claimed_by"]) == ("completed", True, None)
    assert (progress["current_phase"], progress["checkpoint_index"]) == ("complete", 13)
    assert (run["status"], run["success_count"]) == ("success", 1)
    branches = subprocess.run(
        ["git", "branch", "--list", "mason/*"], cwd=repository, capture_output=True, text=True, check=True
    )
    assert row["branch_name"] in branches.stdout


def test_run__a_key_that_is_not_taken_ends_with_one_sentence(gateway: Gateway, database: str, tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "shop")
    (repository / "mason.config.json").write_text(
        json.dumps({"supabaseUrl": gateway.url, "supabaseAnonKey": "sb_secret_wrong"})
    )
    done = mason("run", "--repository", str(repository), environ={}, place=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("mason: ") and "does not accept the Supabase key" in line
    assert "sb_secret_wrong" not in line
