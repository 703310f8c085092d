"""The whole of Mason with the real Claude Code: a scripted model, real git, real PostgREST, the fake GitHub."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.github import FakeGitHub
from tests.fakes.model_api import Conversation, Cut, Flood, Hang, ModelApi, Reason, Refusal, Reply
from tests.peers.claude_scenarios import Developer, Play, answer, done, shell
from tests.peers.gateway import Gateway
from tests.peers.supabase import SERVICE_ROLE, database, gateway, project
from tests.unit.workspace.repositories import git, new_repository
from tests.whole.hosted import NAME, Done, Hosted
from tests.whole.kit import FILES, Project, policy
from tests.whole.prds import new, prd, wave

__all__ = ["database", "gateway", "project"]

pytestmark = pytest.mark.peer

KEY = "sk-ant-a-real-key-4711"
MOST_TOLD = 9_500
"""Tokens (four characters each) of everything that Mason tells the agent about the standard item."""

TEST = "def test_hello():\n    assert True\n"
WAVES = prd(
    "Change `src/one.txt` and `src/two.txt`.",
    wave(1, "Explore: Look around"),
    wave(2, "general-purpose: Write one", "general-purpose: Write two", after=1),
    wave(3, "code-reviewer: Review all changes", after=2),
)
ONE = prd("Change `src/one.txt`.", wave(1, "general-purpose: Write one"))


@contextmanager
def run_of(
    gateway: Gateway,
    database: str,
    place: Path,
    plays: Mapping[str, Play],
    *,
    text: str = ONE,
    agent: Mapping[str, Any] | None = None,
    limits: Mapping[str, Any] | None = None,
    item_type: str = "feature",
) -> Iterator[tuple[Hosted, ModelApi, Developer, str]]:
    """The sample repository with one approved item, whose developer does what ``plays`` say."""
    rules = policy(agent={"name": "claude", **(agent or {})}, limits=dict(limits or {}))
    repository = new_repository(place / "sample", {**FILES, "tests/test_hello.py": TEST, ".github/mason.yml": rules})
    git(place, "clone", "-q", "--bare", str(repository), "app.git")
    developer = Developer(plays)
    with FakeGitHub(place) as github, ModelApi(developer, keys=[KEY]) as api:
        there = github.repository(NAME, place / "app.git")
        sample = Project(repository=repository, dsn=database, root=place)
        environment = {
            "MASON_DSN": "",
            "INPUT_SUPABASE-URL": gateway.url,
            "INPUT_SUPABASE-KEY": SERVICE_ROLE,
            "INPUT_ANTHROPIC-API-KEY": KEY,
            "MASON_ANTHROPIC_BASE_URL": api.url,
        }
        hosted = Hosted(
            project=sample, github=github, there=there, token=github.token("actions"), environment=environment
        )
        yield hosted, api, developer, str(sample.approve(text, type=item_type))
        sample.close()


def row_of(hosted: Hosted, item: str) -> dict[str, Any]:
    (row,) = hosted.project.rows("select * from mason_pm_backlog_items where id = %s", item)
    assert "Mason itself" not in str(row["failure_reason"])
    return row


def agreed(row: Mapping[str, Any], api: ModelApi) -> dict[str, Any]:
    """What the item's row says was used, which is what the API served."""
    usage, totals = row["execution_result"]["usage"], api.totals(KEY)
    assert (usage["input_tokens"], usage["output_tokens"]) == (totals.input_tokens, totals.output_tokens)
    assert (usage["turns"], usage["tool_calls"]) == (totals.turns, totals.tool_calls)
    assert usage["cost_usd"] > 0
    return dict(usage)


def no_key(hosted: Hosted, done: Done) -> None:
    """The key is nowhere: not in the log, the rows, the outputs, nor in any file that is left."""
    rows = json.dumps(hosted.project.rows("select * from mason_execution_logs"), default=str)
    assert KEY not in done.log.replace(f"::add-mask::{KEY}", "") + done.summary + rows


