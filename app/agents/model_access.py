"""What agents ask of the model proxy: a way to a model's API that does not show them the key."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from app.domain.policy import AgentPolicy, Price, RolePolicy
from app.domain.results import Usage
from app.domain.text import one_line
from app.errors import UsageError
from app.ports.agent import AgentResult, Failure, Role


class TroubleKind(StrEnum):
    """Why an API, or the proxy, refused the last call that failed."""

    TRANSIENT = "transient"
    REFUSED = "refused"
    TOO_LONG = "too-long"
    BUDGET = "budget"
    INVALID = "invalid"


class Trouble(Protocol):
    @property
    def kind(self) -> TroubleKind: ...

    @property
    def sentence(self) -> str: ...

    @property
    def retry_after(self) -> float | None: ...


class Access(Protocol):
    """One way to a model, open as long as its context is."""

    @property
    def anthropic_url(self) -> str: ...

    @property
    def openai_url(self) -> str: ...

    @property
    def token(self) -> str: ...

    @property
    def trouble(self) -> Trouble | None: ...

    def usage(self) -> Usage: ...


class ModelProxy(Protocol):
    def open(
        self, *, spender: UUID, budget_usd: float | None, prices: Mapping[str, Price] | None = None
    ) -> AbstractContextManager[Access]: ...


_FAILURES = {TroubleKind.TRANSIENT: Failure.UNAVAILABLE, TroubleKind.BUDGET: Failure.BUDGET}


def failed(trouble: Trouble, session: str | None = None, *, worked: bool = False) -> AgentResult:
    """The result of a call that failed on what the API said. Raises UsageError when it will say so to every call.

    ``worked``: the API has answered in this very call. Then a refusal is the agent's own: what it runs can ask for a
    model that there is not, and must neither end the whole run with it nor send its item back unpunished. A real one
    will be the next call's first answer.
    """
    if trouble.kind is TroubleKind.REFUSED and not worked:
        raise UsageError(trouble.sentence)
    failure = _FAILURES.get(trouble.kind, Failure.AGENT)
    sentence = f"{one_line(trouble.sentence, 400).rstrip('.')}."
    return AgentResult(error=sentence, failure=failure, session=session)


def role_policy(role: Role, policy: AgentPolicy) -> RolePolicy:
    """What the policy says for this very role."""
    return policy.roles.get(str(role), RolePolicy())


def model_for(role: Role, policy: AgentPolicy) -> str | None:
    """The model for a role; None for what the program itself prefers."""
    return role_policy(role, policy).model or policy.model
