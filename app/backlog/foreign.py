"""A connection string that a stranger gave to a server: it may lead only where the operator wants it to.

What it could do besides: reach this machine and its network, read files here, log in with what libpq finds here.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import socket
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

from psycopg.conninfo import make_conninfo

from app.backlog.direct import check_dsn_target, parameters_of
from app.bounded import within
from app.errors import DatabaseUnreachable, UsageError

_RESOLVE_SECONDS = 5.0
_NAME = re.compile(r"[A-Za-z0-9._:-]{1,253}")
_WITH_TLS = ("require", "verify-ca", "verify-full")

Resolve = Callable[[str], Sequence[str]]
"""The addresses of a host, the best first. Raises DatabaseUnreachable."""


def addresses_of(host: str) -> Sequence[str]:
    """What the system says, asked for a few seconds at most."""
    try:
        found = within(
            _RESOLVE_SECONDS,
            lambda: socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG),
        )
    except (OSError, UnicodeError, TimeoutError):
        raise DatabaseUnreachable(f"No address of {host} is known.") from None
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def foreign_dsn(dsn: str, allowed: Collection[str] = (), resolve: Resolve = addresses_of) -> str:
    """The connection string in the form in which it may be used: one host of Supabase's or of those ``allowed`` (in
    lower case), pinned to an address that was looked at, with a password of its own, over TLS.

    An allowed host may be in a private network too; on this machine alone it needs no TLS. Raises UsageError with one
    sentence, without the password, and DatabaseUnreachable when the host has no address.
    """
    parameters = parameters_of(dsn)
    host = parameters.get("host", "")
    named = host.lower().rstrip(".") in allowed
    check_dsn_target(dsn, other_hosts=named, private=named)  # before anybody is asked for its address
    if not _NAME.fullmatch(host) or "hostaddr" in parameters:
        raise UsageError("The connection string must name its host by its name alone.")
    if not parameters.get("password"):
        raise UsageError("The connection string must hold the password.")
    addresses = resolve(host)
    checked = check_dsn_target(dsn, other_hosts=named, private=named, addresses=addresses)
    here = all(ipaddress.ip_address(one.partition("%")[0]).is_loopback for one in addresses)
    tls = parameters_of(checked).get("sslmode") or "prefer"
    return make_conninfo(checked, gssencmode="disable", sslmode=tls if here or tls in _WITH_TLS else "require")


@contextmanager
def cut_off(file: int, seconds: float) -> Iterator[None]:
    """End the connection with this file descriptor if the block takes longer: a server that only pretends to be one
    could hold its client for ever. Whoever waits for it is told that the connection broke.
    """
    connection = socket.socket(fileno=os.dup(file))

    def end() -> None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        connection.close()
