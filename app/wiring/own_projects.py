"""Projects that requests bring credentials for: whether they may be used, and how they are opened."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from app.domain.credentials import Credentials
from app.errors import BadCredentials, DatabaseRefused, NotNow, UsageError
from app.flows.own_projects import OwnProjects
from app.log import Redactor
from app.ports.backlog import Backlog
from app.ports.sealed import Sealed
from app.settings import Settings, checked_url, database_hosts
from app.wiring.app_place import dispatches_locally

_HOST = re.compile(r"[a-z0-9]{1,40}\.supabase\.co")
"""Nothing that one library might read in another way than the next, or not at all."""


def own_projects(settings: Settings, sealed: Sealed, redactor: Redactor, *, patience: float) -> OwnProjects:
    """``patience`` in seconds is for a project that is away."""
    rules = Admission(
        configured=None if settings.dsn else settings.supabase_url,
        locally=dispatches_locally(settings),
        hosts=database_hosts(settings),
        learned=redactor.learn,
    )

    @contextmanager
    def connect(credentials: Credentials) -> Iterator[Backlog]:
        from app.backlog.postgrest import supabase_backlog  # slow to import, and not always needed

        redactor.learn(credentials.key)
        try:
            backlog = supabase_backlog(credentials.url, credentials.key, patience=patience)
        except DatabaseRefused as problem:
            raise BadCredentials(str(problem)) from None
        try:
            yield backlog
        finally:
            backlog.close()

    return OwnProjects(sealed=sealed, admit=rules.admit, connect=connect)


@dataclass(frozen=True, kw_only=True, slots=True)
class Admission:
    """Which projects a request may bring: ``configured`` is the URL of the backlog's, ``hosts`` are allowed besides
    Supabase's own. ``locally``: runs are processes here, which get the credentials from nobody but us.
    """

    configured: str | None
    locally: bool
    hosts: frozenset[str]
    learned: Callable[[str], None]

    def admit(self, given: Credentials) -> Credentials | None:
        """Checked credentials, None for the configured project. Raises BadCredentials, and NotNow where a runner would
        have to be sent them (contracts §4).
        """
        self.learned(given.key)
        try:
            url = checked_url(given.url, "the request")
        except UsageError as problem:
            raise BadCredentials(str(problem)) from None
        if self.configured and project_of(url) == project_of(self.configured):
            return None
        if not self.locally:
            raise NotNow(
                "Runs go to GitHub Actions, whose runners have a project of their own: credentials are never sent to "
                "them. Leave supabaseUrl and supabaseKey out, or name the project that Mason is configured for."
            )
        host, _, path = project_of(url)
        if not _HOST.fullmatch(host) and host not in self.hosts:
            raise BadCredentials(
                "supabaseUrl must look like https://<project>.supabase.co; the operator can allow other hosts "
                "(MASON_DATABASE_HOSTS)."
            )
        if path:
            raise BadCredentials("supabaseUrl must hold no path.")
        return Credentials(url=url, key=given.key)


def project_of(url: str) -> tuple[str, int, str]:
    """Host, port and path: what makes two URLs name one project."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return (parts.hostname or "").rstrip("."), port, parts.path
