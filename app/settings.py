"""Settings: the only reader of the environment. Keys are SecretStr; policy is read from the base commit elsewhere.

Where the backlog is, first match wins: ``--dsn``; ``MASON_DSN``; a Supabase project named by the Action's inputs,
``MASON_SUPABASE_*``, ``mason.config.json``, or plain ``SUPABASE_*`` as a pair; an embedded Postgres.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.config_file import CONFIG_NAME, ConfigFile, read_config_file, top_level
from app.errors import UsageError

_ADDRESS = r"^https?://[^\s?#]+$"

ROOT_STATE = Path("/var/lib/mason")


class Settings(BaseSettings):
    """What the environment says, and `read_settings` adds from the repository's `mason.config.json`.

    ``dsn`` names the backlog's Postgres; without it ``supabase_url`` and ``supabase_key`` name a project, without both
    the embedded server is used. ``database_password``, ``access_token`` and ``webhook_secret`` are for `mason migrate`
    alone. ``github_token``, or ``github_app_id`` and ``github_app_key`` (a PEM), let Mason open pull requests; the two
    addresses are an Enterprise server's. The model keys stay with Mason, whose proxy adds them to what an agent asks of
    the APIs at the two base addresses; ``claude`` is the program of that agent. ``users`` are the ids that commands run
    as, see `user_ids`. ``container`` is set in the image, which cannot update itself.

    Of the web app: ``app_url`` is where the world reaches it, ``database_url`` (``DATABASE_URL``) its own database.
    ``github_webhook_secret`` and ``webhook_secret`` (Supabase's) may name several, separated by commas or blanks.
    ``workflow`` is the file that the ``dispatcher`` ``github_actions`` dispatches. ``debounce`` in seconds is how long
    approvals must have ceased before a run starts, ``sweep`` the seconds from one look at everything to the next.
    ``dispatch_patience`` in seconds is for how long GitHub may not list a workflow run that was dispatched.
    ``repository`` (``owner/name``) is whose the items are that name none; ``metrics_token`` is asked for by /metrics.
    ``workers`` counts gunicorn's processes, ``threads`` those of each; ``jobs`` run side by side in one worker.
    """

    model_config = SettingsConfigDict(env_prefix="MASON_", extra="ignore", frozen=True, env_ignore_empty=True)

    dsn: SecretStr | None = None
    supabase_url: str | None = None
    supabase_key: SecretStr | None = None
    database_password: SecretStr | None = None
    access_token: SecretStr | None = None
    webhook_secret: SecretStr | None = None
    github_token: SecretStr | None = None
    github_app_id: str | None = None
    github_app_key: SecretStr | None = None
    github_api_url: str = "https://api.github.com"
    github_server_url: str = "https://github.com"
    anthropic_api_key: SecretStr | None = None
    openai_api_key: SecretStr | None = None
    anthropic_base_url: str = Field("https://api.anthropic.com", pattern=_ADDRESS)
    openai_base_url: str = Field("https://api.openai.com/v1", pattern=_ADDRESS)
    claude: str | None = None
    version_url: str | None = None
    container: bool = False
    postgres_bin: Path | None = None
    state_dir: Path | None = None
    runs_dir: Path | None = None
    agent: str | None = None
    agent_command: str | None = None
    pass_env: str = ""
    users: str | None = None
    database_patience: float = Field(300.0, ge=0)
    heartbeat: float = Field(20.0, gt=0, le=60)
    app_url: str | None = None
    database_url: SecretStr | None = Field(None, validation_alias=AliasChoices("MASON_DATABASE_URL", "DATABASE_URL"))
    github_webhook_secret: SecretStr | None = None
    workflow: str = Field("mason.yml", pattern=r"^[\w.-]+\.ya?ml$")
    dispatcher: Literal["github_actions", "local"] | None = None
    oidc_issuer: str = "https://token.actions.githubusercontent.com"
    debounce: float = Field(5.0, ge=0, le=600)
    dispatch_patience: float = Field(120.0, ge=0, le=3600)
    sweep: float | None = Field(None, ge=1, le=3600)
    repository: str | None = Field(None, pattern=r"^[\w.-]+/[\w.-]+$")
    metrics_token: SecretStr | None = None
    workers: int = Field(2, ge=1, le=64)
    threads: int = Field(8, ge=1, le=256)
    jobs: int = Field(4, ge=1, le=64)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every value that must never be shown: the DSN, its password by itself, keys, tokens and other passwords."""
        named = (
            *(self.supabase_key, self.database_password, self.access_token, self.webhook_secret),
            *(self.github_token, self.github_app_key, self.anthropic_api_key, self.openai_api_key),
            *(self.github_webhook_secret, self.metrics_token),
        )
        found = [secret.get_secret_value() for secret in named if secret]
        found += [*secret_list(self.github_webhook_secret), *secret_list(self.webhook_secret)]
        for dsn in (self.dsn, self.database_url):
            found += _secrets_of_dsn(dsn.get_secret_value()) if dsn else []
        return tuple(found)


def _secrets_of_dsn(dsn: str) -> list[str]:
    """The DSN and its password, as it stands there and as it is meant."""
    in_url = r"://[^:/@]*:([^@/]*)@|[?&]password=([^&\s]*)"
    words = re.findall(in_url if "://" in dsn else r"password\s*=\s*('(?:[^'\\]|\\.)*'|\S+)()", dsn)
    passwords = [unquote(one.strip("'")) for pair in words for one in pair if one]
    return [dsn, *passwords, *(one.strip("'") for pair in words for one in pair if one)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """One place that may name a Supabase project: what it is called, and what it says."""

    name: str
    url: str | None
    key: SecretStr | None


def secret_list(secrets: SecretStr | None) -> tuple[str, ...]:
    """Several secrets in one variable, while they are being changed: separated by commas or blanks."""
    words = re.split(r"[\s,]+", secrets.get_secret_value()) if secrets else []
    return tuple(word for word in words if word)


def read_settings(*, dsn: str | None = None, repository: Path | None = None) -> Settings:
    """Settings from the process's environment; a ``dsn`` given here wins over everything.

    ``repository`` is the directory whose `mason.config.json` counts; without one only the environment does. Raises
    UsageError with one sentence that names the variable, or the key and file.
    """
    try:
        settings = Settings(dsn=SecretStr(dsn)) if dsn else Settings()
    except ValidationError as problem:
        first = problem.errors()[0]
        raise UsageError(f"{'.'.join(str(p) for p in first['loc'])}: {first['msg']}") from None
    if settings.dsn or repository is None:
        return settings
    url, key = supabase_origins(os.environ, read_config_file(repository))
    found = {
        "supabase_url": checked_url(url.url, url.name) if url and url.url else None,
        "supabase_key": key.key if key else None,
    }
    return settings.model_copy(update=found)


def read_migrate_settings(
    ways: Mapping[str, str | None], *, webhook_secret: str | None, repository: Path | None
) -> Settings:
    """Settings for `mason migrate`. ``ways`` are what the command line says of dsn, database_password, access_token.

    One way in given there leaves the environment's other ways out. Raises UsageError for more than one.
    """
    given = {name: SecretStr(value) for name, value in ways.items() if value is not None}
    if len(given) > 1:
        raise UsageError(f"Give one of {', '.join('--' + name.replace('_', '-') for name in given)}, not several.")
    dsn = given.get("dsn")
    settings = read_settings(dsn=dsn.get_secret_value() if dsn else None, repository=None if dsn else repository)
    chosen: dict[str, SecretStr | None] = {name: given.get(name) for name in ways} if given else {}
    if webhook_secret:
        chosen["webhook_secret"] = SecretStr(webhook_secret)
    return settings.model_copy(update=chosen)


def supabase_origins(environ: Mapping[str, str], file: ConfigFile | None) -> tuple[Origin | None, Origin | None]:
    """Where the URL and where the key that count come from, both None where no project is named.

    Plain ``SUPABASE_*`` mostly belong to the application that is worked on: they count last, and only together.
    Raises UsageError when one of the two is missing, or a key would leave the environment for a committed address.
    """
    plain = _origin(environ, "SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_ANON_KEY")
    from_environment = [
        _origin(environ, "INPUT_SUPABASE-URL", "INPUT_SUPABASE-KEY"),
        _origin(environ, "MASON_SUPABASE_URL", "MASON_SUPABASE_KEY"),
    ]
    from_file = [Origin(name=str(file.path), url=file.url, key=file.key)] if file else []
    named = [*from_environment, *from_file]
    if plain.url and plain.key and not any(origin.url or origin.key for origin in named):
        named = [plain]
    url = next((origin for origin in named if origin.url), None)
    key = next((origin for origin in named if origin.key), None)
    if url and not key:
        raise UsageError(f"{url.name} names a Supabase project without its key: set MASON_SUPABASE_KEY too.")
    if key and not url:
        raise UsageError(f"{key.name} holds a Supabase key without the project's URL: set MASON_SUPABASE_URL too.")
    if url in from_file and key not in from_file and environ.get("GITHUB_ACTIONS") == "true":
        raise UsageError(
            f"The Supabase key is a secret of this workflow, but its address stands in {CONFIG_NAME}, which anyone who "
            "may push can write: give the workflow the supabase-url too."
        )
    return url, key


def _origin(environ: Mapping[str, str], url: str, *keys: str) -> Origin:
    """What environment variables say; blank ones say nothing."""
    said = {name: value for name in (url, *keys) if (value := environ.get(name, "").strip())}
    key = next((name for name in keys if name in said), "")
    name = " and ".join(part for part in (url if url in said else "", key) if part)
    return Origin(name=name, url=said.get(url), key=SecretStr(said[key]) if key else None)


def checked_url(url: str, named: str) -> str:
    """A project's URL without trailing slash or ``/rest/v1``. Raises UsageError for anything unsafe or malformed."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise UsageError(f"The Supabase URL of {named} cannot be read.") from None
    if parts.scheme not in ("http", "https") or not host or re.search(r"[\s\x00-\x1f]", url):
        raise UsageError(f"The Supabase URL of {named} must look like https://<project>.supabase.co.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UsageError(f"The Supabase URL of {named} must hold no user, password, query or fragment.")
    if parts.scheme == "http" and not is_loopback(host):
        raise UsageError(f"The Supabase URL of {named} must begin with https://, or the key would travel in the open.")
    return url.rstrip("/").removesuffix("/rest/v1").rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether a host name stands for this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def environment() -> dict[str, str]:
    """A copy of this process's environment, for the allow lists that commands get."""
    return dict(os.environ)


def state_dir(settings: Settings, project: Path) -> Path:
    """Where a project's embedded database and kept work lie: ``.mason`` at its top level; as root below /var/lib/mason.

    It is the same from every directory of a repository. Root's Postgres runs as another user, who could not reach a
    directory inside root's home.
    """
    if settings.state_dir:
        return settings.state_dir.absolute()
    place = top_level(project)
    if os.geteuid() == 0:
        digest = hashlib.sha256(str(place).encode()).hexdigest()[:8]
        return ROOT_STATE / f"{place.name or 'root'}-{digest}"
    return place / ".mason"


def runs_dir(settings: Settings) -> Path:
    """Where runs have their trees. Never inside a checkout, whose configuration files tools would pick up."""
    if settings.runs_dir:
        place = settings.runs_dir.absolute()
        if ":" in str(place):  # programs of a tree go onto the PATH, where a colon separates
            raise UsageError(f"MASON_RUNS_DIR: {place} has a colon in it, which no PATH can carry")
        return place
    if os.geteuid() == 0:
        return ROOT_STATE / "runs"
    cache = os.environ.get("XDG_CACHE_HOME") or ""
    return (Path(cache) if cache.startswith("/") else Path.home() / ".cache") / "mason" / "runs"


def user_ids(settings: Settings) -> range | None:
    """The user ids that agents and checks run as, each tree's with one of its own; None: they run as Mason does.

    Raises UsageError with a sentence.
    """
    if settings.users is None:
        return None
    match = re.fullmatch(r"\s*(\d{1,10})\s*-\s*(\d{1,10})\s*", settings.users)
    first, last = map(int, match.groups()) if match else (0, 0)
    if not 0 < first <= last < 2**32 - 1:
        raise UsageError(f"MASON_USERS must be a range of user ids like 61000-61511, and is {settings.users[:100]!r}")
    if os.geteuid() != 0:
        raise UsageError(
            "MASON_USERS is set, but only root can run commands as other users: run Mason as root, or unset it"
        )
    return range(first, last + 1)
