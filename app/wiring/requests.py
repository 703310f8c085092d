"""What is asked for: the options of `mason run`, and of the Action's commands."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from app.domain.claims import JobClaimant
from app.domain.policy import POLICY_PATH
from app.flows.work import RunOptions
from app.inputs import Job
from app.log import Redactor
from app.reporting.commands import InertStream


@dataclass(frozen=True, kw_only=True, slots=True)
class Surface:
    """The Actions job that this process is: who it is for claims, its log, and where kept work can be picked up.

    ``oidc`` is what Actions gives a job that may prove its identity: an address and a token for it.
    ``last``: it runs when every other job of the workflow run has ended.
    """

    job: Job
    stream: InertStream
    claimant: JobClaimant
    oidc: tuple[str, str]
    app_url: str | None = None
    last: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRequest:
    """The options of ``mason run``, and of the Action's commands.

    ``redactor`` knows every secret once the runner was made. ``backlog``: there is one; ``rows``: progress and logs go
    to it. ``shares``: how many runners share GitHub's limits.
    """

    repository: Path
    items: tuple[UUID, ...] = ()
    limit: int | None = None
    auto: bool = False
    smoke_test: bool = False
    e2e: bool = False
    max_parallel: int = 2
    agent: str | None = None
    agent_command: str | None = None
    generate_prd: bool = False
    base: str | None = None
    as_json: bool = False
    dry_run: bool = False
    run_id: UUID | None = None
    draft: bool = False
    sign_commits: bool = False
    setup_command: str | None = None
    max_cost_usd: float | None = None
    policy_path: str = POLICY_PATH
    model: str | None = None
    backlog: bool = True
    rows: bool = True
    shares: int = 1
    surface: Surface | None = None
    redactor: Redactor = field(default_factory=lambda: Redactor(()))


def run_options(request: RunRequest) -> RunOptions:
    return RunOptions(
        item_ids=request.items,
        limit=request.limit,
        smoke_test=request.smoke_test,
        e2e=request.e2e,
        max_parallel=request.max_parallel,
        base=request.base,
        generate_prd=request.generate_prd,
        draft=request.draft,
        run_id=request.run_id,
        policy_path=request.policy_path,
        setup_command=request.setup_command,
        max_cost_usd=request.max_cost_usd,
    )
