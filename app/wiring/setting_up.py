"""`/setup`, put together: what it asks GitHub and Supabase, and whether it is open."""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit

import httpx

from app.backlog import webhook
from app.backlog.postgrest import PostgrestSession
from app.database.api_keys import api_keys
from app.doctor.report import check_up
from app.domain.supabase_keys import project_ref, read_key
from app.errors import BadTarget, NotMigrated, UsageError
from app.flows import setup
from app.flows.doctor import Status, judge_key
from app.flows.setup import Given, SetupPorts
from app.forge.github.app_manifest import GithubAppRegistration
from app.ports.backlog_setup import NewBacklog, Prepared, Way
from app.ports.migrations import ConnectionString, ProjectPassword, ProjectToken, Target
from app.settings import Settings, checked_url, database_hosts
from app.web.github_hook import RELEVANT
from app.web.pages.setup_entry import SetupPages
from app.web.pages.sign_in import Sessions
from app.wiring.app_parts import AppParts
from app.wiring.app_place import dispatches_locally, on_github
from app.wiring.databases import app_dsn
from app.wiring.sealing import master_keys
from app.wiring.setup_migrations import Migrations, translated
from app.wiring.stored_settings import Served, completed_by

SECONDS = 8.0
"""For one question to a project."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SupabaseProject:
    """Implements `app.ports.backlog_setup.BacklogSetup`. ``learned`` is told every secret before it is used."""

    migrations: Migrations
    learned: Callable[[str], None] = field(repr=False)

    def check(self, backlog: NewBacklog) -> str:
        self.learned(backlog.key)
        self.learned(backlog.secret)
        url = checked_url(backlog.url.strip(), "this project")
        host = (urlsplit(url).hostname or "").lower()
        if project_ref(url) is None and host not in self.migrations.allowed:
            raise UsageError(
                "The project's URL must be like https://<ref>.supabase.co; other hosts have to stand in "
                "MASON_DATABASE_HOSTS."
            )
        key = read_key(backlog.key)
        finding = judge_key(key, url, time.time())
        if finding.status is Status.FAIL:
            raise UsageError(f"The key cannot be used: {finding.detail}; {finding.fix}.")
        if not key.bypasses_policies:
            raise UsageError("This is no secret key: copy the one that begins with sb_secret_, or service_role.")
        session = PostgrestSession(url, backlog.key, patience=0, connect=SECONDS, read=SECONDS)
        with closing(session), suppress(NotMigrated):  # the key is good, and the tables are made next
            session.rows("doctor", {})
        return url

    def prepare(self, backlog: NewBacklog, webhook_url: str, secret: str) -> Prepared:
        done = self.migrations(target := target_of(backlog))
        count = len(done.applied)
        lines = [f"applied {count} migration{'s' * (count > 1)}" if count else "the tables were up to date"]
        if done.publication:
            lines += [f"realtime does not tell of {name}" for name in sorted({*done.unpublished, *done.partial})]
        if not webhook_url:
            return Prepared(
                lines=(*lines, "approvals are not announced: Mason's address is not known"), announced=False
            )
        with translated(), self.migrations.opened(target) as there:
            lacks = webhook.install(there, webhook_url, secret) is not None
        return Prepared(
            lines=(
                *lines,
                "approvals are not announced: enable the extensions pg_net and pgcrypto (Database → Extensions) and "
                "connect again"
                if lacks
                else f"approvals are announced to {webhook_url}",
            ),
            announced=not lacks,
        )

    def new_secret(self) -> str:
        secret = webhook.new_secret()
        self.learned(secret)
        return secret


def target_of(backlog: NewBacklog) -> Target:
    """The database that is migrated. Raises BadTarget."""
    if backlog.way is Way.CONNECTION:
        return ConnectionString(dsn=backlog.secret)
    ref = project_ref(backlog.url)
    if ref is None:
        raise BadTarget("A password or token is for a project at supabase.co: give this one's connection string.")
    if backlog.way is Way.TOKEN:
        return ProjectToken(ref=ref, token=backlog.secret)
    return ProjectPassword(ref=ref, password=backlog.secret)


def setup_pages(given: Settings, parts: AppParts) -> SetupPages:
    """The pages of one web process. ``given`` is what the environment says."""
    keys = api_keys(app_dsn(given), pool_size=1)
    return SetupPages(
        ports=setup_ports(given, parts),
        keys=keys,
        session=Sessions(keys=keys, signing=parts.signing_keys).key,
        server_url=given.github_server_url.rstrip("/"),
        redact=parts.redactor.text,
    )


def setup_ports(given: Settings, parts: AppParts) -> SetupPorts:
    settings, learned = parts.settings, parts.redactor.learn
    registration = GithubAppRegistration(
        server_url=settings.github_server_url,
        api_url=settings.github_api_url,
        http=httpx.Client(follow_redirects=False),
        learned=learned,
    )
    return SetupPorts(
        sealed=parts.sealed,
        alone=lambda: parts.database.locked("setup"),
        github=registration,
        backlog=SupabaseProject(migrations=Migrations(allowed=database_hosts(given)), learned=learned),
        checks=lambda: check_up(
            parts.repository,
            dsn=None,
            production=False,
            complete=partial(completed_by, parts.sealed),
            runs=dispatches_locally(completed_by(parts.sealed, given)),
        ),
        token=partial(token, parts.signing_keys[0]),
        events=RELEVANT,
        given=given_by(given),
    )


def given_by(given: Settings) -> Given:
    """What the environment settles."""
    github = "MASON_GITHUB_APP_ID" if given.github_app_id else "MASON_GITHUB_TOKEN"
    backlog = "MASON_DSN" if given.dsn else "MASON_SUPABASE_URL"
    return Given(
        github=github if on_github(given) else "",
        backlog=backlog if given.dsn or given.supabase_url else "",
        app_url=given.app_url or "",
    )


def goes_on(served: Served) -> bool:
    """Whether the setup is open."""
    with closing(served.sealed()) as sealed:
        return setup.is_open(given_by(served.given), setup.record_of(sealed))


def link(served: Served) -> str:
    """Where the setup goes on, below the app's address, with its token; "" when it is closed."""
    if not goes_on(served):
        return ""
    with closing(served.sealed()) as sealed:
        number = setup.record_of(sealed).number
    return f"/setup?token={token(master_keys(served.given, served.state).signing[0], number)}"


def token(key: bytes, number: int) -> str:
    """What proves that somebody read the link of this setup: every process makes the same, and nobody else can."""
    digest = hmac.digest(key, f"setup\n{number}".encode(), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
