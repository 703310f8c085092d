"""How this Mason was installed, and therefore how it is updated: with the installer that knows it, or not at all."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any, NoReturn

from app import process
from app.errors import UsageError

PACKAGE = "mason-bot"
ACTION = "Assure-DeFi/mason"

TIME_LIMIT = 600.0

_ALLOWED = re.compile(r"(PIP|PIPX|UV|XDG|SSL|REQUESTS)_\w+|(https?|all|no)_proxy|VIRTUAL_ENV", re.IGNORECASE)
"""What an installer sees beside the usual: its own settings, proxies, certificates. Building a package runs foreign
code, so no key of Mason's is among it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ways:
    """The installer's ``name`` and ``command``; without a command only a person can update, as ``by_hand`` says."""

    name: str
    by_hand: str
    command: tuple[str, ...] = ()


def detect(version: str | None, environ: Mapping[str, str], *, container: bool) -> Ways:
    """How to get to ``version`` (None: the newest there is) from here.

    A checkout belongs to the person who made it and is never updated; an image cannot be.
    """
    if container:
        action = environ.get("GITHUB_ACTION_REPOSITORY") or ACTION
        line = f"uses: {action}@action/v{version}" if version else f"uses: {action}@<the newest release>"
        return Ways(name="the image", by_hand=f"pin the Action with `{line}`.")
    installed = distribution(PACKAGE)
    source = _direct_url(installed)
    url = str(source.get("url", ""))
    if url.startswith("file:"):
        return Ways(name="a checkout", by_hand=f"it is installed from {url.removeprefix('file://')}; update that.")
    prefix = Path(sys.prefix)
    if (prefix / "pipx_metadata.json").exists():
        return _by_command("pipx", ("pipx", "upgrade", prefix.name))
    if (prefix / "uv-receipt.toml").exists():
        return _by_command("uv", ("uv", "tool", "upgrade", prefix.name))
    requirement = _requirement(source, version)
    installer = (installed.read_text("INSTALLER") or "an unknown installer").strip()
    if installer == "uv" and requirement:
        return _by_command("uv", ("uv", "pip", "install", "--python", sys.executable, "--upgrade", requirement))
    if installer == "pip" and requirement:
        return _by_command("pip", (sys.executable, "-m", "pip", "install", "--upgrade", requirement))
    return Ways(name=installer, by_hand=f"it was installed by {installer} from {url or 'a package'}; update it there.")


def update(ways: Ways, environ: Mapping[str, str]) -> None:
    """Run the installer. Raises UsageError with the last thing it said and the command to try by hand."""
    extra = {name: value for name, value in environ.items() if _ALLOWED.fullmatch(name)}
    done = process.run(
        ways.command,
        cwd=Path("/"),
        env=process.base_environment(environ, extra),
        timeout=TIME_LIMIT,
        merge=True,
    )
    if not done.ok:
        said = "it is not on the PATH" if done.missing else _last_line(done.text) or "it did not end well"
        raise UsageError(f"{ways.name} could not update Mason ({said}): {ways.by_hand}")


def start_again(environ: Mapping[str, str]) -> NoReturn:
    """Replace this process by the same command line, run by what is installed now."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], dict(environ))  # noqa: S606


def _by_command(name: str, command: tuple[str, ...]) -> Ways:
    return Ways(name=name, by_hand=f"run `{shlex.join(command)}`.", command=command)


def _direct_url(installed: Distribution) -> dict[str, Any]:
    """Where a package that is from no index was installed from (PEP 610); empty for one from an index."""
    try:
        content = json.loads(installed.read_text("direct_url.json") or "{}")
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _requirement(source: Mapping[str, Any], version: str | None) -> str:
    """What to ask the installer for, from where it came from the first time; empty when that cannot be said."""
    if not source:
        return f"{PACKAGE}>={version}" if version else PACKAGE
    vcs = source.get("vcs_info")
    kind = vcs.get("vcs") if isinstance(vcs, dict) else None
    if not kind:
        return ""
    return f"{PACKAGE} @ {kind}+{source.get('url')}" + (f"@v{version}" if version else "")


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return re.sub(r"(?<=://)[^/\s@]+@", "", "".join(c for c in lines[-1] if c.isprintable())[:300]) if lines else ""
