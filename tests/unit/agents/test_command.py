"""The command agent with small programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from app.agents.adapters import ADAPTERS, AgentOptions
from app.agents.command import CommandAgent
from app.agents.command_answers import LIKELY_DOLLARS
from app.domain.items import Item, ItemStatus
from app.domain.results import Usage
from app.errors import UsageError
from app.ports.agent import AgentRequest, AgentResult, Role
from app.process import Stop

ITEM = Item(id=UUID(int=1), title="T", status=ItemStatus.IN_PROGRESS)
Call = Callable[..., AgentResult]


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """Runs a shell script as the agent, in ``tmp_path / "tree"``."""
    tree = tmp_path / "tree"
    tree.mkdir()

    def calling(
        script: str, role: Role = Role.IMPLEMENT, stop: Stop | None = None, prompt: str = "do it", **fields: object
    ) -> AgentResult:
        fields.setdefault("time_limit", 60)
        request = AgentRequest(role=role, item=ITEM, prompt=prompt, worktree=tree, **fields)  # type: ignore[arg-type]
        environ = {**os.environ, "MODEL_KEY": "for the model", "MASON_DSN": "secret"}
        agent = CommandAgent(("sh", "-c", script), environ, pass_env=("MODEL_KEY", "ABSENT"))
        return agent.run(request, stop or Stop(), lambda _: None)

    return calling


def test_command__gets_the_prompt_and_works_in_the_worktree(call: Call, tmp_path: Path) -> None:
    prompt = "line\n" * 100_000 + "é\ud800"
    assert call("cat > got", prompt=prompt).error == ""
    assert (tmp_path / "tree/got").read_bytes() == prompt.encode("utf-8", "replace")


def test_command__environment_is_an_allow_list_and_the_call(call: Call) -> None:
    result = call("env", Role.FIX, iteration=2, schema={"type": "object"})
    lines = dict(line.partition("=")[::2] for line in result.text.splitlines())
    assert lines["MASON_ROLE"] == "fix"
    assert lines["MASON_READ_ONLY"] == "0"
    assert lines["MASON_ITERATION"] == "2"
    assert lines["MODEL_KEY"] == "for the model"
    assert "MASON_DSN" not in lines
    assert "MASON_TASK" not in lines
    assert "ABSENT" not in lines
    reading = call("env", Role.EXPLORE, task_id="1.1").text.splitlines()
    assert {"MASON_READ_ONLY=1", "MASON_TASK=1.1"} <= set(reading)


def test_command__answer_files_lie_outside_the_worktree_and_are_gone_after(call: Call, tmp_path: Path) -> None:
    result = call('cat "$MASON_SCHEMA"; echo; dirname "$MASON_ANSWER"', Role.VERIFY, schema={"type": "object"})
    schema, directory = result.text.split()
    assert schema == '{"type":"object"}'
    assert not Path(directory).exists()
    assert not Path(directory).is_relative_to(tmp_path / "tree")


@pytest.mark.parametrize(
    "script",
    [
        """echo '{"decision": "SKIP"}' > "$MASON_ANSWER"; echo '{"decision": "no"}'""",
        """echo thinking; echo '{"decision": "SKIP"}'""",
        """printf 'Well:\\n\\n```json\\n{"decision":\\n "SKIP"}\\n```\\nThat is all.\\n'""",
        """printf '```\\n{"a": 1}\\n```\\n```\\n{"decision": "SKIP"}\\n```\\n```sh\\nls\\n```\\n'""",
    ],
    ids=["file", "last line", "fence", "last of several fences"],
)
def test_command__structured_answers(call: Call, script: str) -> None:
    result = call(script, Role.VERIFY, schema={})
    assert result.error == ""
    assert result.answer == {"decision": "SKIP"}


@pytest.mark.parametrize("script", ["true", "echo words", "echo '[1]'", "echo '{\"a\": NaN}'", "printf '\\377\\376'"])
def test_command__without_an_answer_there_is_none(call: Call, script: str) -> None:
    result = call(script)
    assert result.error == ""
    assert result.answer is None


@pytest.mark.parametrize(
    "script",
    [
        'echo "not json" > "$MASON_ANSWER"',
        'echo "[1]" > "$MASON_ANSWER"',
        'mkfifo "$MASON_ANSWER"',
        'ln -s /etc/passwd "$MASON_ANSWER"',
        'mkdir "$MASON_ANSWER"',
        'head -c 3000000 /dev/zero > "$MASON_ANSWER"',
    ],
)
def test_command__an_answer_file_that_is_no_json_object_is_an_error(call: Call, script: str) -> None:
    assert call(script).error == "The agent 'sh' wrote an answer that is not a JSON object."


@pytest.mark.parametrize(
    ("said", "usage"),
    [
        (
            '{"input_tokens": 10, "output_tokens": 5, "cost_usd": 0.25, "turns": 3, "tool_calls": 2}',
            Usage(input_tokens=10, output_tokens=5, cost_usd=0.25, turns=3, tool_calls=2),
        ),
        ('{"input_tokens": -1, "cost_usd": 1e999, "turns": true, "tool_calls": "many"}', Usage()),
        ('{"input_tokens": 1e300, "output_tokens": null, "cost_usd": -0.1}', Usage()),
        (f'{{"input_tokens": {10**400}}}', Usage()),
        ('"a lot"', Usage()),
        ("[1, 2]", Usage()),
    ],
)
def test_command__usage_takes_only_numbers_that_can_be(call: Call, said: str, usage: Usage) -> None:
    result = call(f"""echo '{{"decision": "SKIP", "usage": {said}}}' > "$MASON_ANSWER" """)
    found = result.usage
    assert found.seconds > 0
    assert result.answer == {"decision": "SKIP"}
    assert (found.input_tokens, found.output_tokens, found.cost_usd, found.turns, found.tool_calls) == (
        usage.input_tokens,
        usage.output_tokens,
        usage.cost_usd,
        usage.turns,
        usage.tool_calls,
    )


@pytest.mark.parametrize(
    ("claimed", "budget", "believed"),
    [
        ("1e6", 2.5, 2.5),
        ("2.5e11", 2.5, 2.5),
        ("2", 2.5, 2.0),
        ("1", 0, 0),
        ("1e6", None, LIKELY_DOLLARS),
        ("99", None, 99),
    ],
)
def test_command__no_more_cost_is_believed_than_it_may_have(
    call: Call, claimed: str, budget: float | None, believed: float
) -> None:
    said = f"""echo '{{"usage": {{"cost_usd": {claimed}}}}}' > "$MASON_ANSWER" """
    assert call(said, budget_usd=budget).usage.cost_usd == believed


def test_command__exit_code_is_an_error_with_the_last_words(call: Call) -> None:
    result = call('echo \'{"decision": "SKIP"}\'; echo first >&2; echo no key >&2; exit 3')
    assert result.error == "The agent 'sh' ended with exit code 3: no key."
    assert result.answer is None


def test_command__time_limit(call: Call) -> None:
    result = call("echo begun; exec sleep 600", time_limit=0.3)
    assert result.error == "The agent 'sh' did not end within 0.3 s."
    assert result.text == "begun\n"


def test_command__stop(call: Call) -> None:
    stop = Stop()
    stop.set("enough")
    assert call("exec sleep 600", stop=stop).error == "The agent 'sh' was stopped."


def test_command__a_missing_program_is_a_usage_error(tmp_path: Path) -> None:
    agent = CommandAgent(("no-such-agent", "--x"), os.environ)
    request = AgentRequest(role=Role.IMPLEMENT, item=ITEM, prompt="", worktree=tmp_path, time_limit=5)
    with pytest.raises(UsageError, match="no-such-agent"):
        agent.run(request, Stop(), lambda _: None)


def test_command__a_missing_worktree_is_an_error(tmp_path: Path) -> None:
    request = AgentRequest(role=Role.IMPLEMENT, item=ITEM, prompt="", worktree=tmp_path / "gone", time_limit=5)
    assert (
        CommandAgent(("true",), os.environ).run(request, Stop(), lambda _: None).error == "The worktree is not there."
    )


def test_command__an_empty_command_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        ADAPTERS["command"](AgentOptions(environ=os.environ))


def test_command__floods_are_bounded_and_keep_the_answer(call: Call) -> None:
    result = call('yes | head -c 30000000; echo; echo \'{"decision": "SKIP"}\'')
    assert result.answer == {"decision": "SKIP"}
    assert len(result.text) <= 200_000


def test_command__processes_left_behind_are_dead(call: Call, tmp_path: Path) -> None:
    program = (
        "import os, sys, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    open('pid', 'w').write(str(os.getpid()))\n"
        "    os.rename('pid', 'ready')\n"
        "    time.sleep(600)\n"
        "while not os.path.exists('ready'): time.sleep(0.005)\n"
    )
    (tmp_path / "program.py").write_text(program)
    assert call(f"exec {sys.executable} {tmp_path}/program.py").error == ""
    pid = int((tmp_path / "tree/ready").read_text())
    stat = Path(f"/proc/{pid}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_command__activity_is_told_in_short_lines(tmp_path: Path) -> None:
    told: list[str] = []
    request = AgentRequest(role=Role.EXPLORE, item=ITEM, prompt="", worktree=tmp_path, time_limit=30)
    CommandAgent(("sh", "-c", "echo reading   src/a.py; yes | head -c 1000000"), os.environ).run(
        request, Stop(), told.append
    )
    assert told
    assert all(0 < len(each) <= 200 and "\n" not in each for each in told)
