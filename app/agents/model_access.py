"""What agents ask of the model proxy: a way to a model's API that does not show them the key."""

from __future__ import annotations

from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from app.domain.results import Usage


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
    def open(self, *, spender: UUID, budget_usd: float | None) -> AbstractContextManager[Access]: ...
