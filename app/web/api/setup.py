"""`POST /api/setup/migrations` (execution-api-routes.md): Mason's tables in the database that a request names."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import urlsplit

from flask import Response
from pydantic import Field, SecretStr

from app.domain.api_keys import Scope
from app.ports.migrations import ConnectionString, Migrated, Migrator, ProjectPassword, ProjectToken, Target
from app.web.api.framework import ApiBlueprint, Failure, Model, answer, needs, shown_as
from app.web.errors import Invalid

MISSING = "Missing credentials"
MISMATCH = "PROJECT_MISMATCH"

_HOST = re.compile(r"([a-z0-9]{1,40})\.supabase\.(?:co|in)")


class MigrationTarget(Model):
    """The database, in one of three ways: `projectRef` and `accessToken` (with `supabaseUrl`, that has to be of the
    same project), `supabaseUrl` and `databasePassword`, or `connectionString`.

    What is given is used once, and stored nowhere.
    """

    model_config = shown_as(
        token={"projectRef": "abcdefghijklmnopqrst", "accessToken": "sbp_…"},
        password={"supabaseUrl": "https://abcdefghijklmnopqrst.supabase.co", "databasePassword": "…"},
        connection={"connectionString": "postgresql://postgres.abcdefghijklmnopqrst:…@….pooler.supabase.com/postgres"},
    )

    project_ref: str | None = Field(None, max_length=40, description="The project's ref, as in its URL.")
    access_token: SecretStr | None = Field(
        None, max_length=4096, description="A personal or OAuth token for Supabase's Management API."
    )
    supabase_url: str | None = Field(None, max_length=200, description="`https://<ref>.supabase.co`")
    database_password: SecretStr | None = Field(None, max_length=1024, description="The one of the project's database.")
    connection_string: SecretStr | None = Field(
        None,
        max_length=4096,
        description="Of a database at `*.supabase.co`, `*.supabase.com`, or a host that the operator allows "
        "(`MASON_DATABASE_HOSTS`). It is reached over TLS.",
    )


class Realtime(Model):
    """Whether Supabase's realtime tells the dashboard of every change; nothing of it is there on other servers."""

    works: bool
    publication: bool = Field(description="Whether the publication `supabase_realtime` exists.")
    unpublished: list[str] = Field(description="Tables that are not in it.")
    partial: list[str] = Field(description="Tables whose changes it tells without the whole row.")


class MigrationsApplied(Model):
    success: Literal[True] = True
    migrations: list[str] = Field(description="What was applied now, in order; empty when it was up to date.")
    realtime: Realtime


def setup_routes(migrate: Migrator) -> ApiBlueprint:
    api = ApiBlueprint("setup", tag="Setting up", prefix="/api/setup")

    @api.post("/migrations", responses={"200": MigrationsApplied, "409": Failure, "500": Failure})
    @needs(Scope.ADMIN)
    def migrations(body: MigrationTarget) -> Response:
        """Bring a database up to what this Mason needs.

        It may be asked any number of times; nothing of yours is dropped or changed. `error` is `Missing credentials`
        or `PROJECT_MISMATCH` (400), or the SQL error (500), with the migration in `details`.
        """
        return answer(_applied(migrate(target_of(body))))

    return api


def target_of(body: MigrationTarget) -> Target:
    """Which database, and what proves that one may (pure). Raises Invalid."""
    token, password, dsn = map(_secret, (body.access_token, body.database_password, body.connection_string))
    ref, url = (body.project_ref or "").strip(), (body.supabase_url or "").strip()
    complete = [bool(ref and token), bool(url and password), bool(dsn)]
    if not any(complete):
        raise Invalid(MISSING)
    if sum(map(bool, (token, password, dsn))) > 1:
        raise Invalid("Give one of accessToken, databasePassword and connectionString, not several.")
    if dsn:
        return ConnectionString(dsn=dsn)
    of_url = ref_of(url) if url else ref
    if ref and ref != of_url:
        raise Invalid(MISMATCH)
    if not of_url or not re.fullmatch("[a-z0-9]{1,40}", of_url):
        name = "supabaseUrl" if url else "projectRef"
        raise Invalid(details=[((name,), "This is no Supabase project: https://<ref>.supabase.co")])
    return ProjectToken(ref=of_url, token=token) if token else ProjectPassword(ref=of_url, password=password)


def ref_of(url: str) -> str | None:
    """The ref in a project's URL; None for any other (pure)."""
    try:
        parts = urlsplit(url)
        found = _HOST.fullmatch(parts.hostname or "") if parts.scheme == "https" else None
    except ValueError:
        return None
    return found[1] if found else None


def _secret(given: SecretStr | None) -> str:
    return given.get_secret_value() if given else ""


def _applied(done: Migrated) -> MigrationsApplied:
    return MigrationsApplied(
        migrations=list(done.applied),
        realtime=Realtime(
            works=done.publication and not done.unpublished and not done.partial,
            publication=done.publication,
            unpublished=list(done.unpublished),
            partial=list(done.partial),
        ),
    )
