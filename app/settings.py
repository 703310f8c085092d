"""Settings: the only reader of the environment. Keys are SecretStr; policy is read from the base commit elsewhere."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.errors import UsageError

ROOT_STATE = Path("/var/lib/mason")


class Settings(BaseSettings):
    """What the environment says. ``dsn`` names the backlog's Postgres; without it the embedded one is used."""

    model_config = SettingsConfigDict(env_prefix="MASON_", extra="ignore", frozen=True, env_ignore_empty=True)

    dsn: SecretStr | None = None
    postgres_bin: Path | None = None
    state_dir: Path | None = None
    runs_dir: Path | None = None
    agent: str = "patch"
    agent_command: str | None = None
    pass_env: str = ""
    database_patience: float = Field(300.0, ge=0)
    heartbeat: float = Field(20.0, gt=0, le=60)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every value that must never be shown: the DSN, and its password by itself."""
        if not self.dsn:
            return ()
        dsn = self.dsn.get_secret_value()
        password = re.search(r"://[^:/@]*:([^@/]*)@", dsn) or re.search(r"password=('[^']*'|\S+)", dsn)
        return (dsn, password[1].strip("'")) if password and password[1] else (dsn,)


def read_settings(*, dsn: str | None = None) -> Settings:
    """Settings from the process's environment; a ``dsn`` given here wins. Raises UsageError naming the variable."""
    try:
        return Settings(dsn=SecretStr(dsn)) if dsn else Settings()
    except ValidationError as problem:
        first = problem.errors()[0]
        raise UsageError(f"{'.'.join(str(p) for p in first['loc'])}: {first['msg']}") from problem


def environment() -> dict[str, str]:
    """A copy of this process's environment, for the allow lists that commands get."""
    return dict(os.environ)


def state_dir(settings: Settings, project: Path) -> Path:
    """Where a project's embedded database and kept work lie: ``.mason`` in it; as root below /var/lib/mason.

    Root's Postgres runs as another user, who could not reach a directory inside root's home.
    """
    if settings.state_dir:
        return settings.state_dir.absolute()
    if os.geteuid() == 0:
        digest = hashlib.sha256(str(project.resolve()).encode()).hexdigest()[:8]
        return ROOT_STATE / f"{project.resolve().name or 'root'}-{digest}"
    return project.resolve() / ".mason"


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
