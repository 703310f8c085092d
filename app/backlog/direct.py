"""A database reached by a connection string: an operator's, or the one made from a Supabase project and a password."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row

from app.backlog.sql_server import SqlRefused
from app.domain.supabase_keys import project_ref
from app.errors import DatabaseRefused, DatabaseUnreachable, UsageError

Connection = psycopg.Connection[Any]

_CONNECT_SECONDS = 10
_HOSTED = (".supabase.co", ".supabase.com")
_HARMLESS = {"host", "hostaddr", "port", "user", "password", "dbname", "sslmode", "connect_timeout", "application_name"}
"""Parameters of a foreign connection string that read no file of this machine and run nothing on it."""


class Direct:
    """``SqlServer`` on an open connection, which must not be inside a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def fileno(self) -> int:
        """The file descriptor of the connection."""
        return self._connection.fileno()

    def run(self, script: str) -> list[dict[str, Any]]:
        try:
            with self._connection.transaction(), self._connection.cursor(row_factory=dict_row) as cursor:
                cursor.execute(script.encode())
                while cursor.nextset():
                    pass
                return cursor.fetchall() if cursor.description else []
        except psycopg.Error as problem:
            if self._connection.closed:
                raise DatabaseUnreachable(f"The connection to the database broke: {_sentence(problem)}") from None
            raise SqlRefused(_sentence(problem), sqlstate=problem.sqlstate) from None


@contextmanager
def connected(dsn: str) -> Iterator[Direct]:
    """A server at a connection string. Raises DatabaseUnreachable or DatabaseRefused, without the password."""
    password = parameters_of(dsn).get("password", "")
    try:
        connection = psycopg.connect(dsn, autocommit=True, prepare_threshold=None, connect_timeout=_CONNECT_SECONDS)
    except psycopg.Error as problem:
        text = _sentence(problem)
        text = text.replace(password, "***") if password else text
        if "authentication failed" in text or "Tenant or user not found" in text:
            raise DatabaseRefused(f"The database refused the login: {text}") from None
        raise DatabaseUnreachable(f"The database did not answer: {text}{_advice(dsn)}") from None
    with connection:
        yield Direct(connection)


def required_ref(url: str | None) -> str:
    """The ref of a hosted project, from its URL. Raises UsageError, one sentence, for anything else."""
    parts = _split(url or "")
    if not url or not parts:
        raise UsageError("Say which project: --supabase-url https://<ref>.supabase.co.")
    if parts[0] != "https":
        raise UsageError(f"The project's URL must begin with https://, not {parts[0] or 'nothing'}://.")
    ref = project_ref(url)
    if ref is None:
        raise UsageError(
            f"{parts[1] or 'This'} is not the address of a Supabase project: that is https://<ref>.supabase.co, "
            "the ref being 20 lower-case letters."
        )
    return ref


def direct_dsn(ref: str, password: str) -> str:
    """The connection string of a project's own database host; the password may hold any character but NUL."""
    if not password or "\0" in password:
        raise UsageError("The database password is empty or holds a NUL; it is the one of Project Settings → Database.")
    return make_conninfo(
        host=f"db.{ref}.supabase.co",
        port=5432,
        user="postgres",
        password=password,
        dbname="postgres",
        sslmode="require",
    )


def place(dsn: str) -> str:
    """Which database a connection string leads to, whoever logs in."""
    parameters = parameters_of(dsn)
    return "/".join(parameters.get(name, "") for name in ("host", "port", "dbname"))


def check_dsn_target(
    dsn: str, *, other_hosts: bool = False, private: bool = False, addresses: Sequence[str] = ()
) -> str:
    """A stranger's connection string in the form in which it may be used: over TLS, to one host out in the world.

    Hosts are *.supabase.co and *.supabase.com unless the operator allows ``other_hosts``; loopback, private, link-local
    and other special addresses, and sockets, only with ``private``. Pure: ``addresses`` are what the caller resolved
    the host to; the answer is pinned to the first, so that it cannot resolve to something else later. An operator's
    own command line needs none of this. Raises UsageError with one sentence, without the password.
    """
    parameters = parameters_of(dsn)
    if foreign := sorted(parameters.keys() - _HARMLESS):
        raise UsageError(f"The connection string may not set {', '.join(foreign)}.")
    host, address = parameters.get("host", ""), parameters.get("hostaddr", "")
    if not host or "," in host or "," in address or "," in parameters.get("port", ""):
        raise UsageError("The connection string must name exactly one host.")
    local = _is_local(host) or any(map(_is_special, [*addresses, *([address] if address else [])]))
    if local and not private:
        raise UsageError("The connection string leads to this machine or a private network, which is not allowed.")
    if not local and not other_hosts and not (host.lower().endswith(_HOSTED) and not address):
        raise UsageError("The connection string's host must be one of *.supabase.co or *.supabase.com.")
    if addresses and not address:
        parameters["hostaddr"] = addresses[0]
    if not local and parameters.get("sslmode") not in ("require", "verify-ca", "verify-full"):
        parameters["sslmode"] = "require"
    return make_conninfo(**parameters)


def parameters_of(dsn: str) -> dict[str, str]:
    """What a connection string sets. Raises UsageError with one sentence, without any of it."""
    try:
        return {name: str(value) for name, value in conninfo_to_dict(dsn).items() if value is not None}
    except (psycopg.ProgrammingError, UnicodeError, ValueError):
        raise UsageError(
            "The connection string cannot be read; a password with @ : / % or # in it has to be percent-encoded."
        ) from None


def _split(url: str) -> tuple[str, str] | None:
    """Scheme and host of a URL; None when it cannot be taken apart."""
    try:
        parts = urlsplit(url.strip())
        return parts.scheme, parts.hostname or ""
    except ValueError:
        return None


def _is_local(host: str) -> bool:
    """Whether a name or literal address stands for this machine or a network that is not the world's."""
    name = host.lower().rstrip(".")
    if name.startswith(("/", "@", "\\")) or name == "localhost":
        return True
    if name.endswith((".localhost", ".local", ".internal", ".lan", ".home.arpa")):
        return True
    try:
        ipaddress.ip_address(name.strip("[]").partition("%")[0])
    except ValueError:
        # Without a dot it is a name of the local network; all digits, or hexadecimal, an address in another notation.
        return "." not in name or name.rpartition(".")[2].isdigit() or name.rpartition(".")[2].startswith("0x")
    return _is_special(name)


def _is_special(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        return True
    inner = getattr(parsed, "ipv4_mapped", None) or getattr(parsed, "sixtofour", None)
    return not (inner or parsed).is_global or parsed.is_multicast


def _advice(dsn: str) -> str:
    """What helps when a project's own host cannot be reached: mostly it has an IPv6 address only."""
    host = parameters_of(dsn).get("host", "")
    if not (host.startswith("db.") and host.endswith(".supabase.co")):
        return ""
    return (
        ". A project's own database host has an IPv6 address only, which many networks (GitHub's runners too) cannot "
        "reach: give the session pooler's connection string (Supabase → Connect → Session pooler) instead"
    )


def _sentence(problem: psycopg.Error) -> str:
    text = problem.diag.message_primary or str(problem)
    return text.strip().partition("\n")[0].rstrip(".")
