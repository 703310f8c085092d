"""Room in the model proxy: nobody, with or without a token, keeps the others out."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from app.agents.proxy_relay import LARGEST_BODY
from app.agents.proxy_room import (
    HEAD_TIME,
    MOST_BYTES,
    MOST_BYTES_OF_ONE,
    MOST_CONNECTIONS_OF_ONE,
    Bytes,
    Connections,
)
from tests.fakes.model_api import Turn, script
from tests.unit.agents.model_proxy_kit import ask, opened, proxied


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as all_of_it:
        yield all_of_it


def pair(stack: ExitStack) -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    return stack.enter_context(ours), stack.enter_context(theirs)


def hung_up(theirs: socket.socket) -> bool:
    theirs.setblocking(False)
    try:
        return theirs.recv(1) == b""
    except BlockingIOError:
        return False


def test_connections__who_has_no_token_makes_room_the_oldest_first(stack: ExitStack) -> None:
    room = Connections(most=3)
    sockets = [pair(stack) for _ in range(6)]
    assert all(room.enter(ours) for ours, _ in sockets[:3])
    assert room.admit(sockets[0][0], "a")
    assert room.enter(sockets[3][0])
    assert [hung_up(theirs) for _, theirs in sockets[:4]] == [False, True, False, False]
    assert not room.admit(sockets[1][0], "a")
    assert room.admit(sockets[2][0], "a")
    assert room.admit(sockets[3][0], "b")
    assert not room.enter(sockets[4][0])
    room.leave(sockets[0][0])
    assert room.enter(sockets[5][0])


def test_connections__a_token_is_to_be_shown_in_time(stack: ExitStack) -> None:
    now = [0.0]
    room = Connections(clock=lambda: now[0])
    (late, at_late), (guest, at_guest) = pair(stack), pair(stack)
    assert room.enter(late)
    assert room.enter(guest)
    assert room.admit(guest, "a")
    now[0] = HEAD_TIME - 0.1
    room.turn_out_the_late()
    assert not hung_up(at_late)
    now[0] = HEAD_TIME
    room.turn_out_the_late()
    assert (hung_up(at_late), hung_up(at_guest)) == (True, False)


def test_connections__of_one_access_are_limited(stack: ExitStack) -> None:
    room = Connections()
    sockets = [pair(stack)[0] for _ in range(MOST_CONNECTIONS_OF_ONE + 1)]
    assert all(room.enter(each) for each in sockets)
    assert [room.admit(each, "a") for each in sockets] == [True] * MOST_CONNECTIONS_OF_ONE + [False]
    assert room.admit(sockets[0], "a")
    assert room.admit(sockets[-1], "b")


def test_bytes__are_limited_for_one_and_for_all() -> None:
    room = Bytes()
    assert room.take("a", MOST_BYTES_OF_ONE)
    assert not room.take("a", 1)
    rest = MOST_BYTES // MOST_BYTES_OF_ONE - 1
    assert all(room.take(f"b{number}", MOST_BYTES_OF_ONE) for number in range(rest))
    assert not room.take("c", 1)
    room.give_back("a", MOST_BYTES_OF_ONE)
    assert room.take("c", 1)


def begun(stack: ExitStack, url: str, head: str) -> socket.socket:
    """A connection to the proxy whose request never goes on."""
    port = int(url.rpartition(":")[2])
    connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
    connection.sendall(f"POST /v1/messages HTTP/1.1\r\nHost: x\r\n{head}".encode())
    return connection


def test_proxy__lengths_that_are_only_told_keep_nobody_out(stack: ExitStack) -> None:
    with proxied(script(Turn("x"))) as (_, proxy), opened(proxy) as bad, opened(proxy) as good:
        for _ in range(9):
            begun(stack, bad.anthropic_url, f"x-api-key: {bad.token}\r\nContent-Length: {LARGEST_BODY}\r\n\r\n{{")
        assert ask(good).status_code == 200
        assert ask(bad).status_code == 200
        stack.close()


def test_proxy__who_shows_no_token_is_turned_out(stack: ExitStack) -> None:
    with proxied(script(Turn("x"))) as (_, proxy), opened(proxy) as access:
        heads = ["", "x-api-key: no\r\n", "x-api-key: no\r\nContent-Length: 60000000\r\n\r\n"]
        silent = [begun(stack, access.anthropic_url, head) for head in heads]
        assert ask(access).status_code == 200
        for connection in silent:
            while connection.recv(4096):
                pass
