"""The command agent's presets, and the command agent behind a model proxy, with stand-ins for the programs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from app.agents.command import CommandAgent
from app.agents.model_access import TroubleKind
from app.agents.presets import PRESETS
from app.agents.strict_schema import strict
from app.domain.items import Item, ItemStatus
from app.domain.policy import AgentPolicy, RolePolicy
from app.domain.results import Usage
from app.errors import UsageError
from app.ports.agent import AgentRequest, AgentResult, Failure, Role
from app.process import Stop
from app.prompts import answers
from tests.fakes.model_proxy import FakeProxy, Said

ITEM = Item(id=UUID(int=1), title="T", status=ItemStatus.IN_PROGRESS)
SHOW = 'printf "%s\\n" "$@" > args; cat > stdin; env > env'
POLICY = AgentPolicy(model="some-model", roles={"verify": RolePolicy(model="small")})
Call = Callable[..., AgentResult]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    tree.mkdir()
    return tree


@pytest.fixture
def call(tmp_path: Path, tree: Path) -> Call:
    """Runs a shell script as the program of a preset (None: as the command itself)."""

    def calling(
        script: str,
        preset: str | None = None,
        proxy: FakeProxy | None = None,
        role: Role = Role.IMPLEMENT,
        policy: AgentPolicy = POLICY,
        schema: dict[str, object] | None = None,
    ) -> AgentResult:
        program = tmp_path / "program"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        environ = {**os.environ, "OPENAI_API_KEY": "real"}
        agent = CommandAgent((str(program),), environ, ("OPENAI_API_KEY",), preset=preset, policy=policy, proxy=proxy)
        request = AgentRequest(
            role=role, item=ITEM, prompt="do it", worktree=tree, time_limit=60, schema=schema, budget_usd=3
        )
        return agent.run(request, Stop(), lambda message, file="": None)

    return calling


def seen(tree: Path) -> dict[str, str]:
    return dict(line.partition("=")[::2] for line in (tree / "env").read_text().splitlines())


@pytest.mark.parametrize("name", sorted(PRESETS))
@pytest.mark.parametrize("role", [Role.IMPLEMENT, Role.VERIFY])
def test_preset__the_prompt_and_the_model_arrive_and_the_key_does_not(
    call: Call, tree: Path, name: str, role: Role
) -> None:
    """The prompt on standard input, or in a file that is named."""
    script = f'{SHOW}; for word in "$@"; do case $word in */prompt.md) cp "$word" stdin;; esac; done'
    proxy = FakeProxy()
    done = call(script, name, proxy, role=role)
    assert done.error == ""
    assert (tree / "stdin").read_text() == "do it"
    words = (tree / "args").read_text().splitlines()
    assert ("small" if role is Role.VERIFY else "some-model") in words
    assert not any("token" in word or "$" in word for word in words)
    variables = seen(tree)
    (access,) = proxy.accesses
    assert variables["OPENAI_API_KEY"] == variables["ANTHROPIC_API_KEY"] == access.token
    assert "real" not in variables.values()
    assert not any("$" in variables[given] for given in PRESETS[name].environment)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_preset__roles_that_read_are_called_in_another_way(call: Call, tree: Path, name: str) -> None:
    told = []
    for role in (Role.IMPLEMENT, Role.EXPLORE):
        call(SHOW, name, FakeProxy(), role=role)
        told.append(((tree / "args").read_text(), seen(tree).get("OPENCODE_PERMISSION")))
    assert told[0] != told[1]


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_preset__without_a_proxy_or_a_model_nothing_is_said_of_them(call: Call, tree: Path, name: str) -> None:
    call(SHOW, name, policy=AgentPolicy())
    words = (tree / "args").read_text().splitlines()
    assert "--model" not in words
    assert not any("$" in word or "model_provider" in word for word in words)
    assert seen(tree)["OPENAI_API_KEY"] == "real"


def test_preset__codex_answers_in_a_file_that_fits_a_strict_schema(call: Call, tree: Path) -> None:
    script = (
        'while [ $# -gt 0 ]; do case $1 in --output-schema) cp "$2" schema;; --output-last-message) out=$2;; esac;'
        ' shift; done; echo \'{"decision": "SKIP"}\' > "$out"'
    )
    done = call(script, "codex", FakeProxy(), role=Role.VERIFY, schema=answers.schema(answers.Verification))
    assert (done.error, done.answer) == ("", {"decision": "SKIP"})
    schema = json.loads((tree / "schema").read_text())
    assert schema["required"] == ["decision", "reason", "details"]
    assert schema["additionalProperties"] is False
    assert "default" not in str(schema)


def test_preset__opencode_is_configured_by_valid_json(call: Call, tree: Path) -> None:
    proxy = FakeProxy()
    call(SHOW, "opencode", proxy)
    options = json.loads(seen(tree)["OPENCODE_CONFIG_CONTENT"])["provider"]
    assert options["anthropic"]["options"]["baseURL"] == f"{proxy.url}/v1"
    assert options["openai"]["options"]["baseURL"] == f"{proxy.url}/v1"


def test_preset__one_that_is_not_known() -> None:
    with pytest.raises(UsageError, match="aider, codex, gemini, opencode"):
        CommandAgent((), os.environ, preset="cursor")


def test_preset__a_program_that_says_nothing_is_killed(call: Call) -> None:
    done = call("exec sleep 600", "codex", policy=AgentPolicy(idle_timeout=1))
    assert "gave no sign of life for 1 s." in done.error


def test_preset__a_program_that_is_not_there(tree: Path) -> None:
    agent = CommandAgent(("no-such-codex",), os.environ, preset="codex")
    request = AgentRequest(role=Role.IMPLEMENT, item=ITEM, prompt="", worktree=tree, time_limit=5)
    with pytest.raises(UsageError, match="no-such-codex"):
        agent.run(request, Stop(), lambda message, file="": None)


CLAIM = """echo '{"decision": "SKIP", "usage": {"input_tokens": 10, "cost_usd": 2.5}}' > "$MASON_ANSWER" """


def test_command__usage_is_the_proxys_once_it_was_asked(call: Call) -> None:
    used = call(CLAIM, proxy=FakeProxy(each=Usage(input_tokens=7, cost_usd=0.25, turns=2))).usage
    assert (used.input_tokens, used.cost_usd, used.turns) == (7, 0.25, 2)
    assert used.seconds > 0
    claimed = call(CLAIM, proxy=FakeProxy(each=Usage())).usage
    assert (claimed.input_tokens, claimed.cost_usd) == (10, 2.5)


@pytest.mark.parametrize(
    ("kind", "failure"),
    [
        (TroubleKind.TRANSIENT, Failure.UNAVAILABLE),
        (TroubleKind.BUDGET, Failure.BUDGET),
        (TroubleKind.TOO_LONG, Failure.AGENT),
    ],
)
def test_command__whose_fault_it_is(call: Call, kind: TroubleKind, failure: Failure) -> None:
    trouble = Said(kind=kind, sentence="It is so")
    done = call("exit 1", proxy=FakeProxy(troubles=[trouble]))
    assert (done.error, done.failure) == ("It is so.", failure)
    quiet = call("true", proxy=FakeProxy(troubles=[trouble], each=Usage()))
    assert (quiet.error, quiet.failure) == ("It is so.", failure)
    assert call("true", proxy=FakeProxy(troubles=[trouble])).error == ""


REFUSED = Said(kind=TroubleKind.REFUSED, sentence="The key was refused.")


def test_command__an_api_that_refuses_is_a_usage_error(call: Call) -> None:
    with pytest.raises(UsageError, match="refused"):
        call("exit 1", proxy=FakeProxy(troubles=[REFUSED], each=Usage()))
    assert call("exit 1", proxy=FakeProxy(troubles=[REFUSED])).failure is Failure.AGENT


def test_command__a_program_that_was_killed_after_an_answer_is_its_own_failure(call: Call) -> None:
    trouble = Said(kind=TroubleKind.TRANSIENT, sentence="It is so")
    assert call("kill -9 $$", proxy=FakeProxy(troubles=[trouble])).failure is Failure.AGENT
    assert call("kill -9 $$", proxy=FakeProxy(troubles=[trouble], each=Usage())).failure is Failure.UNAVAILABLE


def test_strict__nested_schemas() -> None:
    schema = {
        "type": "object",
        "$defs": {
            "Issue": {"type": "object", "title": "T", "properties": {"title": {"type": "string", "default": ""}}}
        },
        "properties": {
            "issues": {"type": "array", "maxItems": 3, "items": {"$ref": "#/$defs/Issue"}},
            "name": {"anyOf": [{"type": "string", "maxLength": 3}, {"type": "null"}], "default": None},
        },
        "required": ["issues"],
    }
    closed = {"additionalProperties": False}
    assert strict(schema) == {
        "type": "object",
        "$defs": {
            "Issue": {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"], **closed}
        },
        "properties": {
            "issues": {"type": "array", "items": {"$ref": "#/$defs/Issue"}},
            "name": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
        "required": ["issues", "name"],
        **closed,
    }
    assert strict({"type": "object"}) == {"type": "object", "properties": {}, "required": [], **closed}
