"""Registering a GitHub App from a manifest: what GitHub is asked on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class NewApp:
    """An App as GitHub has just made it. ``owner`` is a login, ``private_key`` a PEM."""

    id: int
    slug: str
    name: str
    owner: str
    private_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)


class AppRegistration(Protocol):
    @property
    def permissions(self) -> Mapping[str, str]:
        """All that Mason's tokens are ever asked for, and so all that the App has to be granted."""

    def page(self, organisation: str | None) -> str:
        """Where the manifest is posted to: the page that asks a person, or one of an organisation's owners.

        Raises UsageError when GitHub's address cannot be used.
        """

    def installation_page(self, app: str) -> str:
        """Where an App (its slug) is installed on repositories."""

    def exchange(self, code: str) -> NewApp:
        """The App that the code stands for. GitHub gives it out once, for an hour: never repeated here.

        Raises BadCode where GitHub knows no such code (any more), ForgeUnreachable, ForgeRefused.
        """

    def installed_at(self, app_id: str, private_key: str) -> Sequence[str]:
        """The accounts that it is installed at, the first hundred. Raises Unreachable, UsageError, ForgeRefused."""
