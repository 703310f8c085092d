"""The database's webhook: installing the trigger that announces approved items, or saying what to click instead."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import secrets
from importlib.resources import files
from urllib.parse import urlsplit

from app.backlog.migrate import PREPARE, Database, quoted, server
from app.errors import UsageError

PREFIX = "whsec_"
STATIC_HEADER = "x-mason-secret"
"""Where a webhook made in Supabase's dashboard, which cannot sign, carries the secret itself."""

_KEY_BYTES = (24, 64)
"""What Standard Webhooks asks for."""

_CAN_SIGN = """
select
  exists (
    select from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'net' and p.proname = 'http_post'
  ) as sends,
  exists (
    select from pg_proc p
    where p.proname = 'hmac' and oidvectortypes(p.proargtypes) = 'bytea, bytea, text'
  ) as signs
"""

_CLICKS = """\
This database cannot sign and send requests itself, for lack of {lacking}.
Enable {lacking} under Database → Extensions and run this again, or make the webhook by hand in the Supabase dashboard:
  1. Database → Webhooks → Create a new hook
  2. Table mason_pm_backlog_items, events Insert and Update
  3. HTTP Request, POST {url}
  4. Add the HTTP header {header} with the secret as its value"""


def new_secret() -> str:
    """A secret in the form of Standard Webhooks."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def install(database: Database, url: str, secret: str) -> str | None:
    """Install or replace the trigger on a migrated database; None, or what to do by hand where it cannot work.

    ``secret`` is "whsec_" and base64, as Standard Webhooks writes it. Raises UsageError for a URL or secret that
    cannot be used, DatabaseRefused, DatabaseUnreachable.
    """
    check_url(url)
    key = base64.b64encode(secret_key(secret)).decode()
    with server(database) as there:
        able = there.run(_CAN_SIGN)[0]
        lacking = [name for name, there_is in (("pg_net", able["sends"]), ("pgcrypto", able["signs"])) if not there_is]
        if lacking:
            return _CLICKS.format(lacking=" and ".join(lacking), url=url, header=STATIC_HEADER)
        there.run(
            f"{PREPARE}\nselect set_config('mason.webhook_url', {quoted(url)}, true);\n"
            f"select set_config('mason.webhook_key', {quoted(key)}, true);\n"
            + (files("app.backlog") / "webhook.sql").read_text("utf-8")
        )
    return None


def secret_key(secret: str) -> bytes:
    """The key's bytes. Raises UsageError, without the secret."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not _KEY_BYTES[0] <= len(key) <= _KEY_BYTES[1]:
        raise UsageError(
            f"The webhook secret must be {PREFIX} and {_KEY_BYTES[0]} to {_KEY_BYTES[1]} bytes in base64; "
            "leave it out and Mason makes one."
        )
    return key


def check_url(url: str) -> None:
    """Raise UsageError unless requests may be sent there: https, or http to this machine; no user, no fragment."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if not host or not url.isprintable() or " " in url or parts.username is not None or parts.fragment:
        raise UsageError("The webhook URL cannot be used: it must be like https://mason.example.com/webhooks/supabase.")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise UsageError("The webhook URL must begin with https://.")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
