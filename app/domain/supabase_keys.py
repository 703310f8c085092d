"""What a Supabase key says about itself, without asking anybody; verifying it is the server's work. Pure."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

_REF = re.compile(r"[a-z]{20}")
_LATEST = 1e12
_KINDS = {"sb_secret_": "sb_secret", "sb_publishable_": "sb_publishable"}


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectKey:
    """``kind`` is anon, service_role, sb_secret, sb_publishable, another role's name, or unknown.

    ``ref`` is the project it was made for and ``expires`` when it ends (seconds since 1970), where it says so.
    """

    kind: str
    ref: str | None = None
    expires: float | None = None

    @property
    def bypasses_policies(self) -> bool:
        return self.kind in ("service_role", "sb_secret")


def read_key(key: str) -> ProjectKey:
    """Read a key; anything that is none is of the kind unknown."""
    for prefix, kind in _KINDS.items():
        if key.startswith(prefix):
            return ProjectKey(kind=kind)
    claims = _claims(key)
    role, ref, expires = (claims.get(name) for name in ("role", "ref", "exp"))
    kind = role if isinstance(role, str) and re.fullmatch(r"[a-z_]{1,40}", role) else "unknown"
    return ProjectKey(
        kind=kind,
        ref=ref if isinstance(ref, str) and _REF.fullmatch(ref) else None,
        expires=float(expires) if isinstance(expires, int | float) and abs(expires) < _LATEST else None,
    )


def project_ref(url: str) -> str | None:
    """The ref in a hosted project's URL; None for a server of one's own or a custom domain."""
    name, _, domain = (urlsplit(url).hostname or "").partition(".")
    return name if domain in ("supabase.co", "supabase.in") and _REF.fullmatch(name) else None


def _claims(key: str) -> dict[str, object]:
    """The payload of a JWT; empty when it is none."""
    parts = key.split(".")
    if len(parts) != 3 or len(key) > 10_000:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}
