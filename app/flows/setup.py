"""From nothing to a working bot: a GitHub App, a backlog, and whether all is well. Closed once it is finished.

Whoever opens the link that Mason has printed goes through it; everything that is stored is sealed.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from app.domain.setup import APP, BACKLOG, RECORD, SetupRecord, StoredApp, StoredBacklog, as_text, read
from app.errors import BadCode, MasonError, SetupClosed, SetupMistake
from app.flows.doctor import Finding, fail, ok
from app.ports.app_registration import AppRegistration
from app.ports.backlog_setup import BacklogSetup, NewBacklog, Prepared
from app.ports.sealed import Sealed

GITHUB_HOOK, SUPABASE_HOOK, RETURN = "/webhooks/github", "/webhooks/supabase", "/setup/github"
"""Where this Mason hears of GitHub and of the backlog, and where GitHub sends people back to."""

LONGEST_NAME = 34
"""Characters of an App's name at GitHub."""

AUTOMATIC = frozenset({"installation", "installation_repositories"})
"""Events that every App is sent, and none may subscribe to."""

_LONGEST_URL = 200
_ORGANISATION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,98}[A-Za-z0-9])?")
_CODE = re.compile(r"[0-9A-Za-z_-]{16,128}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """What the environment settles, and no setup changes: the names of the variables, "" where it says nothing."""

    github: str = ""
    backlog: str = ""
    app_url: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SetupPorts:
    """``alone`` keeps others out while it is held, in every process; it raises Busy at once. ``events`` are those that
    Mason's webhook reads. ``token`` gives the secret of the setup of that number, which the printed link carries.
    """

    sealed: Sealed
    alone: Callable[[], AbstractContextManager[object]]
    github: AppRegistration
    backlog: BacklogSetup
    checks: Callable[[], Sequence[Finding]]
    token: Callable[[int], str] = field(repr=False)
    events: frozenset[str] = frozenset()
    given: Given = Given()


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How far the setup is."""

    record: SetupRecord
    app: StoredApp | None
    backlog: StoredBacklog | None


@dataclass(frozen=True, kw_only=True, slots=True)
class AskedApp:
    """What a person fills in. ``organisation`` is "" for an App of their own."""

    name: str
    organisation: str
    app_url: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Registration:
    """A manifest and the page that it is posted to; ``nonce`` has to come back with GitHub's answer."""

    page: str
    manifest: Mapping[str, object]
    nonce: str = field(repr=False)


def standing(ports: SetupPorts) -> Standing:
    """How far it is, whoever asks. Raises what the sealed secrets raise."""
    return Standing(
        record=record_of(ports.sealed),
        app=read(StoredApp, ports.sealed.get(APP)),
        backlog=read(StoredBacklog, ports.sealed.get(BACKLOG)),
    )


def record_of(sealed: Sealed) -> SetupRecord:
    """Of a setup that nobody has begun, the first one."""
    return read(SetupRecord, sealed.get(RECORD)) or SetupRecord()


def is_open(given: Given, record: SetupRecord) -> bool:
    """A Mason whose GitHub the environment names needs no setup, unless somebody has opened it (again)."""
    return not record.finished and (record.number > 1 or not given.github)


def admitted(ports: SetupPorts, token: str) -> bool:
    """Whether this is the token of the setup that is open."""
    record = standing(ports).record
    return is_open(ports.given, record) and hmac.compare_digest(ports.token(record.number).encode(), token.encode())


def ask_for_app(ports: SetupPorts, asked: AskedApp, came_from: str) -> Registration:
    """What is posted to GitHub so that it makes the App. ``came_from``: the origin where the person's browser is, and
    GitHub sends it back to. Raises SetupMistake.
    """
    asked = checked(asked)
    with ports.alone():
        record = _open_record(ports)
        nonce = secrets.token_urlsafe(24)
        _write(ports, replace(record, nonce=nonce, app_url=asked.app_url, organisation=asked.organisation))
    return Registration(
        page=ports.github.page(asked.organisation or None),
        manifest=manifest(asked, came_from, ports.github.permissions, ports.events),
        nonce=nonce,
    )


def take_app(ports: SetupPorts, nonce: str, code: str) -> StoredApp:
    """What GitHub sends the person back with → the App, stored. The way back is good once; while GitHub is away it
    stays good. Raises SetupMistake, BadCode, and what the exchange raises.
    """
    if not _CODE.fullmatch(code):
        raise SetupMistake("GitHub sent no code that could be one.")
    with ports.alone():
        record = _open_record(ports)
        if not record.nonce or not hmac.compare_digest(record.nonce.encode(), nonce.encode()):
            raise SetupMistake("This way back from GitHub was used already, or another App was asked for since.")
        try:
            made = ports.github.exchange(code)
        except BadCode:
            _write(ports, replace(record, nonce=""))
            raise
        app = StoredApp(
            id=made.id,
            slug=made.slug,
            name=made.name,
            owner=made.owner,
            organisation=record.organisation,
            app_url=record.app_url,
            private_key=made.private_key,
            webhook_secret=made.webhook_secret,
        )
        ports.sealed.put(APP, as_text(app))
        _write(ports, replace(record, nonce=""))
    return app


def installed_at(ports: SetupPorts, app: StoredApp) -> Sequence[str] | str:
    """The accounts that the App is installed at, asked now; or why that is not known."""
    try:
        return ports.github.installed_at(str(app.id), app.private_key)
    except MasonError as problem:
        return str(problem)


def check_everything(ports: SetupPorts) -> Sequence[Finding]:
    """What `mason doctor` finds here, and whether the stored App is installed."""
    app = read(StoredApp, ports.sealed.get(APP))
    if app is None or ports.given.github:
        return ports.checks()
    accounts = installed_at(ports, app)
    if isinstance(accounts, str):
        return [*ports.checks(), fail("GitHub App", accounts)]
    if not accounts:
        return [*ports.checks(), fail("GitHub App", "it is installed nowhere", "install it on the repositories")]
    return [*ports.checks(), ok("GitHub App", f"installed at {', '.join(accounts)}")]


def connect_backlog(ports: SetupPorts, asked: NewBacklog) -> Prepared:
    """Check the project, bring its tables up to date, have it announce approvals, and store it: URL, key, and the
    secret of the announcements; nothing else. Raises SetupMistake, and what the port raises.
    """
    with ports.alone():
        record = _open_record(ports)
        url = ports.backlog.check(asked)
        secret = ports.backlog.new_secret()
        address = _address(ports, record)
        prepared = ports.backlog.prepare(replace(asked, url=url), address and address + SUPABASE_HOOK, secret)
        stored = StoredBacklog(url=url, key=asked.key, webhook_secret=secret, announced=prepared.announced)
        ports.sealed.put(BACKLOG, as_text(stored))
    return prepared


def finish(ports: SetupPorts) -> None:
    """Close the setup: its token and everything that was proved with it are worth nothing from now on."""
    with ports.alone():
        record = _open_record(ports)
        _write(ports, SetupRecord(number=record.number, finished=True))


def open_again(ports: SetupPorts) -> str:
    """The token of a new setup; an older one ends with that. What is stored stays."""
    with ports.alone():
        record = SetupRecord(number=standing(ports).record.number + 1)
        _write(ports, record)
    return ports.token(record.number)


def manifest(
    asked: AskedApp, came_from: str, permissions: Mapping[str, str], events: frozenset[str]
) -> Mapping[str, object]:
    """The App's description for GitHub: exactly the permissions and events in use (pure)."""
    return {
        "name": asked.name,
        "url": asked.app_url,
        "description": "Mason turns approved backlog items into validated pull requests.",
        "hook_attributes": {"url": asked.app_url + GITHUB_HOOK, "active": True},
        "redirect_url": came_from + RETURN,
        "public": False,
        "default_permissions": dict(permissions),
        "default_events": sorted(events - AUTOMATIC),
    }


def checked(asked: AskedApp) -> AskedApp:
    """As it was meant. Raises SetupMistake with what is wrong (pure)."""
    name, organisation, app_url = asked.name.strip(), asked.organisation.strip(), asked.app_url.strip().rstrip("/")
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise SetupMistake(f"The App needs a name, of {LONGEST_NAME} characters at most.")
    if organisation and not _ORGANISATION.fullmatch(organisation):
        raise SetupMistake("The organisation is named as in its address at GitHub: letters, digits and hyphens.")
    if len(app_url) > _LONGEST_URL or not app_url.isascii() or not app_url.isprintable():
        raise SetupMistake(f"Mason's address may have {_LONGEST_URL} characters, none of them special.")
    if not reachable(app_url):
        raise SetupMistake("Mason's address must begin with https://, and hold no user, query or fragment.")
    return AskedApp(name=name, organisation=organisation, app_url=app_url)


def reachable(url: str) -> bool:
    """Whether an address may be Mason's: https, or http on this machine (pure)."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    plain = not (parts.username or parts.password or parts.query or parts.fragment) and " " not in url
    secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    return bool(host) and plain and secure


def is_loopback(host: str) -> bool:
    """Whether a name stands for this machine, which GitHub cannot reach (pure)."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _address(ports: SetupPorts, record: SetupRecord) -> str:
    """Where the world reaches Mason; "" while nobody has said."""
    app = read(StoredApp, ports.sealed.get(APP))
    found = ports.given.app_url or (app.app_url if app else "") or record.app_url
    return found.rstrip("/")


def _open_record(ports: SetupPorts) -> SetupRecord:
    record = standing(ports).record
    if not is_open(ports.given, record):
        raise SetupClosed
    return record


def _write(ports: SetupPorts, record: SetupRecord) -> None:
    ports.sealed.put(RECORD, as_text(record))
