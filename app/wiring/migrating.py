"""`mason migrate`: which database, what is done to it, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.backlog import migrate as migrations
from app.backlog import webhook
from app.backlog.direct import connected, direct_dsn, required_ref
from app.backlog.embedded import EmbeddedPostgres
from app.backlog.management_api import management_api
from app.backlog.realtime import Realtime, verify_realtime
from app.errors import UsageError
from app.settings import Settings, state_dir


@dataclass(frozen=True, kw_only=True, slots=True)
class MigrateRequest:
    """The options of ``mason migrate``; what is None counts as not said. ``rls`` is default or strict."""

    repository: Path
    check: bool = False
    rls: str | None = None
    supabase_url: str | None = None
    webhook_url: str | None = None


def migrate(settings: Settings, request: MigrateRequest) -> list[str]:
    """Bring the database up to date (``check``: only look); what was done, or would be, a line each."""
    rls = migrations.Rls(request.rls) if request.rls else None
    if request.webhook_url:
        webhook.check_url(request.webhook_url)
    if settings.webhook_secret:
        webhook.secret_key(settings.webhook_secret.get_secret_value())
    with migration_target(settings, request) as target:
        if request.check:
            lines = [f"would apply {each.name}: {each.description}" for each in migrations.plan(target)]
            if rls and rls is not migrations.profile(target):
                lines.append(f"would change the access profile to {rls.value}")
            return lines + ([f"would send approvals to {request.webhook_url}"] if request.webhook_url else [])
        lines = [f"applied {each.name}: {each.description}" for each in migrations.apply(target, rls=rls)]
        lines += [f"the access profile is {rls.value}"] if rls else []
        lines += install_webhook(settings, target, request.webhook_url) if request.webhook_url else []
        return lines + realtime_lines(verify_realtime(target))


@contextmanager
def migration_target(settings: Settings, request: MigrateRequest) -> Iterator[migrations.Database]:
    """The database to migrate: by connection string, by a Supabase project's URL and password or token, or embedded."""
    password, token = settings.database_password, settings.access_token
    url = request.supabase_url or settings.supabase_url
    with ExitStack() as stack:
        if settings.dsn:
            yield stack.enter_context(connected(settings.dsn.get_secret_value()))
        elif password is not None:
            yield stack.enter_context(connected(direct_dsn(required_ref(url), password.get_secret_value())))
        elif token is not None:
            yield stack.enter_context(management_api(required_ref(url), token.get_secret_value()))
        elif url:
            raise UsageError(
                "A Supabase project's API key cannot change tables: give --database-password, --access-token or --dsn."
            )
        else:
            state = state_dir(settings, request.repository) / "postgres"
            embedded = stack.enter_context(EmbeddedPostgres(state, bin_directory=settings.postgres_bin))
            yield stack.enter_context(connected(embedded.dsn))


def install_webhook(settings: Settings, target: migrations.Database, url: str) -> list[str]:
    """Have approvals announced to Mason's web app; what happened, and a secret that was made here, shown only now."""
    given = settings.webhook_secret
    secret = given.get_secret_value() if given else webhook.new_secret()
    by_hand = webhook.install(target, url, secret)
    lines = [by_hand or f"approvals are announced to {url}"]
    return lines if given else [*lines, f"the webhook's secret, shown only now: {secret}"]


def realtime_lines(found: Realtime) -> list[str]:
    """What keeps the dashboard from hearing of changes, where it could."""
    if not found.publication or found.works:
        return []
    return [f"realtime does not work for {name}: run `mason doctor`" for name in {*found.unpublished, *found.partial}]
