"""Webhook deliveries, typed: what of them means something to Mason. A delivery is only a hint; rows are read later."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from app.domain.commands import Request


@dataclass(frozen=True, kw_only=True, slots=True)
class BacklogChanged:
    """Something of the backlog's items changed, or a base branch moved that items may wait for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A person asked for something."""

    request: Request


@dataclass(frozen=True, kw_only=True, slots=True)
class RunChanged:
    """A workflow run changed that carries the id of one of Mason's runs in its name."""

    run_id: UUID


Delivery = BacklogChanged | Asked | RunChanged
