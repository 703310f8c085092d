"""The claude agent with a stand-in for its program: what it is called with, and what becomes of what it prints."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from app.agents import claude_program
from app.agents.claude import CONTINUE, PAID_TRIES, TRIES, ClaudeAgent
from app.agents.model_access import TroubleKind
from app.domain.policy import AgentPolicy, RolePolicy
from app.domain.results import Usage
from app.errors import UsageError
from app.ports.agent import READ_ONLY_ROLES, Failure, Role
from app.process import Stop
from tests.fakes.model_proxy import FakeProxy, Said
from tests.unit.agents.claude_kit import ITEM, SESSION, Calls, api_error, assistant, init, printed, result, text

OVERLOADED = Said(kind=TroubleKind.TRANSIENT)
FINE = printed(init(), assistant(text("Done.")), result())
BROKEN = f"{printed(init(), assistant(text('API Error'), error='server_error'), api_error())}\nexit 1"
BROKEN_LATER = f"{printed(init(), assistant(text('Looking.')), api_error())}\nexit 1"


@pytest.fixture
def calls(tmp_path: Path) -> Calls:
    return Calls(place=tmp_path / "calls")


def test_claude__gets_the_prompt_and_works_in_the_worktree(calls: Calls) -> None:
    prompt = "line\n" * 100_000 + "é\ud800"
    done = calls.run(f"pwd > here\n{FINE}", prompt=prompt)
    assert (done.error, done.text, done.session, done.answer) == ("", "Done.", SESSION, None)
    assert calls.noted("prompt") == [prompt.encode("utf-8", "replace").decode()]
    assert (calls.tree / "here").read_text().strip() == str(calls.tree)


@pytest.mark.parametrize("role", sorted(Role))
def test_claude__tools_are_the_roles_and_nothing_of_the_repository_is_loaded(calls: Calls, role: Role) -> None:
    calls.run(FINE, role=role)
    given = calls.arguments()
    reading = {"Read", "Glob", "Grep"}
    tools = set(given["--tools"].split(","))
    assert given["--allowedTools"] == given["--tools"]
    assert (tools == reading) == (role in READ_ONLY_ROLES)
    assert not tools & {"WebFetch", "WebSearch", "Skill"}
    assert given["--permission-mode"] == "dontAsk"
    assert given["--setting-sources"] == ""
    assert {"--strict-mcp-config", "--disable-slash-commands", "-p"} <= set(given)
    assert not {"--model", "--json-schema", "--resume"} & set(given)


def test_claude__model_and_turns_are_the_policys(calls: Calls) -> None:
    calls.policy = AgentPolicy(
        model="big", max_turns=80, roles={"verify": RolePolicy(model="small", max_turns=900), "fix": RolePolicy()}
    )
    for role in (Role.VERIFY, Role.RE_EVALUATE, Role.FIX):
        calls.run(FINE, role=role)
    given = [calls.arguments(call) for call in range(3)]
    assert [each["--model"] for each in given] == ["small", "big", "big"]
    assert [each["--max-turns"] for each in given] == ["900", "60", "80"]


def test_claude__environment_is_an_allow_list_and_the_way_to_the_model(calls: Calls) -> None:
    calls.environ |= {"ANTHROPIC_API_KEY": "real", "MASON_DSN": "secret", "CLAUDE_CODE_OAUTH_TOKEN": "real"}
    calls.run(FINE, budget_usd=2.5)
    seen, access = calls.environment(), calls.proxy.accesses[0]
    assert (seen["ANTHROPIC_BASE_URL"], seen["ANTHROPIC_API_KEY"]) == (access.anthropic_url, access.token)
    assert not {"MASON_DSN", "CLAUDE_CODE_OAUTH_TOKEN"} & set(seen)
    assert "real" not in seen.values()
    assert seen["DISABLE_TELEMETRY"] == seen["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"] == "1"
    assert int(seen["BASH_MAX_TIMEOUT_MS"]) < calls.policy.idle_timeout * 1000
    assert (access.spender, access.budget_usd, access.open) == (ITEM.id, 2.5, False)


def test_claude__places_are_its_own_and_gone_after(calls: Calls) -> None:
    calls.run(f'touch "$HOME/x" "$TMPDIR/x" "$CLAUDE_CONFIG_DIR/x" && {FINE}')
    seen = calls.environment()
    for name in ("HOME", "TMPDIR", "CLAUDE_CONFIG_DIR"):
        assert Path(seen[name]).is_relative_to(calls.scratch)
    assert list(calls.scratch.iterdir()) == []


def test_claude__two_gigabytes_left_behind_are_removed(calls: Calls) -> None:
    sparse = "truncate -s 2G $TMPDIR/big $HOME/big"
    deep = "cd $TMPDIR; for i in 1 2 3 4 5 6 7 8 9; do mkdir -p d/d/d/d/d/d; cd d/d/d/d/d/d; done; chmod 000 $TMPDIR/d"
    assert calls.run(f"{sparse}; ({deep}); {FINE}").error == ""
    assert list(calls.scratch.iterdir()) == []


def test_claude__structured_answer(calls: Calls) -> None:
    schema = {"type": "object", "properties": {"decision": {"type": "string"}}}
    done = calls.run(printed(result("text", structured_output={"decision": "SKIP"})), role=Role.VERIFY, schema=schema)
    assert done.answer == {"decision": "SKIP"}
    assert json.loads(calls.arguments()["--json-schema"]) == schema


@pytest.mark.parametrize("said", ['Well:\n{"decision": "SKIP"}', 'So:\n```json\n{"decision":\n"SKIP"}\n```\nBye.'])
def test_claude__an_answer_at_the_end_of_the_text_counts(calls: Calls, said: str) -> None:
    assert calls.run(printed(result(said)), role=Role.VERIFY, schema={}).answer == {"decision": "SKIP"}


def test_claude__usage_is_what_the_proxy_counted(calls: Calls) -> None:
    calls.proxy.each = Usage(input_tokens=7, output_tokens=3, cost_usd=0.25, turns=2, tool_calls=1)
    used = calls.run(FINE).usage
    assert (used.input_tokens, used.output_tokens, used.cost_usd, used.turns, used.tool_calls) == (7, 3, 0.25, 2, 1)
    assert used.seconds > 0


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (printed(init(), result("Oh no", is_error=True)), "Claude Code failed: Oh no."),
        (f"{printed(init(), result('I did it all!'))}\nexit 1", "Claude Code ended with exit code 1."),
        (printed(init(), assistant(text("I did it all!"))), "Claude Code ended without a result."),
        ("true", "Claude Code ended without a result."),
        ("echo oh no >&2; exit 3", "Claude Code ended with exit code 3: oh no."),
        (f"{printed(init())}\nkill -9 $$", "Claude Code was killed (signal 9)."),
        (printed(init(), result(is_error="no")), "Claude Code failed: Done."),
        (
            printed(init(), result(subtype="error_max_turns", is_error=True, errors=["x"], result=None)),
            "Claude Code was not done after 200 turns.",
        ),
        (
            printed(init(), result(subtype="error_during_execution", is_error=True, errors=["a\nb"], result=None)),
            "Claude Code failed: a b.",
        ),
        (printed(init(), result(subtype="error_odd", is_error=True)), "Claude Code failed: Done."),
        (printed(init(), result(subtype="error_odd")), "Claude Code ended without a result."),
    ],
)
def test_claude__what_is_no_success(calls: Calls, script: str, error: str) -> None:
    done = calls.run(script)
    assert (done.error, done.answer, done.failure) == (error, None, Failure.AGENT)
    assert len(calls.noted("args")) == 1


@pytest.mark.parametrize(
    "script",
    [
        "echo not json; echo '[1]'; echo '{\"a\": NaN}'; printf '\\377\\376\\n'; echo '{'",
        printed({"type": "result"}, {"type": ["x"]}, {"type": "result", "result": 4, "errors": {"a": 1}}),
        printed(assistant(), {"type": "assistant", "message": 4}, {"type": "assistant", "message": {"content": [3]}}),
        printed({"session_id": "--dangerously-skip-permissions", "type": "system"}, {"session_id": 4}),
        f"head -c 200000 /dev/zero | tr '\\0' '['; echo; {printed(assistant({'type': 'tool_use', 'name': 4}))}",
    ],
)
def test_claude__lines_that_nobody_expects(calls: Calls, script: str) -> None:
    done = calls.run(f"{script}\nexit 1")
    assert done.error.startswith("Claude Code ")
    assert (done.session, done.answer) in {(None, None), (SESSION, None)}


def test_claude__a_flood_is_bounded_and_the_result_found(calls: Calls) -> None:
    done = calls.run(
        f"yes '{{\"type\": \"tool_use\"' | head -c 30000000; echo; yes | tr -d '\\n' | head -c 9000000; echo\n{FINE}"
    )
    assert (done.error, done.text) == ("", "Done.")


def test_claude__long_text_is_cut(calls: Calls) -> None:
    script = 'long=$(yes | tr -d "\\n" | head -c 1000000); ' + (
        'echo "{\\"type\\":\\"result\\",\\"subtype\\":\\"success\\",\\"is_error\\":false,\\"result\\":\\"$long\\"}"'
    )
    done = calls.run(script)
    assert (done.error, len(done.text)) == ("", 200_000)


def test_claude__time_limit(calls: Calls) -> None:
    done = calls.run(f"{printed(init())}\nexec sleep 600", time_limit=2)
    assert (done.error, done.failure) == ("Claude Code did not end within 2 s.", Failure.AGENT)


def test_claude__no_sign_of_life(calls: Calls) -> None:
    calls.policy = AgentPolicy(idle_timeout=1)
    done = calls.run(f"{printed(init())}\nexec sleep 600")
    assert (done.error, done.failure) == ("Claude Code gave no sign of life for 1 s.", Failure.AGENT)


def test_claude__stop(calls: Calls) -> None:
    stop = Stop()
    stop.set("enough")
    assert calls.run("exec sleep 600", stop=stop).error == "Claude Code was stopped."


def test_claude__stop_while_it_waits_for_the_api(calls: Calls) -> None:
    stop = Stop()
    calls.proxy.troubles = [Said(kind=TroubleKind.TRANSIENT, retry_after=50)]
    agent = calls.agent(BROKEN)
    stop.set("enough")
    done = calls.call(agent, stop=stop)
    assert done.error == "Claude Code was stopped."
    assert done.usage.seconds < 40


def test_claude__api_that_recovers__nothing_was_said_yet_so_it_starts_over(calls: Calls) -> None:
    calls.proxy.troubles = [OVERLOADED, OVERLOADED]
    done = calls.run(BROKEN, BROKEN, FINE)
    assert (done.error, done.text) == ("", "Done.")
    assert calls.noted("prompt") == ["do it"] * 3
    assert all("--resume" not in calls.arguments(call) for call in range(3))
    assert (done.usage.cost_usd, done.usage.turns) == (1.5, 3)


def test_claude__api_that_recovers__the_session_is_gone_on_with(calls: Calls) -> None:
    calls.proxy.troubles = [OVERLOADED, OVERLOADED]
    done = calls.run(BROKEN_LATER, BROKEN, FINE)
    assert done.error == ""
    assert calls.noted("prompt") == ["do it", CONTINUE, CONTINUE]
    assert [calls.arguments(call).get("--resume") for call in range(3)] == [None, SESSION, SESSION]
    assert [access.token for access in calls.proxy.accesses] == ["token-0", "token-1", "token-2"]


def test_claude__a_killed_program_is_run_again_when_the_api_was_to_blame(calls: Calls) -> None:
    """The API never answered, so nothing of the agent's can have killed it."""
    calls.proxy.troubles, calls.proxy.each = [OVERLOADED], Usage()
    assert calls.run(f"{printed(init())}\nkill -9 $$", FINE).error == ""
    assert calls.noted("prompt") == ["do it", "do it"]


