"""Policy: what `.github/mason.yml` of the base commit may say. Pure: text in, a typed record or a sentence out."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Annotated, Any, Self

import yaml
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from app.domain.results import MAX_FIX_ITERATIONS, CheckKind
from app.errors import UsageError

POLICY_PATH = ".github/mason.yml"


def _seconds(value: object) -> object:
    """``90``, ``"90s"``, ``"10m"`` or ``"1h"`` as seconds."""
    if isinstance(value, str) and (match := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", value)):
        return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]
    return value


Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0, le=6 * 3600)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Command(_Strict):
    """A shell command of the repository's with its time limit in seconds. ``fix`` is the check's autofixer."""

    run: str = Field(min_length=1)
    timeout: Seconds = 900.0
    fix: str | None = None


def _command(value: object) -> object:
    return {"run": value} if isinstance(value, str) else value


class Install(Command):
    """The install step. ``produces`` are the directories that may be copied into other trees (``node_modules``)."""

    produces: tuple[str, ...] = ()
    key: tuple[str, ...] = ()


class Limits(_Strict):
    """How much an item may use: ``agent_timeout`` in seconds of one agent call, ``max_cost_usd`` for one item. How much
    the web app may start: items of one run, and within 24 hours items, and dollars of runs, of changes of pull requests
    and of executions of the agent runtime together.
    """

    fix_iterations: int = Field(MAX_FIX_ITERATIONS, ge=0, le=MAX_FIX_ITERATIONS)
    agent_timeout: Seconds = 1800.0
    max_cost_usd: float | None = Field(None, gt=0, allow_inf_nan=False)
    max_parallel_checks: int | None = Field(None, ge=1, le=256)
    items_per_run: int = Field(20, ge=1, le=256)
    items_per_day: int = Field(100, ge=0)
    cost_per_day_usd: float | None = Field(None, ge=0, allow_inf_nan=False)


class Unattended(_Strict):
    """Which approved items the web app may start by itself; the others wait for a person's `/mason run --item`.

    ``types`` None: all of them. ``complexity_below`` None: however complex (1 to 5) they are.
    """

    types: tuple[str, ...] | None = None
    complexity_below: int | None = Field(
        None, ge=1, le=6, validation_alias=AliasChoices("complexity_below", "complexity-below")
    )


CheckCommand = Annotated[Command, BeforeValidator(_command)]


class _Execution(_Strict):
    checks: dict[CheckKind, CheckCommand | None] = Field(default_factory=dict)


class PullRequestPolicy(_Strict):
    """What Mason's pull requests carry. ``reviewers`` are logins, or ``org/team``. ``fix_any_branch`` lets ``fix`` push
    to branches that are not Mason's own (never to a fork's).
    """

    labels: tuple[Annotated[str, Field(min_length=1, max_length=50)], ...] = ("mason",)
    reviewers: tuple[Annotated[str, Field(pattern=r"^[\w.-]+(/[\w.-]+)?$")], ...] = ()
    draft: bool = False
    fix_any_branch: bool = Field(default=False, validation_alias=AliasChoices("fix_any_branch", "fix-any-branch"))


ROLES = ("explore", "re-evaluate", "verify", "implement", "review", "pattern-review", "fix", "write-prd")
"""The roles of `app.ports.agent.Role`, by their names."""


def _role(name: str) -> str:
    if name not in ROLES:
        raise ValueError(f"there is no such role; choose among {', '.join(ROLES)}")
    return name


class RolePolicy(_Strict):
    """What one role of the agent may differ in. ``max_turns``: answers of the model in one call."""

    model: str | None = Field(None, min_length=1, max_length=200)
    max_turns: int | None = Field(None, ge=1, le=1000, validation_alias=AliasChoices("max_turns", "max-turns"))


class Price(_Strict):
    """What a model costs, in US dollars for a million tokens. Without the last two, caching costs what input does."""

    input: float = Field(ge=0, allow_inf_nan=False)
    output: float = Field(ge=0, allow_inf_nan=False)
    cache_read: float | None = Field(None, ge=0, allow_inf_nan=False)
    cache_write: float | None = Field(None, ge=0, allow_inf_nan=False)


class AgentPolicy(_Strict):
    """Who edits the files. ``name`` None: what the installation says; ``preset`` or ``command``: for the command agent.

    ``roles`` (explore, re-evaluate, verify, implement, review, fix, write-prd) may each have a model of its own.
    ``idle_timeout`` in seconds without any sign of life, then the agent is killed. ``prices`` by the model's name, for
    models that Mason does not know or that cost you something else.
    """

    name: str | None = Field(None, max_length=40)
    preset: str | None = Field(None, max_length=40)
    command: str | None = Field(None, min_length=1, max_length=4000)
    model: str | None = Field(None, min_length=1, max_length=200)
    max_turns: int = Field(200, ge=1, le=1000, validation_alias=AliasChoices("max_turns", "max-turns"))
    idle_timeout: Seconds = Field(600.0, validation_alias=AliasChoices("idle_timeout", "idle-timeout"))
    roles: dict[Annotated[str, AfterValidator(_role)], RolePolicy] = Field(default_factory=dict)
    prices: dict[str, Price] = Field(default_factory=dict)


class Layer(_Strict):
    """A part of the code, as path patterns. It may import itself and what ``may_import`` names, of the other layers."""

    paths: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1)
    may_import: tuple[str, ...] = Field((), validation_alias=AliasChoices("may_import", "may-import"))


class FrontendPolicy(_Strict):
    """The pages that are opened after a change to the interface (seed 8.3).

    ``serve`` is the shell command of the dev server, ``url`` where it then listens (loopback), ``pages`` paths below
    it. ``wait`` in seconds is how long it may take to answer.
    """

    serve: str = Field(min_length=1)
    url: str = Field(pattern=r"^http://(localhost|127\.0\.0\.1|\[::1\]):\d{2,5}$")
    pages: tuple[Annotated[str, Field(pattern=r"^/")], ...] = Field(("/",), min_length=1, max_length=50)
    wait: Seconds = 60.0


class Policy(_Strict):
    """The committed policy. A check set to null (or false) is one that the repository does not have.

    ``layers`` by name: see `Layer`; files in none of them may import what they like. ``frontend`` is looked at after
    changes to ui and ux; ``checks.backend`` is the probe that runs after changes to api and data (seed 8.3, 8.4).
    """

    checks: dict[CheckKind, CheckCommand | None] = Field(default_factory=dict)
    execution: _Execution = _Execution()
    install: Annotated[Install | None, BeforeValidator(_command)] = None
    limits: Limits = Limits()
    unattended: Unattended = Unattended()
    pull_requests: PullRequestPolicy = Field(
        PullRequestPolicy(), validation_alias=AliasChoices("pull_requests", "pull-requests")
    )
    agent: AgentPolicy = AgentPolicy()
    layers: dict[str, Layer] = Field(default_factory=dict)
    frontend: FrontendPolicy | None = None
    protected: tuple[str, ...] = Field((), validation_alias=AliasChoices("protected", "protected-paths"))

    @model_validator(mode="after")
    def _known_layers(self) -> Self:
        for name, layer in self.layers.items():
            if unknown := [other for other in layer.may_import if other not in self.layers]:
                raise ValueError(f"layers.{name}.may_import names {unknown[0]!r}, which is no layer")
        return self

    @property
    def all_checks(self) -> dict[CheckKind, Command | None]:
        """``checks``, and ``execution.checks`` where the seeds' spelling is used."""
        return {**self.execution.checks, **self.checks}


