"""The Action's inputs, and the job that it runs in, parsed from the runner's environment. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AliasGenerator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from app.domain.policy import POLICY_PATH
from app.errors import UsageError

Model = TypeVar("Model", bound=BaseModel)


class ActionCommand(StrEnum):
    RUN = "run"
    PLAN = "plan"
    FINISH = "finish"
    VALIDATE = "validate"
    FIX = "fix"


def _ids(value: object) -> object:
    return [part for part in re.split(r"[\s,]+", value) if part] if isinstance(value, str) else value


def _switch(value: object) -> object:
    """``true`` and ``false`` as Actions writes them, in whatever case; nothing else is one or the other."""
    words = {"true": True, "false": False}
    if isinstance(value, str) and value.strip().lower() not in words:
        raise ValueError("must be true or false")
    return words[value.strip().lower()] if isinstance(value, str) else value


Switch = Annotated[bool, BeforeValidator(_switch)]


class Inputs(BaseModel):
    """The inputs of `action.yml`, by their names there with ``_`` for ``-``. Empty ones are as if not given."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=AliasGenerator(validation_alias=lambda name: name.replace("_", "-")),
    )

    command: ActionCommand = ActionCommand.RUN
    items: Annotated[tuple[UUID, ...], BeforeValidator(_ids)] = ()
    limit: Annotated[int | None, Field(ge=1)] = None
    dry_run: Switch = False
    auto: Switch = True
    smoke_test: Switch = False
    e2e: Switch = False
    run_id: UUID | None = None
    pull_request: Annotated[int | None, Field(ge=1, le=10**9)] = None
    instructions: str = ""
    report: str = ""
    agent: str | None = None
    agent_command: str | None = None
    model: str | None = None
    max_parallel: Annotated[int, Field(ge=1, le=32)] = 2
    max_cost_usd: Annotated[float | None, Field(gt=0, allow_inf_nan=False)] = None
    base: str | None = None
    setup_command: str | None = None
    github_token: SecretStr | None = None
    app_url: str | None = None
    supabase_url: str | None = None
    supabase_key: SecretStr | None = None
    anthropic_api_key: SecretStr | None = None
    openai_api_key: SecretStr | None = None
    generate_prd: Switch = False
    sign_commits: Switch = False
    draft: Switch = False
    config: str = POLICY_PATH

    @property
    def secrets(self) -> tuple[str, ...]:
        given = (self.github_token, self.supabase_key, self.anthropic_api_key, self.openai_api_key)
        return tuple(secret.get_secret_value() for secret in given if secret)

    @property
    def one_of_many(self) -> bool:
        """Whether this is one job of a planned run."""
        return self.command is ActionCommand.RUN and self.run_id is not None


class Job(BaseModel):
    """The Actions job, from the runner's own variables. ``attempt`` counts re-runs of the workflow run, from 1."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=AliasGenerator(validation_alias=lambda name: f"GITHUB_{name.upper()}"),
    )

    repository: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    api_url: str = "https://api.github.com"
    server_url: str = "https://github.com"
    run_id: Annotated[str, Field(pattern=r"^\d+$")]
    run_attempt: Annotated[int, Field(ge=1)] = 1
    job: str = "job"
    workspace: Path = Path()
    output: Path | None = None
    step_summary: Path | None = None

    @property
    def page(self) -> str:
        """The workflow run's page."""
        return f"{self.server_url}/{self.repository}/actions/runs/{self.run_id}"

    @property
    def remote_url(self) -> str:
        """The repository's address for git; a ``file`` server (tests) has it as a directory."""
        return f"{self.server_url}/{self.repository}.git"


def read_inputs(environ: Mapping[str, str]) -> Inputs:
    """The inputs as the runner hands them to a container: ``INPUT_<NAME>``, hyphens kept.

    Raises UsageError with a sentence that names the input, also for one that the command needs and that is missing.
    ``MASON_DSN`` may name the backlog's Postgres in place of a Supabase project.
    """
    prefix = "INPUT_"
    given = {
        name.removeprefix(prefix).lower(): value.strip()
        for name, value in environ.items()
        if name.startswith(prefix) and value.strip()
    }
    inputs = _parsed(Inputs, given, lambda place: f"The input {place.replace('_', '-')}")
    _require(inputs, direct=bool(environ.get("MASON_DSN")))
    return inputs


def read_job(environ: Mapping[str, str]) -> Job:
    """The job. Raises UsageError where the runner's variables are missing or malformed."""
    given = {name: value for name, value in environ.items() if name.startswith("GITHUB_") and value}
    job = _parsed(Job, given, lambda place: place)
    for name, url in (("GITHUB_API_URL", job.api_url), ("GITHUB_SERVER_URL", job.server_url)):
        if urlsplit(url).scheme not in ("https", "http", "file"):
            raise UsageError(f"{name} must be a web address, and is {url[:100]!r}")
    return job


def _parsed(model: type[Model], given: Mapping[str, str], name: Callable[[str], str]) -> Model:
    try:
        return model.model_validate(given)
    except ValidationError as problem:
        first = problem.errors()[0]
        place, said = str(first["loc"][0]), first["msg"].removeprefix("Value error, ")
        if first["type"] == "missing":
            raise UsageError(f"{name(place)} is missing") from None
        shown = "" if place.endswith(("token", "key")) else f" (it is {str(given.get(place, ''))[:100]!r})"
        raise UsageError(f"{name(place)}: {said[:1].lower()}{said[1:]}{shown}") from None


def _require(inputs: Inputs, *, direct: bool) -> None:
    """What each command cannot do without. ``direct``: the backlog is a Postgres that is named elsewhere."""
    command = inputs.command
    with_backlog = not direct and (
        command in (ActionCommand.RUN, ActionCommand.PLAN, ActionCommand.FIX)
        or (command is ActionCommand.FINISH and inputs.pull_request is None)
    )
    needed = {
        "supabase-url": with_backlog and not inputs.supabase_url,
        "supabase-key": with_backlog and inputs.supabase_key is None,
        "github-token": inputs.github_token is None and inputs.app_url is None,
        "pull-request": command in (ActionCommand.VALIDATE, ActionCommand.FIX) and inputs.pull_request is None,
        "items": inputs.one_of_many and not inputs.items,
        "run-id": command is ActionCommand.FINISH and inputs.run_id is None and inputs.pull_request is None,
        "report": command is ActionCommand.FINISH and inputs.pull_request is not None and not inputs.report,
    }
    if missing := [name for name, lacks in needed.items() if lacks]:
        few = "input" if len(missing) == 1 else "inputs"
        raise UsageError(f"The {few} {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} needed by {command}")