@pytest.mark.parametrize(
    ("end", "error"),
    [
        ("kill -9 $$", "Claude Code was killed (signal 9)."),
        ("exit 143", "Claude Code ended with exit code 143."),
        (f"{printed(api_error())}\nkill -9 $$", "Claude Code failed: API Error: 529."),
        (printed(result("Oh no", is_error=True)), "Claude Code failed: Oh no."),
    ],
)
def test_claude__after_an_answer_the_api_is_not_to_blame_for_what_the_program_does_not_say(
    calls: Calls, end: str, error: str
) -> None:
    """What an agent runs may get a 529 from the API, and kill the program."""
    calls.proxy.troubles = [OVERLOADED]
    done = calls.run(f"{printed(init(), assistant(text('a')))}\n{end}", FINE)
    assert (done.error, done.failure, len(calls.noted("args"))) == (error, Failure.AGENT, 1)


def test_claude__killed_when_it_was_resumed_is_its_own_failure(calls: Calls) -> None:
    calls.proxy.troubles = [OVERLOADED] * 3
    agent = calls.agent(BROKEN_LATER, f"{printed(init())}\nkill -9 $$")
    done = calls.call(agent)
    assert (done.failure, len(calls.noted("args"))) == (Failure.AGENT, 2)


@pytest.mark.parametrize(("each", "tries"), [(Usage(), TRIES), (Usage(turns=1, cost_usd=0.5), PAID_TRIES)])
def test_claude__api_that_keeps_failing_is_unavailable(calls: Calls, each: Usage, tries: int) -> None:
    calls.proxy.troubles, calls.proxy.each = [OVERLOADED] * 20, each
    done = calls.run(BROKEN)
    assert (done.error, done.failure) == (OVERLOADED.sentence, Failure.UNAVAILABLE)
    assert len(calls.noted("args")) == tries


