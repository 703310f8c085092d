"""Whether a delivery comes from who it says (pure, on bytes): GitHub's signature, and what Supabase's hooks carry."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping, Sequence

TOLERANCE = 300
"""Seconds that a signed timestamp may be off (platform facts, Supabase)."""

STATIC_HEADER = "x-mason-secret"
"""Where a webhook that cannot sign carries the secret itself."""

_PREFIX = b"whsec_"
_BEARER = b"bearer "


def github_signed(body: bytes, header: str | None, secrets: Sequence[bytes]) -> bool:
    """Whether ``X-Hub-Signature-256`` is that of one of the secrets. SHA-1 is none (platform facts, Webhooks)."""
    given = _octets(header)
    right = False
    for secret in filter(None, secrets):
        right |= hmac.compare_digest(b"sha256=" + hmac.digest(secret, body, "sha256").hex().encode(), given)
    return right


def supabase_signed(body: bytes, headers: Mapping[str, str], secrets: Sequence[bytes], now: float) -> bool:
    """Whether the headers (names in lower case) carry one of the secrets, or its signature of the body.

    Signatures are those of Standard Webhooks, as `mason migrate --webhook-url` has them made; ``now`` is in seconds
    since the epoch. The secret itself comes in `STATIC_HEADER` or as a Bearer token.
    """
    plain = [_octets(headers.get(STATIC_HEADER)), _bearer(headers.get("authorization"))]
    message = _signed_message(body, headers, now)
    signatures = _octets(headers.get("webhook-signature")).split()
    right = False
    for secret in filter(None, secrets):
        for given in plain:
            right |= hmac.compare_digest(secret, given)
        if message and (key := _key(secret)):
            expected = b"v1," + base64.b64encode(hmac.digest(key, message, "sha256"))
            for given in signatures:
                right |= hmac.compare_digest(expected, given)
    return right


def bearer(header: str | None) -> str:
    """The token of an ``Authorization`` header, "" when there is none."""
    return _bearer(header).decode("latin-1")


def _signed_message(body: bytes, headers: Mapping[str, str], now: float) -> bytes | None:
    """The text that is signed; None when its parts are missing, or it is too old or too new."""
    message_id, moment = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not message_id or not re.fullmatch(r"[0-9]{1,12}", moment) or abs(now - int(moment)) > TOLERANCE:
        return None
    return b".".join((_octets(message_id), moment.encode(), body))


def _key(secret: bytes) -> bytes:
    """The key of a secret in the form of Standard Webhooks, with or without its prefix; b"" when it has another."""
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _bearer(header: str | None) -> bytes:
    given = _octets(header)
    return given[len(_BEARER) :].strip() if given[: len(_BEARER)].lower() == _BEARER else b""


def _octets(header: str | None) -> bytes:
    """The bytes of a header as WSGI hands it over. Bytes compare in constant time whatever they are, texts do not."""
    try:
        return (header or "").encode("latin-1")
    except UnicodeEncodeError:
        return b""