def test_claude__three_waves_two_writers_a_failing_check_a_fix_a_pull_request(
    gateway: Gateway, database: str, tmp_path: Path
) -> None:
    plays: dict[str, Play] = {
        "task 1.1": [done("Look at src/one.txt.")],
        "task 2.1": [shell("echo SLOPPY > src/one.txt"), done("Wrote one.")],
        "task 2.2": [shell("env > env.txt; echo fine > src/two.txt; rm env.txt; id -u"), done("Wrote two.")],
        "task 3.1": [answer(decision="approve", issues=[])],
        "fix 1": [shell("echo fine > src/one.txt"), answer(decision="fixed", reason="one is tidy now")],
    }
    with run_of(gateway, database, tmp_path, plays, text=WAVES) as (hosted, api, developer, item):
        ended = hosted.job("run")
        assert ended.code == 0, ended.log
        assert developer.asked[:2] == ["verify", "task 1.1"]
        assert sorted(developer.asked[2:4]) == ["task 2.1", "task 2.2"]
        assert developer.asked[4:] == ["task 3.1", "patterns", "fix 1"]
        assert "Look at src/one.txt." in developer.prompts["task 2.1"]
        told = {role: len(text) // 4 for role, text in developer.prompts.items()}
        assert sum(told.values()) <= MOST_TOLD, f"Mason's prompts have grown: {told}"
        assert len(api.served) == 10
        (pull,) = hosted.there.pulls
        row = row_of(hosted, item)
        assert (row["status"], row["validation_iterations"]) == ("completed", 1)
        usage = agreed(row, api)
        tokens = f"{usage['input_tokens']:,} input and {usage['output_tokens']:,} output tokens"
        told = f"{tokens}, {usage['cost_usd']:.2f} USD, {usage['turns']} turns, {usage['tool_calls']} tool calls"
        assert told in pull.body
        assert told in ended.summary
        assert float(ended.outputs["cost-usd"]) == pytest.approx(usage["cost_usd"], abs=5e-5)
        assert {served.key for served in api.served} == {KEY}
        no_key(hosted, ended)


@pytest.mark.parametrize("agent", ["patch", "command", "claude"])
def test_agents__the_same_item_passes_with_each_of_them(
    gateway: Gateway, database: str, tmp_path: Path, agent: str
) -> None:
    text = prd(new("src/one.txt", "fine\n", task="1.1"), wave(1, "general-purpose: Write one"))
    plays: dict[str, Play] = {"task 1.1": [shell("echo fine > src/one.txt"), done()]}
    command = """sh -c 'cat > /dev/null; [ "$MASON_ROLE" != implement ] || echo fine > src/one.txt'"""
    setting = {"name": agent, "command": command}
    with run_of(gateway, database, tmp_path, plays, text=text, agent=setting) as (hosted, _, developer, item):
        ended = hosted.job("run")
        assert ended.code == 0, ended.log[-3000:]
        assert row_of(hosted, item)["status"] == "completed"
        (pull,) = hosted.there.pulls
        assert git(tmp_path / "app.git", "show", f"{pull.head_sha}:src/one.txt") == "fine"
        assert ("task 1.1" in developer.asked) == (agent == "claude")


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ("true", "nothing was changed"),
        ("echo SLOPPY > src/one.txt", "lint"),
        ("echo fine > src/one.txt; echo no >> README.md", "README.md"),
        ("echo fine > src/one.txt; rm -rf tests", "tests/test_hello.py"),
    ],
    ids=["nothing", "a failing check", "outside the scope", "a deleted test"],
)
def test_claude__whatever_it_says_nothing_gets_through(
    gateway: Gateway, database: str, tmp_path: Path, lie: str, reason: str
) -> None:
    def again(conversation: Conversation) -> Reply:
        if conversation.turns_since_prompt:
            return answer(decision="fixed", reason="All green!")
        return shell(f"{lie}; : {conversation.turns}")

    plays: dict[str, Play] = {"task 1.1": [shell(lie), done("All checks pass.")]}
    plays |= {f"fix {number}": again for number in range(1, 6)}
    with run_of(gateway, database, tmp_path, plays) as (hosted, api, developer, item):
        ended = hosted.job("run")
        assert ended.code == 1
        row = row_of(hosted, item)
        assert row["status"] == "rejected"
        agreed(row, api)
        assert hosted.there.pulls == []
        shown = "\n".join(text for role, text in developer.prompts.items() if role.startswith("fix"))
        assert reason in shown + row["failure_reason"]


