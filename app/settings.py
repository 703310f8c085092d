"""Settings: the only reader of the environment. Keys are SecretStr; policy is read from the base commit elsewhere.

Where the backlog is, first match wins: ``--dsn``; ``MASON_DSN``; a Supabase project named by the Action's inputs,
``MASON_SUPABASE_*``, ``mason.config.json``, or plain ``SUPABASE_*`` as a pair; an embedded Postgres.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.config_file import CONFIG_NAME, ConfigFile, read_config_file, top_level
from app.errors import UsageError

_ADDRESS = r"^https?://[^\s?#]+$"

ROOT_STATE = Path("/var/lib/mason")

_CLOSED = "none: no endpoint"


def _setting(group: str) -> Callable[..., Any]:
    """Makes fields of one group of settings: a default, what the variable means, and how its default is ``shown``."""

    def setting(default: object, meaning: str, *, shown: str = "", **limits: Any) -> Any:  # noqa: ANN401
        return Field(default, description=meaning, json_schema_extra={"group": group, "shown": shown}, **limits)

    return setting


_backlog = _setting("The backlog")
_github = _setting("GitHub")
_agents = _setting("Agents")
_runs = _setting("Runs")
_app = _setting("The web app")


class Settings(BaseSettings):
    """What the environment says, and `read_settings` adds from the repository's `mason.config.json`.

    Each field is the variable ``MASON_`` with its name; its description and group stand in README's tables, which a
    test compares. ``users`` are read by `user_ids`, the secrets that may be several by `secret_list`.
    """

    model_config = SettingsConfigDict(env_prefix="MASON_", extra="ignore", frozen=True, env_ignore_empty=True)

    dsn: SecretStr | None = _backlog(None, "the backlog's Postgres", shown="an embedded one")
    supabase_url: str | None = _backlog(None, "the backlog's Supabase project, `https://<project>.supabase.co`")
    supabase_key: SecretStr | None = _backlog(None, "a key of that project: secret, service_role or anon")
    database_password: SecretStr | None = _backlog(None, "the project's database password, for `mason migrate` alone")
    access_token: SecretStr | None = _backlog(None, "or an access token of Supabase's, for `mason migrate` alone")
    webhook_secret: SecretStr | None = _backlog(
        None, "what Supabase's webhooks are signed with; several, separated by commas, while they change", shown=_CLOSED
    )
    database_patience: float = _backlog(300.0, "seconds for which an unreachable database is tried again", ge=0)
    postgres_bin: Path | None = _backlog(
        None, "binaries of PostgreSQL 14 or newer for the embedded database", shown="those of the `embedded` extra"
    )

    github_token: SecretStr | None = _github(None, "a token that opens pull requests; check runs need an App")
    github_app_id: str | None = _github(None, "or a GitHub App")
    github_app_key: SecretStr | None = _github(None, "the App's private key, a PEM")
    github_webhook_secret: SecretStr | None = _github(
        None, "the App's webhook secret; several, separated by commas, while they change", shown=_CLOSED
    )
    github_api_url: str = _github("https://api.github.com", "the API of a GitHub Enterprise server")
    github_server_url: str = _github("https://github.com", "the pages of a GitHub Enterprise server")
    workflow: str = _github("mason.yml", "the workflow file that is dispatched", pattern=r"^[\w.-]+\.ya?ml$")
    repository: str | None = _github(
        None,
        "`owner/name` that items without a repository belong to",
        shown="the checkout's origin",
        pattern=r"^[\w.-]+/[\w.-]+$",
    )
    oidc_issuer: str = _github(
        "https://token.actions.githubusercontent.com", "who signs the identity of jobs (Enterprise servers)"
    )

    agent: str | None = _agents(None, "who edits the files, as `--agent`", shown="`claude` with its key, else `patch`")
    agent_command: str | None = _agents(None, "the program of the agent `command`, as `--agent-command`")
    anthropic_api_key: SecretStr | None = _agents(None, "the key of Anthropic's models, which no agent sees")
    openai_api_key: SecretStr | None = _agents(None, "the key of OpenAI's models, which no agent sees")
    anthropic_base_url: str = _agents("https://api.anthropic.com", "where Anthropic's API is", pattern=_ADDRESS)
    openai_base_url: str = _agents(
        "https://api.openai.com/v1", "where OpenAI's API is, or a compatible one (with `/v1`)", pattern=_ADDRESS
    )
    claude: str | None = _agents(
        None, "the Claude Code program", shown="the one installed with Mason, else `claude` on the `PATH`"
    )
    pass_env: str = _agents(
        "", "names of variables that agents get as they are, separated by blanks; what they pay for has no limit"
    )
    users: str | None = _agents(
        None, "as root: the user ids that agents and checks run as, `61000-61511`", shown="root itself"
    )

    heartbeat: float = _runs(20.0, "seconds between two renewals of a claim", gt=0, le=60)
    state_dir: Path | None = _runs(
        None,
        "embedded database, kept work, cached installs, rows that wait for a database",
        shown="`.mason/`, as root below `/var/lib/mason`",
    )
    runs_dir: Path | None = _runs(
        None, "where runs have their trees", shown="`~/.cache/mason/runs`, as root `/var/lib/mason/runs`"
    )
    version_url: str | None = _runs(
        None,
        "a manifest that names the oldest Mason that may run; `mason run` then updates itself where it can",
        shown="no check",
    )
    container: bool = _runs(False, "set in an image, whose Mason cannot update itself")

    app_url: str | None = _app(
        None,
        "where the world reaches the web app; runners' tokens and links are for it",
        shown="none: no tokens",
        pattern=_ADDRESS,
    )
    database_url: SecretStr | None = _app(
        None,
        "the web app's own Postgres; also `DATABASE_URL`",
        shown="an embedded one",
        validation_alias=AliasChoices("MASON_DATABASE_URL", "DATABASE_URL"),
    )
    dispatcher: Literal["github_actions", "local"] | None = _app(
        None,
        "`github_actions`, or `local`: runs are processes on the worker's machine, in its checkout",
        shown="Actions with GitHub, else local",
    )
    debounce: float = _app(5.0, "seconds without a further approval until a run starts", ge=0, le=600)
    dispatch_patience: float = _app(
        120.0, "seconds for which GitHub may not list a workflow run that was dispatched", ge=0, le=3600
    )
    sweep: float | None = _app(
        None, "seconds between looks at everything", shown="60, with an embedded backlog 2", ge=1, le=3600
    )
    encryption_key: SecretStr | None = _app(
        None,
        "what stored secrets are sealed with, at least 32 characters; several, separated by commas, while it changes",
        shown="the state directory's `encryption-key`, made at the first start",
    )
    database_hosts: str = _app(
        "",
        "hosts besides Supabase's whose databases requests to the API may name, separated by commas",
        shown="none",
    )
    metrics_token: SecretStr | None = _app(
        None, "what `/metrics` asks for (`Authorization: Bearer`)", shown="none: open"
    )
    workers: int = _app(2, "processes of the web server", ge=1, le=64)
    threads: int = _app(8, "threads of each", ge=1, le=256)
    jobs: int = _app(4, "jobs side by side in one worker", ge=1, le=64)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every value that must never be shown: the DSN, its password by itself, keys, tokens and other passwords."""
        named = (
            *(self.supabase_key, self.database_password, self.access_token, self.webhook_secret),
            *(self.github_token, self.github_app_key, self.anthropic_api_key, self.openai_api_key),
            *(self.github_webhook_secret, self.metrics_token, self.encryption_key),
        )
        found = [secret.get_secret_value() for secret in named if secret]
        found += [*secret_list(self.github_webhook_secret), *secret_list(self.webhook_secret)]
        found += comma_list(self.encryption_key)
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


