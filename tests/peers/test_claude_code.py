"""The claude agent with the real Claude Code program, whose model is scripted."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.agents.claude import CONTINUE, ClaudeAgent
from app.errors import UsageError
from app.ports.agent import AgentResult, Failure, Role
from tests.fakes.model_api import (
    Cut,
    ErrorInStream,
    Flood,
    Hang,
    ModelApi,
    Reason,
    Refusal,
    Reply,
    Text,
    ToolUse,
    Turn,
    in_order,
    script,
)
from tests.peers.agent_kit import KEY, MODEL, SCHEMA, Workplace, priced, proxy_to, workplace

pytestmark = pytest.mark.peer


@pytest.fixture
def place(data_root: Path) -> Iterator[Workplace]:
    with workplace(data_root) as made:
        yield made


@contextmanager
def claude(api: ModelApi, scratch: Path, **policy: Any) -> Iterator[ClaudeAgent]:
    """The agent, with pauses of milliseconds between its tries."""
    with api, proxy_to(api) as proxy:
        yield ClaudeAgent(os.environ, proxy=proxy, policy=priced(**policy), scratch=scratch, pause=0.001)


def ask(place: Workplace, api: ModelApi, role: Role = Role.IMPLEMENT, **fields: Any) -> AgentResult:
    policy = {name: fields.pop(name) for name in ("max_turns", "idle_timeout") if name in fields}
    with claude(api, place.scratch, **policy) as made:
        return place.call(made, role, **fields)


def test_claude__reads_edits_and_runs_commands(place: Workplace) -> None:
    file = str(place.tree / "f.txt")
    api = ModelApi(
        script(
            Turn("Looking.", ToolUse("Read", {"file_path": file})),
            Turn(ToolUse("Edit", {"file_path": file, "old_string": "old", "new_string": "new"})),
            Turn(ToolUse("Write", {"file_path": str(place.tree / "src/n.txt"), "content": "n\n"})),
            Turn(ToolUse("Bash", {"command": "id -u > who; env > seen; cat f.txt", "description": "Look"})),
            Turn("All done."),
        )
    )
    done = ask(place, api)
    assert (done.error, done.text) == ("", "All done.")
    assert (place.tree / "f.txt").read_text() == "new\n"
    assert int((place.tree / "who").read_text()) == place.tree.stat().st_uid
    assert KEY not in (place.tree / "seen").read_text()
    assert place.told == [
        ("Reading f.txt", "f.txt"),
        ("Editing f.txt", "f.txt"),
        ("Writing src/n.txt", "src/n.txt"),
        ("Running id -u > who; env > seen; cat f.txt", ""),
    ]
    totals = api.totals()
    assert (done.usage.turns, done.usage.tool_calls) == (totals.turns, totals.tool_calls) == (5, 4)
    assert (done.usage.input_tokens, done.usage.output_tokens) == (totals.input_tokens, totals.output_tokens)
    assert done.usage.cost_usd == pytest.approx((totals.input_tokens + totals.output_tokens) / 1000)
    assert {served.key for served in api.served} == {KEY}
    assert list(place.scratch.iterdir()) == []
    assert api.others == []


def test_claude__nothing_of_the_repository_is_loaded(place: Workplace) -> None:
    marks = {
        "CLAUDE.md": "HOSTILE-A",
        "AGENTS.md": "HOSTILE-B",
        ".claude/CLAUDE.md": "HOSTILE-C",
        ".claude/skills/x/SKILL.md": "---\nname: x\ndescription: HOSTILE-D\n---\nx",
        ".claude/agents/x.md": "---\nname: x\ndescription: HOSTILE-E\n---\nx",
        ".claude/commands/x.md": "HOSTILE-F",
        ".claude/settings.json": '{"env": {"HOSTILE": "1"}, "hooks": {"PreToolUse": [{"matcher": "*", "hooks": '
        f'[{{"type": "command", "command": "touch {place.tree}/hooked"}}]}}]}}}}',
        ".mcp.json": f'{{"mcpServers": {{"x": {{"command": "touch", "args": ["{place.tree}/served"]}}}}}}',
        "n/secret.txt": "HOSTILE-G",
    }
    for name, content in marks.items():
        (place.tree / name).parent.mkdir(parents=True, exist_ok=True)
        (place.tree / name).write_text(content)
    bash = ToolUse("Bash", {"command": "echo [$HOSTILE]"})
    api = ModelApi(script(Turn(bash, ToolUse("Read", {"file_path": str(place.tree / "f.txt")})), Turn("Done.")))
    assert ask(place, api, prompt="/x about @n/secret.txt please").error == ""
    said = "".join(str(served.conversation.body) for served in api.served)
    assert re.findall(r"HOSTILE-\w", said) == []
    assert api.served[-1].conversation.results[0].text == "[]"
    assert not {"hooked", "served"} & {path.name for path in place.tree.iterdir()}


def test_claude__a_reading_role_has_no_way_to_write(place: Workplace) -> None:
    tries = [
        ToolUse("Edit", {"file_path": str(place.tree / "f.txt"), "old_string": "old", "new_string": "new"}),
        ToolUse("Write", {"file_path": str(place.tree / "f.txt"), "content": "new"}),
        ToolUse("Bash", {"command": "echo new > f.txt"}),
        ToolUse("WebFetch", {"url": "http://127.0.0.1:9/", "prompt": "x"}),
        ToolUse("Grep", {"pattern": "old"}),
        ToolUse("Glob", {"pattern": "*.txt"}),
    ]
    api = ModelApi(script(Turn(*tries), Turn("Done.")))
    assert ask(place, api, Role.EXPLORE).error == ""
    results = api.served[-1].conversation.results
    assert sorted(result.name for result in results if result.is_error) == ["Bash", "Edit", "WebFetch", "Write"]
    assert all("f.txt" in result.text for result in results if not result.is_error)
    assert {path.name: path.read_text() for path in place.tree.iterdir()} == {"f.txt": "old\n"}


def test_claude__structured_answer(place: Workplace) -> None:
    wrong, right = {"decision": "PERHAPS"}, {"decision": "SKIP", "reason": "It is done."}
    api = ModelApi(in_order(Turn(ToolUse("StructuredOutput", wrong)), Turn(ToolUse("StructuredOutput", right))))
    done = ask(place, api, Role.VERIFY, schema=SCHEMA)
    assert (done.error, done.answer) == ("", right)


def test_claude__an_answer_in_words_counts_too(place: Workplace) -> None:
    api = ModelApi(script(Turn('Well:\n{"decision": "SKIP"}')))
    assert ask(place, api, Role.VERIFY, schema=SCHEMA).answer == {"decision": "SKIP"}


def test_claude__max_turns(place: Workplace) -> None:
    api = ModelApi(script(Turn(ToolUse("Bash", {"command": "true"}))))
    done = ask(place, api, max_turns=3)
    assert (done.error, done.failure) == ("Claude Code was not done after 3 turns.", Failure.AGENT)
    assert done.usage.turns == 3


def test_claude__a_session_goes_on_from_one_fix_to_the_next(place: Workplace) -> None:
    api = ModelApi(script(Turn("First."), Turn("Second.")))
    with claude(api, place.scratch) as made:
        first = place.call(made, Role.FIX, iteration=1, prompt="It fails.")
        second = place.call(made, Role.FIX, iteration=2, prompt="It still fails.", session=first.session)
        gone = place.call(made, Role.FIX, iteration=3, prompt="Again.", session=f"0{first.session}"[:-1])
    assert (second.error, second.text, second.session) == ("", "Second.", first.session)
    assert api.served[1].conversation.prompts == ("It fails.", "It still fails.")
    assert (gone.error, gone.text) == ("", "First.")


@pytest.mark.parametrize(
    "trouble",
    [
        Refusal(Reason.RATE_LIMIT, retry_after=0),
        Refusal(Reason.OVERLOADED),
        Refusal(Reason.SERVER_ERROR),
        Cut(),
        ErrorInStream(),
    ],
    ids=["429", "529", "500", "cut", "error in the stream"],
)
def test_claude__api_that_recovers(place: Workplace, trouble: Reply) -> None:
    """The program tries twice itself; what was said before is not asked for again."""
    first = Turn("Looking.", ToolUse("Bash", {"command": "echo x >> f.txt"}))
    api = ModelApi(in_order(first, trouble, trouble, trouble, trouble, Turn("All done.")))
    done = ask(place, api)
    assert (done.error, done.text) == ("", "All done.")
    assert (place.tree / "f.txt").read_text() == "old\nx\n"
    last = api.served[-1].conversation
    assert last.prompts[0] == "Do it."
    assert CONTINUE in last.said
    assert last.turns >= 1
    assert done.usage.turns == api.totals().turns == 2


def test_claude__api_that_fails_before_anything_was_said(place: Workplace) -> None:
    api = ModelApi(in_order(*[Refusal(Reason.OVERLOADED)] * 3, Turn("All done.")))
    assert ask(place, api).text == "All done."
    assert CONTINUE not in api.served[-1].conversation.said


@pytest.mark.parametrize(
    ("reason", "said"),
    [(Reason.BAD_KEY, "key"), (Reason.NO_CREDIT, "credit"), (Reason.UNKNOWN_MODEL, MODEL)],
)
def test_claude__api_that_refuses_every_call(place: Workplace, reason: Reason, said: str) -> None:
    with pytest.raises(UsageError, match=f"(?i){said}"):
        ask(place, ModelApi(script(Refusal(reason))))
    assert list(place.scratch.iterdir()) == []


def test_claude__prompt_too_long(place: Workplace) -> None:
    done = ask(place, ModelApi(script(Refusal(Reason.TOO_LONG))))
    assert done.error.endswith(".")
    assert done.failure is Failure.AGENT


def test_claude__budget_that_is_spent_in_the_middle(place: Workplace) -> None:
    api = ModelApi(script(Turn(ToolUse("Bash", {"command": "true"}))))
    done = ask(place, api, budget_usd=0.3)
    assert (bool(done.error), done.failure) == (True, Failure.BUDGET)
    assert 0.3 <= done.usage.cost_usd < 1


def test_claude__api_that_hangs(place: Workplace) -> None:
    api = ModelApi(script(Hang()))
    done = ask(place, api, idle_timeout=4)
    assert (done.error, done.failure) == ("Claude Code gave no sign of life for 4 s.", Failure.AGENT)


def test_claude__a_flood(place: Workplace) -> None:
    api = ModelApi(script(Turn(ToolUse("Bash", {"command": "yes | head -c 20000000"})), Flood(3_000_000)))
    done = ask(place, api)
    assert (done.error, len(done.text)) == ("", 200_000)


def test_claude__leaves_nothing_running(place: Workplace) -> None:
    away = "(setsid -f sh -c 'echo $$ > away; exec env -i sleep 600') </dev/null >/dev/null 2>&1"
    wait = "until [ -s away ]; do sleep 0.05; done"
    api = ModelApi(script(Turn(ToolUse("Bash", {"command": f"{away}; {wait}"})), Turn(Text("Done."))))
    assert ask(place, api).error == ""
    pid = int((place.tree / "away").read_text())
    stat = Path(f"/proc/{pid}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"
