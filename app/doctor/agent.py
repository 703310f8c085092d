"""The probe of the agent: its program, and the key of the model that it works with."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from app.agents.adapters import agent_name
from app.agents.claude_program import find_program
from app.agents.presets import PRESETS
from app.domain.policy import POLICY_PATH, AgentPolicy, parse_policy
from app.errors import BadRepository, UsageError
from app.flows.doctor import Finding, Status, fail, ok, skipped
from app.settings import Settings
from app.workspace.source import Source

MODEL_KEYS = ("ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "OPENAI_API_KEY", "GEMINI_API_KEY")


def probe_agent(repository: Path, settings: Settings, environ: Mapping[str, str]) -> Sequence[Finding]:
    """The agent that a run would have, and whether a model key is there for it. Its value is never read."""
    policy = committed(repository, environ)
    try:
        name = agent_name(None, policy, settings.agent, claude_key=settings.anthropic_api_key is not None)
    except UsageError as problem:
        return [fail("agent", str(problem), f"correct agent.name in {POLICY_PATH}, or MASON_AGENT")]
    if name == "patch":
        return [ok("agent", "patch: no program needed"), skipped("model key", "the patch agent needs none")]
    if name == "claude":
        return [claude(settings, environ), claude_key(settings)]
    preset = PRESETS.get(name if name in PRESETS else policy.preset or "")
    given = policy.command or (preset.program if preset else settings.agent_command) or ""
    try:
        command = shlex.split(given)
    except ValueError as problem:
        raise UsageError(f"MASON_AGENT_COMMAND cannot be read: {problem}.") from problem
    return [program(name, command, environ), model_key(settings, environ)]


def committed(repository: Path, environ: Mapping[str, str]) -> AgentPolicy:
    """What the base commit says of the agent; what is wrong with that commit is another probe's finding."""
    try:
        source = Source.open(repository, environ.get("PATH", ""))
        return parse_policy(source.read(source.pin(None).commit, POLICY_PATH)).agent
    except (BadRepository, UsageError):
        return AgentPolicy()


def claude(settings: Settings, environ: Mapping[str, str]) -> Finding:
    try:
        found = find_program(settings.claude, environ.get("PATH", ""))
    except UsageError:
        return fail("agent", "claude: Claude Code is not installed", "pip install 'mason-bot[claude]'")
    if not shutil.which(found, path=environ.get("PATH", "")):
        return fail("agent", f"claude: {Path(found).name} cannot be run", "correct MASON_CLAUDE")
    return ok("agent", f"claude: {found}")


def claude_key(settings: Settings) -> Finding:
    if settings.anthropic_api_key:
        return ok("model key", "MASON_ANTHROPIC_API_KEY is set; it stays with Mason")
    return fail("model key", "the claude agent has no key", "set MASON_ANTHROPIC_API_KEY")


def program(name: str, command: Sequence[str], environ: Mapping[str, str]) -> Finding:
    if not command:
        return fail("agent", "no program is named", "set MASON_AGENT_COMMAND")
    if not shutil.which(command[0], path=environ.get("PATH", "")):
        return fail("agent", f"the program {Path(command[0]).name} was not found", "install it, or correct the name")
    return ok("agent", f"{name}: {Path(command[0]).name}")


def model_key(settings: Settings, environ: Mapping[str, str]) -> Finding:
    """Mason's own keys reach any program through its proxy; others are passed on by name."""
    held = {"ANTHROPIC": settings.anthropic_api_key, "OPENAI": settings.openai_api_key}
    if names := [f"MASON_{name}_API_KEY" for name, key in held.items() if key]:
        return ok("model key", f"{' and '.join(names)}; held by Mason")
    passed = settings.pass_env.split()
    present = [name for name in (*MODEL_KEYS, *passed) if environ.get(name, "").strip()]
    if given := sorted({name for name in present if name in passed}):
        return ok("model key", f"{', '.join(given)} is passed on, with no limit to what it may cost")
    detail = f"{', '.join(present)} is set, but not Mason's" if present else "none is set"
    fix = "set MASON_ANTHROPIC_API_KEY or MASON_OPENAI_API_KEY, unless the program has a login of its own"
    return Finding(check="model key", status=Status.WARN, detail=detail, fix=fix)