def test_claude__api_that_asks_for_more_patience_than_there_is(calls: Calls) -> None:
    calls.proxy.troubles = [Said(kind=TroubleKind.TRANSIENT, retry_after=3600)] * 2
    done = calls.run(BROKEN, time_limit=30)
    assert done.failure is Failure.UNAVAILABLE
    assert len(calls.noted("args")) == 1


def test_claude__api_that_refuses_is_a_usage_error(calls: Calls) -> None:
    calls.proxy.troubles = [Said(kind=TroubleKind.REFUSED, sentence="The API refused the key (401).")]
    calls.proxy.each = Usage()
    with pytest.raises(UsageError, match="refused the key"):
        calls.run(BROKEN)
    assert list(calls.scratch.iterdir()) == []


def test_claude__a_refusal_after_an_answer_stops_no_run(calls: Calls) -> None:
    """What an agent runs may ask for a model that there is not."""
    calls.proxy.troubles = [Said(kind=TroubleKind.REFUSED, sentence="There is no such model.")] * TRIES
    assert calls.run(BROKEN).failure is Failure.AGENT
    assert len(calls.proxy.accesses) == 1


def test_claude__a_refusal_that_only_the_program_speaks_of_stops_no_run(calls: Calls) -> None:
    """The repository's own commands could have printed it."""
    done = calls.run(f"{printed(init(), assistant(text('x'), error='authentication_failed'), api_error(401))}\nexit 1")
    assert (done.error, done.failure) == ("Claude Code failed: API Error: 401.", Failure.AGENT)


