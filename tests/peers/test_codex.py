"""The command agent's preset for Codex, with the real program, whose model is scripted."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.agents.command import CommandAgent
from app.errors import UsageError
from app.ports.agent import AgentResult, Failure, Role
from tests.conftest import open_directory
from tests.fakes.model_api import ModelApi, Reason, Refusal, ToolUse, Turn, script
from tests.peers.agent_kit import KEY, MODEL, SCHEMA, Workplace, priced, proxy_to, workplace

pytestmark = pytest.mark.peer

WRITE = ToolUse("exec_command", {"cmd": "cat f.txt; echo new > f.txt; id -u > who; env > seen"})


@pytest.fixture
def place(data_root: Path) -> Iterator[Workplace]:
    with workplace(data_root) as made:
        yield made


@pytest.fixture(scope="session")
def codex(packages: Path) -> Iterator[Path]:
    """The program itself, without its wrapper in JavaScript, where every user can run it."""
    (found,) = packages.glob("@openai/codex-linux-*/vendor/*")
    with open_directory() as root:
        shutil.copytree(found, root / "codex", copy_function=os.link)
        yield root / "codex" / "bin" / "codex"


@contextmanager
def agent(program: Path, api: ModelApi, scratch: Path) -> Iterator[CommandAgent]:
    with api, proxy_to(api) as proxy:
        yield CommandAgent((str(program),), os.environ, scratch=scratch, preset="codex", policy=priced(), proxy=proxy)


def ask(codex: Path, place: Workplace, api: ModelApi, role: Role = Role.IMPLEMENT, **fields: Any) -> AgentResult:
    with agent(codex, api, place.scratch) as made:
        return place.call(made, role, **fields)


def test_codex__edits_as_the_trees_user_and_without_the_key(codex: Path, place: Workplace) -> None:
    (place.tree / "AGENTS.md").write_text("HOSTILE")
    api = ModelApi(script(Turn(WRITE), Turn("All done.")))
    done = ask(codex, place, api)
    assert done.error == ""
    assert "All done." in done.text
    assert (place.tree / "f.txt").read_text() == "new\n"
    assert int((place.tree / "who").read_text()) == place.tree.stat().st_uid
    assert KEY not in (place.tree / "seen").read_text()
    assert {(served.key, served.model) for served in api.served} == {(KEY, MODEL)}
    assert "HOSTILE" not in str([served.conversation.body for served in api.served])
    totals = api.totals()
    assert (done.usage.turns, done.usage.tool_calls) == (totals.turns, totals.tool_calls) == (2, 1)
    assert done.usage.cost_usd == pytest.approx((totals.input_tokens + totals.output_tokens) / 1000)
    assert list(place.scratch.iterdir()) == []


def test_codex__structured_answer(codex: Path, place: Workplace) -> None:
    api = ModelApi(script(Turn('{"decision": "SKIP", "reason": "It is done."}')))
    done = ask(codex, place, api, Role.VERIFY, schema=SCHEMA)
    assert (done.error, done.answer) == ("", {"decision": "SKIP", "reason": "It is done."})
    wanted = api.served[0].conversation.body["text"]["format"]
    assert wanted["strict"] is True
    assert wanted["schema"]["required"] == ["decision", "reason"]


def test_codex__a_reading_role_cannot_write(codex: Path, place: Workplace) -> None:
    api = ModelApi(script(Turn(WRITE), Turn("Looked.")))
    assert ask(codex, place, api, Role.EXPLORE).error == ""
    assert {path.name: path.read_text() for path in place.tree.iterdir()} == {"f.txt": "old\n"}


def test_codex__refused_key(codex: Path, place: Workplace) -> None:
    with pytest.raises(UsageError, match=r"(?i)key"):
        ask(codex, place, ModelApi(script(Refusal(Reason.BAD_KEY))))


def test_codex__budget(codex: Path, place: Workplace) -> None:
    done = ask(codex, place, ModelApi(script(Turn(WRITE))), budget_usd=0.3)
    assert (bool(done.error), done.failure) == (True, Failure.BUDGET)
    assert 0.3 <= done.usage.cost_usd < 1


def test_codex__leaves_nothing_running(codex: Path, place: Workplace) -> None:
    command = "(setsid -f sh -c 'echo $$ > away; exec env -i sleep 600') </dev/null >/dev/null 2>&1"
    wait = "until [ -s away ]; do sleep 0.05; done"
    api = ModelApi(script(Turn(ToolUse("exec_command", {"cmd": f"{command}; {wait}"})), Turn("Done.")))
    assert ask(codex, place, api).error == ""
    stat = Path(f"/proc/{int((place.tree / 'away').read_text())}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"