def comma_list(secrets: SecretStr | None) -> tuple[str, ...]:
    """As `secret_list`, of secrets that may have blanks inside."""
    words = secrets.get_secret_value().split(",") if secrets else []
    return tuple(word.strip() for word in words if word.strip())


def database_hosts(settings: Settings) -> frozenset[str]:
    """The hosts of MASON_DATABASE_HOSTS, in lower case."""
    return frozenset(re.split(r"[\s,]+", settings.database_hosts.strip().lower())) - {""}


def encryption_keys(settings: Settings) -> tuple[str, ...]:
    """The master secrets of MASON_ENCRYPTION_KEY, the newest first. Raises UsageError for one that can be guessed."""
    found = comma_list(settings.encryption_key)
    if any(len(one) < 32 or " #" in one for one in found):
        raise UsageError(
            "MASON_ENCRYPTION_KEY needs at least 32 characters, and no comment behind it, each of several: "
            "`openssl rand -base64 32` makes one"
        )
    return found


def read_settings(*, dsn: str | None = None, repository: Path | None = None) -> Settings:
    """Settings from the process's environment; a ``dsn`` given here wins over everything.

    ``repository`` is the directory whose `mason.config.json` counts; without one only the environment does. Raises
    UsageError with one sentence that names the variable, or the key and file.
    """
    try:
        settings = Settings(dsn=SecretStr(dsn)) if dsn else Settings()
    except ValidationError as problem:
        first = problem.errors()[0]
        name = str(first["loc"][0])
        raise UsageError(f"{name if name.isupper() else f'MASON_{name.upper()}'}: {first['msg']}") from None
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
    plain = _origin(environ, "SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_ANON_KEY", "SUPABASE_KEY")
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