_KEYS = sorted(
    {
        name
        for section in (Policy, AgentPolicy, RolePolicy, Price, Layer, FrontendPolicy, Limits, Unattended, Install)
        for name in section.model_fields
    }
    | set(PullRequestPolicy.model_fields)
)


def parse_policy(text: bytes | None) -> Policy:
    """Parse ``.github/mason.yml``; None or an empty file is the default policy.

    Raises UsageError with one sentence that names the key at fault.
    """
    if not text or not text.strip():
        return Policy()
    try:
        data: Any = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as problem:
        raise UsageError(f"{POLICY_PATH} is not valid YAML: {str(problem).splitlines()[0]}") from problem
    if data is None:
        return Policy()
    try:
        return Policy.model_validate(_without_false(data))
    except ValidationError as problem:
        first = problem.errors()[0]
        raise UsageError(f"{POLICY_PATH}: {_sentence(first['loc'], first['type'], first['msg'])}") from problem


def _sentence(place: tuple[int | str, ...], kind: str, said: str) -> str:
    """What is wrong with a key, in words; a misspelt one with what may have been meant."""
    where = ".".join(str(part) for part in place if part != "[key]") or "the file"
    match kind:
        case "extra_forbidden":
            near = get_close_matches(str(place[-1]), _KEYS, n=1)
            return f"there is no key {where}" + (f"; did you mean {near[0]}?" if near else "")
        case "missing":
            return f"{where} is missing"
        case "float_parsing":
            return f"{where} must be a time such as 90s, 10m or 1h, or a number"
        case _:
            return f"{where}: {said.removeprefix('Value error, ')}"


def _without_false(data: object) -> object:
    """``build: false`` reads better than ``build: null``; both mean that there is no such check."""
    if isinstance(data, dict) and isinstance(data.get("checks"), dict):
        return data | {"checks": {k: None if v is False else v for k, v in data["checks"].items()}}
    return data
