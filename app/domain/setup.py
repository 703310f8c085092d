"""What a setup has stored, as it lies among the sealed secrets."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from app.errors import UsageError

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredApp:
    """The GitHub App of this Mason. ``app_url`` is where the world reaches Mason, ``private_key`` a PEM.

    ``organisation`` is the one that owns the App, "" for a person's.
    """

    id: int
    slug: str
    name: str
    owner: str
    organisation: str
    app_url: str
    private_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredBacklog:
    """The Supabase project that holds the backlog. ``announced``: whether its database tells Mason of approvals."""

    url: str
    announced: bool
    key: str = field(repr=False)
    webhook_secret: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class SetupRecord:
    """How far the setup is. Each time it is opened it has another ``number``, which all its proofs depend on.

    ``nonce`` stands for the App that is being registered, with ``app_url`` and ``organisation`` as they were filled in.
    """

    number: int = 1
    finished: bool = False
    nonce: str = ""
    app_url: str = ""
    organisation: str = ""


APP, BACKLOG, RECORD = "github_app", "supabase", "setup"
"""The names under which they lie."""


def as_text(record: StoredApp | StoredBacklog | SetupRecord) -> str:
    return json.dumps(asdict(record))


def read(kind: type[T], text: str | None) -> T | None:
    """Raises UsageError for what another Mason has stored and this one cannot read."""
    if text is None:
        return None
    try:
        return TypeAdapter(kind).validate_json(text)
    except ValidationError:
        raise UsageError("What the setup stored was stored by another Mason: run that one, or set up again.") from None
