"""What setting up stands on, in memory: sealed secrets, a GitHub that makes Apps, a Supabase that takes a key."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from app.errors import BadCode, Busy, DatabaseUnreachable, MasonError, UsageError
from app.flows.doctor import Finding, Status, ok
from app.flows.setup import Given, SetupPorts
from app.ports.app_registration import NewApp
from app.ports.backlog_setup import NewBacklog, Prepared

EVENTS = frozenset({"issue_comment", "push", "installation", "installation_repositories"})
PEM = "-----BEGIN RSA PRIVATE KEY-----\nsecret-pem-of-the-tests\n-----END RSA PRIVATE KEY-----\n"
CODE = "a180b1a3d263c81bc6441d7b990bae27d4c10679"
KEY = "sb_secret_of_the_tests"
TABLE_SECRET = "a-password-of-the-tests"
HOOK_SECRET = "whsec_" + "c2VjcmV0" * 5


class MemorySealed:
    """``away``: the database does not answer."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.away = False

    def put(self, name: str, text: str) -> None:
        self._ask()
        self.kept[name] = text

    def get(self, name: str) -> str | None:
        self._ask()
        return self.kept.get(name)

    def remove(self, name: str) -> None:
        self._ask()
        self.kept.pop(name, None)

    def names(self, prefix: str, *, older: float = 0.0) -> Sequence[str]:
        return sorted(name for name in self.kept if name.startswith(prefix))

    def _ask(self) -> None:
        if self.away:
            raise DatabaseUnreachable("The app database at db.internal did not answer.")


class MemoryRegistration:
    """``codes`` are good once each. ``fails`` is raised by the next exchange, which has had no effect."""

    def __init__(self) -> None:
        self.codes = {CODE}
        self.asked: list[str] = []
        self.fails: MasonError | None = None
        self.installed: Sequence[str] | MasonError = ()

    @property
    def permissions(self) -> Mapping[str, str]:
        return {"contents": "write", "metadata": "read"}

    def page(self, organisation: str | None) -> str:
        where = f"/organizations/{organisation}" if organisation else ""
        return f"https://github.com{where}/settings/apps/new"

    def installation_page(self, app: str) -> str:
        return f"https://github.com/apps/{app}/installations/new"

    def exchange(self, code: str) -> NewApp:
        self.asked.append(code)
        if self.fails:
            problem, self.fails = self.fails, None
            raise problem
        if code not in self.codes:
            raise BadCode
        self.codes.remove(code)
        return NewApp(
            id=4711,
            slug="my-mason",
            name="My Mason",
            owner="ada",
            private_key=PEM,
            webhook_secret="a-hook-secret-of-it",
        )

    def installed_at(self, app_id: str, private_key: str) -> Sequence[str]:
        if isinstance(self.installed, MasonError):
            raise self.installed
        return self.installed


class MemoryBacklogSetup:
    """Takes `KEY` and `TABLE_SECRET`. ``prepared`` are the projects, with the addresses that they announce to."""

    def __init__(self) -> None:
        self.prepared: list[tuple[str, str]] = []

    def check(self, backlog: NewBacklog) -> str:
        if backlog.key != KEY:
            raise UsageError("The key cannot be used: this is no Supabase key; copy it again.")
        return backlog.url.rstrip("/")

    def prepare(self, backlog: NewBacklog, webhook_url: str, secret: str) -> Prepared:
        if backlog.secret != TABLE_SECRET:
            raise UsageError("The database refused the login: password authentication failed.")
        self.prepared.append((backlog.url, webhook_url))
        return Prepared(lines=("applied 001_tables", "<b>all</b> is well"), announced=bool(webhook_url))

    def new_secret(self) -> str:
        return HOOK_SECRET


@dataclass
class MemorySetup:
    """Everything of a setup. ``given`` is what the environment settles, ``findings`` are what the checks find."""

    given: Given = field(default_factory=Given)
    sealed: MemorySealed = field(default_factory=MemorySealed)
    github: MemoryRegistration = field(default_factory=MemoryRegistration)
    backlog: MemoryBacklogSetup = field(default_factory=MemoryBacklogSetup)
    findings: Sequence[Finding] = (
        ok("git", "2.50"),
        Finding(check="agent", status=Status.FAIL, detail="<i>none</i>", fix="install it"),
    )
    _held: threading.Lock = field(default_factory=threading.Lock)

    @property
    def ports(self) -> SetupPorts:
        return SetupPorts(
            sealed=self.sealed,
            alone=self.alone,
            github=self.github,
            backlog=self.backlog,
            checks=lambda: self.findings,
            token=lambda number: f"token-{number}-of-the-tests",
            events=EVENTS,
            given=self.given,
        )

    @contextmanager
    def alone(self) -> Iterator[None]:
        if not self._held.acquire(blocking=False):
            raise Busy
        try:
            yield
        finally:
            self._held.release()