def test_claude__that_hangs_is_ended_and_its_item_fails(gateway: Gateway, database: str, tmp_path: Path) -> None:
    plays: dict[str, Play] = {"task 1.1": [Hang()]}
    with run_of(gateway, database, tmp_path, plays, agent={"idle_timeout": 5}) as (hosted, _, _, item):
        ended = hosted.job("run")
        assert ended.code == 1
        assert row_of(hosted, item)["status"] == "rejected"


def test_claude__that_loops_ends_at_its_last_turn(gateway: Gateway, database: str, tmp_path: Path) -> None:
    plays: dict[str, Play] = {"task 1.1": lambda c: shell(f"echo {c.turns}")}
    agent = {"roles": {"implement": {"max_turns": 4}}}
    with run_of(gateway, database, tmp_path, plays, agent=agent) as (hosted, _, _, item):
        assert hosted.job("run").code == 1
        assert "turns" in row_of(hosted, item)["failure_reason"]


def test_claude__that_floods_does_no_harm(gateway: Gateway, database: str, tmp_path: Path) -> None:
    plays: dict[str, Play] = {
        "task 1.1": lambda c: (
            shell("echo fine > src/one.txt; yes | head -c 30000000") if c.turns == 0 else Flood(3_000_000)
        )
    }
    with run_of(gateway, database, tmp_path, plays) as (hosted, _, _, item):
        ended = hosted.job("run")
        assert ended.code == 0, ended.log[-3000:]
        assert row_of(hosted, item)["status"] == "completed"


@pytest.mark.parametrize("fault", [Refusal(Reason.RATE_LIMIT, 1), Refusal(Reason.OVERLOADED), Cut()], ids=str)
def test_claude__goes_on_where_the_api_failed_and_pays_nothing_twice(
    gateway: Gateway, database: str, tmp_path: Path, fault: Any
) -> None:
    failed: list[int] = []

    def play(conversation: Any) -> Any:
        wrote = "echo fine" in str(conversation.body["messages"])
        if not wrote:
            return shell("echo fine > src/one.txt")
        if len(failed) < 3:
            failed.append(1)
            return fault
        return done()

    with run_of(gateway, database, tmp_path, {"task 1.1": play, "other": play}) as (hosted, api, _, _):
        ended = hosted.job("run")
        assert ended.code == 0, ended.log[-3000:]
        wrote = [
            s
            for s in api.served
            if "task 1.1" in str(s.conversation.prompts) or "Task 1.1" in str(s.conversation.prompts)
        ]
        assert sum("tool_result" not in str(s.conversation.body["messages"]) for s in wrote) == 1, (
            "the first step was redone"
        )


def test_claude__a_wrong_key_gives_the_item_back(gateway: Gateway, database: str, tmp_path: Path) -> None:
    with run_of(gateway, database, tmp_path, {"verify": [Refusal(Reason.BAD_KEY)]}) as (hosted, _, _, item):
        ended = hosted.job("run")
        assert ended.code == 2
        assert row_of(hosted, item)["status"] == "approved"


def test_claude__a_spent_budget_ends_the_item(gateway: Gateway, database: str, tmp_path: Path) -> None:
    plays: dict[str, Play] = {"task 1.1": lambda c: shell(f"echo {c.turns} >> src/one.txt")}
    with run_of(gateway, database, tmp_path, plays, limits={"max_cost_usd": 0.05}) as (hosted, api, _, item):
        assert hosted.job("run").code == 1
        row = row_of(hosted, item)
        assert row["status"] == "rejected"
        assert "The budget of $0.05 for this item is spent" in row["failure_reason"]
        assert 0.05 <= agreed(row, api)["cost_usd"] <= 0.1
