"""What people at a terminal do with the backlog of a repository: add, list, approve and put off items."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from app.domain.items import ItemStatus, NewItem
from app.errors import UsageError
from app.flows.decide_items import Decided
from app.flows.decide_items import approve_items as approve
from app.flows.decide_items import defer_items as defer
from app.forge.names import repository_name
from app.ports.backlog import Backlog, ItemList
from app.settings import Settings, environment, state_dir
from app.wiring.databases import has_backlog, open_backlog
from app.workspace.source import Source

LAST_ENDED = 10
"""Items that have ended, of a list of everything: what is still to be done shall be seen."""


def add_item(settings: Settings, repository: Path, item: NewItem) -> UUID:
    """Add one item to the backlog of the repository. Raises BadRepository where there is none."""
    name = _name_of(repository)
    with _backlog(settings, repository) as backlog:
        return backlog.add_item(item, repository=name)


def list_items(settings: Settings, repository: Path, states: Sequence[ItemStatus], limit: int) -> ItemList:
    """The items of the repository in these states; without any, all that have not ended, and the last that have.

    Where no backlog was ever made it is empty, and none is made. Raises BadRepository.
    """
    name = _name_of(repository)
    if not has_backlog(settings, repository):
        return ItemList(items=(), counts={}, more={})
    with _backlog(settings, repository) as backlog:
        wanted, ended = (states, limit) if states else (tuple(ItemStatus), min(limit, LAST_ENDED))
        return backlog.listed_items(repository=name, states=wanted, limit=limit, ended=ended)


def approve_items(settings: Settings, repository: Path, ids: Sequence[UUID]) -> Iterator[Decided]:
    """Approve items of the repository. Raises BadRepository, and UsageError where there is no backlog."""
    with _backlog_there(settings, repository) as (backlog, name):
        yield from approve(backlog, ids, repository=name)


def defer_items(settings: Settings, repository: Path, ids: Sequence[UUID], reason: str) -> Iterator[Decided]:
    """Put items of the repository off. Raises as ``approve_items`` does."""
    with _backlog_there(settings, repository) as (backlog, name):
        yield from defer(backlog, ids, reason, repository=name)


@contextmanager
def _backlog_there(settings: Settings, repository: Path) -> Iterator[tuple[Backlog, str | None]]:
    """The backlog, and the repository's name in it."""
    name = _name_of(repository)
    if not has_backlog(settings, repository):
        raise UsageError("There is no backlog yet: `mason add FILE` makes one")
    with _backlog(settings, repository) as backlog:
        yield backlog, name


@contextmanager
def _backlog(settings: Settings, repository: Path) -> Iterator[Backlog]:
    with open_backlog(settings, state_dir(settings, repository)) as backlog:
        backlog.require_ready()
        yield backlog


def _name_of(repository: Path) -> str | None:
    """The "owner/name" of the repository's origin. Raises BadRepository."""
    return repository_name(Source.open(repository, environment().get("PATH", os.defpath)).origin_url)
