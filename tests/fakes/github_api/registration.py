"""The pages on which a person registers an App from a manifest, and installs it: as little HTML as will do.

GitHub's own pages are behind a login; whoever comes here is the owner of the account.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.fakes.faults import Answer
from tests.fakes.github_api.actors import LEVELS, pem, private_key
from tests.fakes.github_api.records import App
from tests.fakes.github_api.routes import Refused
from tests.fakes.loopback import Incoming

if TYPE_CHECKING:
    from tests.fakes.github_api.hub import Hub

PATH = re.compile(r"/(?:organizations/(?P<organisation>[^/]+)/)?settings/apps(?P<new>/new)?|/apps/(?P<slug>[^/]+)/.*")

LONGEST_NAME = 34
CODE_LIFE = 3600.0
"""Seconds for which a code can be exchanged."""

_FIELDS = {
    "name": str,
    "url": str,
    "hook_attributes": dict,
    "redirect_url": str,
    "callback_urls": list,
    "setup_url": str,
    "description": str,
    "public": bool,
    "default_events": list,
    "default_permissions": dict,
    "request_oauth_on_install": bool,
    "setup_on_update": bool,
}
_EVENT_NEEDS = {
    "check_run": "checks",
    "check_suite": "checks",
    "issue_comment": "issues",
    "pull_request": "pull_requests",
    "push": "contents",
    "workflow_run": "actions",
}
"""Events that an App can subscribe to, and the permission that it takes; GitHub has more of both."""


@dataclass(frozen=True, kw_only=True)
class Registered:
    """An App that somebody has registered from a manifest. ``at`` is when, in seconds since the epoch."""

    app: App
    manifest: Mapping[str, Any]
    webhook_secret: str = field(default_factory=lambda: secrets.token_hex(20), repr=False)
    client_secret: str = field(default_factory=lambda: secrets.token_hex(20), repr=False)
    at: float


class Registration:
    """``codes`` are those that nobody has exchanged; ``registered`` are all Apps, in their order."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.codes: dict[str, Registered] = {}
        self.registered: list[Registered] = []

    def exchange(self, code: str) -> Registered:
        """What a code stands for, this once. Raises Refused."""
        found = self.codes.pop(code, None)
        if found is None or self._hub.clock() > found.at + CODE_LIFE:
            raise Refused(404, "Not Found")
        return found

    def answer(self, incoming: Incoming) -> Answer:
        """The page that a path names."""
        path = PATH.fullmatch(incoming.path)
        assert path
        fields = dict(parse_qsl(incoming.body.decode(), keep_blank_values=True))
        owner = path["organisation"] or "ada"
        if path["slug"]:
            return self._installing(path["slug"], incoming, fields)
        if incoming.method != "POST" or "manifest" not in fields:
            return _page(404, "<h1>Not found</h1>")
        try:
            manifest = read_manifest(fields["manifest"])
        except ValueError as problem:
            return _page(422, f"<h1>Invalid GitHub App configuration</h1><p>{escape(str(problem))}</p>")
        if path["new"]:
            return _asking(incoming, manifest, fields["manifest"])
        return self._made(owner, manifest, fields.get("name") or manifest["name"], fields.get("state", ""))

    def _made(self, owner: str, manifest: Mapping[str, Any], name: str, state: str) -> Answer:
        app = App(
            id=self._hub.new_id(),
            slug=re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-"),
            name=name,
            private_key=pem(private_key()),
            owner=owner,
            url=manifest["url"],
            permissions={**manifest["default_permissions"], "metadata": "read"},
            events=tuple(manifest["default_events"]),
        )
        self._hub.tokens.apps[app.id] = app
        self._hub.user(app.login, kind="Bot")
        made = Registered(app=app, manifest=manifest, at=self._hub.clock())
        self.registered.append(made)
        code = secrets.token_hex(20)
        self.codes[code] = made
        return Answer(
            status=302, headers={"Location": f"{manifest['redirect_url']}?{urlencode({'code': code, 'state': state})}"}
        )

    def _installing(self, slug: str, incoming: Incoming, fields: Mapping[str, str]) -> Answer:
        app = next((each for each in self._hub.tokens.apps.values() if each.slug == slug), None)
        if app is None:
            return _page(404, "<h1>Not found</h1>")
        if incoming.method != "POST":
            form = '<form method="post"><input name="repository"><button>Install</button></form>'
            return _page(200, f"<h1>Install {escape(app.name)}</h1>{form}")
        self._hub.install(fields["repository"], app=app, permissions=app.permissions)
        return _page(200, f"<h1>Installed on {escape(fields['repository'])}</h1>")


def read_manifest(text: str) -> dict[str, Any]:
    """A manifest that GitHub takes. Raises ValueError with what is wrong with it."""
    manifest = json.loads(text)
    for name, value in manifest.items():
        if not isinstance(value, _FIELDS.get(name, ())):
            raise ValueError(f"{name} is no field of a manifest, or of another type")
    if not 0 < len(manifest.get("name", "")) <= LONGEST_NAME:
        raise ValueError(f"Name is too long (maximum is {LONGEST_NAME} characters)")
    hook = manifest["hook_attributes"]
    for where in (manifest["url"], manifest["redirect_url"], hook["url"]):
        if urlsplit(where).scheme not in ("http", "https") or not urlsplit(where).netloc:
            raise ValueError(f"{where} is no URL")
    permissions = manifest.get("default_permissions", {})
    for name, level in permissions.items():
        if level not in LEVELS or not re.fullmatch("[a-z_]+", name):
            raise ValueError(f"Default permission records {name} is invalid")
    for event in manifest.get("default_events", []):
        if event not in _EVENT_NEEDS:  # those of installing an App reach it in any case
            raise ValueError(f"Default events unsupported: {event}")
        if _EVENT_NEEDS[event] not in permissions:
            raise ValueError(f"Default events are not supported by permissions: {event}")
    return dict(manifest)


def _asking(incoming: Incoming, manifest: Mapping[str, Any], text: str) -> Answer:
    state = incoming.fields.get("state", "")
    form = (
        f'<form method="post" action="{escape(incoming.path.removesuffix("/new"))}">'
        f'<input type="hidden" name="manifest" value="{escape(text)}">'
        f'<input type="hidden" name="state" value="{escape(state)}">'
        f'<label>GitHub App name <input name="name" value="{escape(manifest["name"])}"></label>'
        f"<button>Create GitHub App for you</button></form>"
    )
    return _page(200, f"<h1>Create GitHub App</h1>{form}")


def _page(status: int, body: str) -> Answer:
    text = f'<!doctype html><html lang="en"><title>GitHub, a fake</title><body>{body}</body></html>'
    return Answer(status=status, body=text.encode(), headers={"Content-Type": "text/html; charset=utf-8"})
