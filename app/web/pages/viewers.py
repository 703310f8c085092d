"""Who may look at runs: a key of the API, somebody who has signed in with one, whoever was given a signed link."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Request

from app.errors import MasonError
from app.ports.api_keys import ApiKeys
from app.web.pages.links import RUNS, Links, Proof
from app.web.pages.sign_in import Sessions
from app.web.signatures import bearer


class NotShown(MasonError):
    """This is not public. Sign in with an API key, or open a link that Mason has signed."""

    http_status = 401


class LinkExpired(NotShown):
    """The time of this link is over. Ask for a new one, or sign in with an API key."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Viewer:
    """``key`` is that of a signed link, which every address on the page has to carry on; "" without one.

    ``everything``: not only this run.
    """

    key: str = ""
    everything: bool = True
    signed_in: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Viewers:
    """Every key may look: each scope includes reading."""

    keys: ApiKeys
    links: Links
    sessions: Sessions

    def of(self, asking: Request) -> Viewer:
        """Who is looking. Raises NotShown, LinkExpired, DatabaseUnreachable."""
        key = asking.args.get("key", "")
        proof = self.links.proof(asking.path, key) if key else Proof.WRONG
        if proof is Proof.GOOD:
            return Viewer(key=key, everything=self.links.proof(RUNS, key) is Proof.GOOD)
        text = bearer(asking.headers.get("Authorization"))
        if text and self.keys.verified(text):
            return Viewer()
        if self.sessions.key(asking):
            return Viewer(signed_in=True)
        raise LinkExpired if proof is Proof.EXPIRED else NotShown