@pytest.mark.parametrize(
    ("kind", "failure"),
    [
        (TroubleKind.BUDGET, Failure.BUDGET),
        (TroubleKind.TOO_LONG, Failure.AGENT),
        (TroubleKind.INVALID, Failure.AGENT),
    ],
)
def test_claude__whose_fault_it_is(calls: Calls, kind: TroubleKind, failure: Failure) -> None:
    calls.proxy.troubles = [Said(kind=kind, sentence="It is so.")]
    done = calls.run(BROKEN_LATER)
    assert (done.error, done.failure, done.usage.cost_usd) == ("It is so.", failure, 0.5)
    assert len(calls.noted("args")) == 1


def test_claude__trouble_that_was_overcome_is_none(calls: Calls) -> None:
    calls.proxy.troubles = [OVERLOADED]
    assert calls.run(FINE).error == ""
    calls.proxy = FakeProxy(troubles=[OVERLOADED])
    assert "turns" in calls.run(printed(result(subtype="error_max_turns", is_error=True))).error


def test_claude__a_session_goes_on_from_one_fix_to_the_next(calls: Calls) -> None:
    agent = calls.agent('echo x >> "$CLAUDE_CONFIG_DIR/kept"; ' + FINE)
    first = calls.call(agent, role=Role.FIX, iteration=1)
    calls.call(agent, role=Role.FIX, iteration=2, session=first.session)
    assert calls.arguments(1)["--resume"] == first.session == SESSION
    kept = {calls.environment(call)["CLAUDE_CONFIG_DIR"] for call in range(2)}
    assert len(kept) == 1
    assert (Path(kept.pop()) / "kept").read_text() == "x\nx\n"
    other = calls.place / "other"
    other.mkdir()
    calls.call(agent, role=Role.FIX, iteration=1, worktree=other)
    assert calls.environment(2)["CLAUDE_CONFIG_DIR"] != calls.environment(1)["CLAUDE_CONFIG_DIR"]


