from __future__ import annotations

import socket
from contextlib import closing

import pytest

from app.backlog.foreign import addresses_of, cut_off
from app.errors import DatabaseUnreachable


def test_cut_off__whoever_waits_for_a_silent_server_is_told_that_it_is_gone() -> None:
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs), cut_off(ours.fileno(), 0.05):
        ours.settimeout(30)
        assert ours.recv(1) == b""


def test_cut_off__in_time_changes_nothing() -> None:
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        with cut_off(ours.fileno(), 30):
            pass
        theirs.send(b"x")
        assert ours.recv(1) == b"x"


@pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 300, "two..dots", "\udcff"])
def test_addresses_of__a_name_that_has_none(host: str) -> None:
    with pytest.raises(DatabaseUnreachable, match="No address of"):
        addresses_of(host)


def test_addresses_of__a_literal_address_is_its_own() -> None:
    assert addresses_of("127.0.0.1") == ["127.0.0.1"]
