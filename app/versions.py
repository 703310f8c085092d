"""Version enforcement: a published manifest says which Mason is the oldest that may still run (contracts §2).

`app/versions.json` is this repository's own manifest. ``MASON_VERSION_URL`` names the one that counts; without it
nothing is asked. A manifest that cannot be had, or is no manifest, never stops anybody: it is ignored with a note.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from app import installation
from app.bounded import within
from app.errors import MasonError, UsageError
from app.settings import Settings, is_loopback

if TYPE_CHECKING:
    import httpx

log = logging.getLogger("mason")

TIME_LIMIT = 3.0
"""Seconds for everything: the name look-up, redirects, a server that sends a byte a second."""

UPDATED_FROM = "MASON_UPDATED_FROM"
"""Environment variable of a Mason that was started again by an older one: it does not update a second time."""

_LARGEST = 64_000
_REDIRECTS = 4
_VERSION = re.compile(r"\d{1,6}(\.\d{1,6}){0,3}")


class Outdated(UsageError):
    """This Mason is older than the oldest that may still run."""


class NoManifest(MasonError):
    """What was fetched is no version manifest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """``version`` is the newest Mason, ``required_minimum`` the oldest that may run, ``reason`` why, in one line."""

    version: str
    required_minimum: str
    reason: str = ""


def enforce(settings: Settings, environ: Mapping[str, str]) -> None:
    """Return if this Mason may run; else update it and start again with the same arguments, once.

    Raises Outdated with a sentence where that cannot be: in a container, in a checkout, or after an update in vain.
    """
    manifest = published(settings.version_url)
    ours = current()
    if manifest is None or not older(ours, manifest.required_minimum):
        return
    said = f"Mason {ours} is older than {manifest.required_minimum}, the oldest that may still run"
    said += f" ({manifest.reason})" if manifest.reason else ""
    ways = installation.detect(manifest.version, environ, container=settings.container)
    if environ.get(UPDATED_FROM):
        raise Outdated(f"{said}, and the update did not change that: {ways.by_hand}")
    if not ways.command:
        raise Outdated(f"{said}: {ways.by_hand}")
    log.warning("%s: updating with %s.", said, ways.name)
    installation.update(ways, environ)
    installation.start_again({**environ, UPDATED_FROM: ours})


def update(settings: Settings, environ: Mapping[str, str]) -> str:
    """Update by hand: what became of it, one sentence. Raises Outdated, or UsageError when the installer failed."""
    manifest = published(settings.version_url)
    before = current()
    if manifest and not older(before, manifest.version):
        return f"Mason {before} is up to date."
    ways = installation.detect(manifest.version if manifest else None, environ, container=settings.container)
    if not ways.command:
        raise Outdated(f"This Mason ({before}) cannot update itself: {ways.by_hand}")
    installation.update(ways, environ)
    after = current()
    if after == before:
        return f"Mason stays at {before}: {ways.name} found nothing newer."
    return f"Mason {before} became {after}."


def current() -> str:
    """The version that is installed."""
    return installed_version(installation.PACKAGE)


def older(one: str, other: str) -> bool:
    """Whether one version comes before another; what follows the numbers (``.dev1``, ``rc2``) does not count."""
    return _numbers(one) < _numbers(other)


def _numbers(version: str) -> tuple[int, ...]:
    leading = _VERSION.match(version)
    numbers = [int(part) for part in leading[0].split(".")] if leading else []
    return tuple(numbers + [0] * (4 - len(numbers)))


def published(url: str | None) -> Manifest | None:
    """The manifest at a URL. None, with a note in the log, when it cannot be had or is none; None without a URL."""
    if not url:
        return None
    try:
        return parse(within(TIME_LIMIT, lambda: _fetch(url)))
    except TimeoutError:
        log.warning("The version manifest was not read: no answer within %.0f seconds.", TIME_LIMIT)
    except (NoManifest, OSError) as problem:
        log.warning("The version manifest was not read: %s", problem)
    return None


def parse(data: bytes) -> Manifest:
    """A manifest from its bytes. Raises NoManifest."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        raise NoManifest("it is not JSON.") from None
    if not isinstance(content, dict):
        raise NoManifest("it is no JSON object.")
    version, minimum = (content.get(name) for name in ("version", "required_minimum"))
    if not all(isinstance(text, str) and _VERSION.fullmatch(text) for text in (version, minimum)):
        raise NoManifest("version and required_minimum must be text like 1.2.3.")
    if older(str(version), str(minimum)):
        raise NoManifest("it requires a version that is newer than the newest.")
    reason = content.get("breaking_reason")
    printable = "".join(letter for letter in reason if letter.isprintable()) if isinstance(reason, str) else ""
    return Manifest(version=str(version), required_minimum=str(minimum), reason=printable[:200].strip())


def _fetch(url: str) -> bytes:
    """The body at a URL, over https (http on loopback, for trying it out). Raises NoManifest, OSError."""
    import httpx

    first = url
    try:
        with httpx.Client(timeout=TIME_LIMIT, headers={"accept-encoding": "identity"}) as client:
            for _ in range(_REDIRECTS):
                if not _safe(url, first):
                    raise NoManifest("it is not served over https.")
                with client.stream("GET", url) as response:
                    if response.is_redirect:
                        url = urljoin(url, response.headers["location"])
                        continue
                    if response.status_code != httpx.codes.OK:
                        raise NoManifest(f"the server answered {response.status_code}.")
                    return _bounded(response)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as problem:
        raise NoManifest(f"{type(problem).__name__}.") from problem
    raise NoManifest("it was redirected too often.")


def _bounded(response: httpx.Response) -> bytes:
    body = bytearray()
    for chunk in response.iter_raw(chunk_size=4096):
        body += chunk
        if len(body) > _LARGEST:
            raise NoManifest("it is too large.")
    return bytes(body)


def _safe(url: str, first: str) -> bool:
    """Whether a URL may be asked; a redirect never leads from https to http."""
    parts, start = urlsplit(url), urlsplit(first)
    if parts.scheme == "https":
        return True
    return parts.scheme == start.scheme == "http" and is_loopback(parts.hostname or "")