@pytest.mark.parametrize("trouble", [None, Said(kind=TroubleKind.TOO_LONG)])
def test_claude__a_session_that_is_gone_is_no_failure(calls: Calls, trouble: Said | None) -> None:
    calls.proxy.troubles = [trouble]
    gone = printed(result(None, subtype="error_during_execution", is_error=True, errors=["No conversation found"]))
    done = calls.run(f"{gone}\nexit 1", FINE, role=Role.FIX, iteration=2, session=SESSION)
    assert done.error == ""
    assert [calls.arguments(call).get("--resume") for call in range(2)] == [SESSION, None]
    assert calls.noted("prompt") == ["do it", "do it"]


def test_claude__a_session_that_is_none_is_not_asked_for(calls: Calls) -> None:
    calls.run(FINE, role=Role.FIX, session="--dangerously-skip-permissions")
    assert "--resume" not in calls.arguments()


def test_claude__processes_left_behind_are_dead(calls: Calls) -> None:
    program = (
        "import os, socket, sys, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    listening = socket.create_server(('127.0.0.1', 0))\n"
        "    open('pid', 'w').write(str(os.getpid()))\n"
        "    os.rename('pid', 'ready')\n"
        "    time.sleep(600)\n"
        "while not os.path.exists('ready'): time.sleep(0.005)\n"
    )
    (calls.place / "program.py").write_text(program)
    assert calls.run(f"{sys.executable} {calls.place}/program.py\n{FINE}").error == ""
    pid = int((calls.tree / "ready").read_text())
    stat = Path(f"/proc/{pid}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_claude__a_missing_worktree_is_an_error(calls: Calls) -> None:
    assert calls.run(FINE, worktree=calls.place / "gone").error == "The worktree is not there."


def test_claude__without_a_model_it_is_a_usage_error(calls: Calls) -> None:
    agent = ClaudeAgent(os.environ, proxy=None, program="true")
    with pytest.raises(UsageError, match="key"):
        calls.call(agent)


def test_claude__a_program_that_is_not_there_says_how_to_install_it(calls: Calls) -> None:
    agent = ClaudeAgent(os.environ, proxy=calls.proxy, program=str(calls.place / "nowhere"))
    with pytest.raises(UsageError, match=r"mason-bot\[claude\]"):
        calls.call(agent)


def test_find_program__named_then_bundled_then_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "claude").touch(mode=0o755)
    assert claude_program.find_program("/opt/claude", str(tmp_path)) == "/opt/claude"
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    assert claude_program.find_program(None, str(tmp_path)) == str(tmp_path / "claude")
    with pytest.raises(UsageError, match=r"pip install 'mason-bot\[claude\]'"):
        claude_program.find_program(None, str(tmp_path / "empty"))
    bundled = tmp_path / "claude_agent_sdk" / "_bundled" / "claude"
    bundled.parent.mkdir(parents=True)
    bundled.touch(mode=0o755)
    (tmp_path / "claude_agent_sdk" / "__init__.py").write_text("raise ImportError('it is only located')\n")
    monkeypatch.setattr(sys, "path_importer_cache", {})
    assert claude_program.find_program(None, str(tmp_path)) == str(bundled)
