"""README's examples, done as they stand there."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from tests.readme import block
from tests.unit.workspace.repositories import git, new_repository
from tests.whole.kit import LONG, MASON
from tests.whole.served import Process, free_port, wait_for

SHOP = {
    "shop/pricing.py": "def price() -> float:\n    return 50.0\n",
    ".github/mason.yml": '{"checks": {"build": "python3 -m compileall -q shop", "test": "test -e shop/pricing.py"}}',
}


@pytest.fixture
def place(tmp_path: Path, data_root: Path) -> Path:
    """A directory with ``your-repository`` in it, and in that README's PRD."""
    new_repository(tmp_path / "your-repository", SHOP)
    (tmp_path / "your-repository" / "prd.md").write_text(block("prd"))
    return tmp_path


def environment(data_root: Path, **more: str) -> dict[str, str]:
    return {
        "PATH": f"{Path(MASON).parent}:{os.environ['PATH']}",
        "HOME": str(data_root),
        "MASON_STATE_DIR": str(data_root / "state"),
        "MASON_RUNS_DIR": str(data_root / "runs"),
        **more,
    }


def bash(text: str, place: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=place,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=3 * LONG,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_readme__local(place: Path, data_root: Path) -> None:
    said = bash(block("local"), place, environment(data_root))
    branches = git(place / "your-repository", "branch", "--list", "mason/*").split()
    assert branches == ["mason/add-a-percentage-discount"], said
    assert "discounted" in git(place / "your-repository", "show", f"{branches[0]}:shop/discount.py")


def test_readme__rest(place: Path, data_root: Path) -> None:
    repository, port = place / "your-repository", free_port()
    settings = environment(data_root, MASON_DEBOUNCE="600", MASON_WORKERS="1", MASON_PORT=str(port))
    serving = Process(command=[MASON, "serve"], environment=settings, log=place / "serve.log", cwd=repository)
    serving.start()
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: answers(url), "the web app answers", serving.log.read_text)
        added = bash("mason add prd.md", repository, settings)
        item = next(word for word in added.split() if is_id(word.strip("().,")))
        example = block("rest").replace("http://127.0.0.1:8000", url).replace("curl -sS", "curl -sS -f")
        said = bash(example, repository, settings | {"ITEM": item.strip("().,")})
        started, runs = (json.loads(line) for line in said.splitlines())
        assert started == {"success": True, "executionRunId": runs["runs"][0]["id"]}
    finally:
        serving.stop()


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def is_id(word: str) -> bool:
    try:
        return bool(UUID(word))
    except ValueError:
        return False
