"""Ways to a model through the proxy: whose they are, what was used through them, and the calls that are under way."""

from __future__ import annotations

import logging
import secrets
import select
import socket
import threading
from contextlib import suppress
from uuid import UUID

from app.agents.model_apis import ApiTrouble
from app.agents.model_meters import Meter
from app.agents.model_requests import Asked
from app.agents.prices import Prices
from app.agents.proxy_money import Ledger
from app.agents.proxy_upstream import Cut
from app.domain.results import Usage

log = logging.getLogger(__name__)

MOST_CALLS = 32
"""Calls of one access that may be under way at once."""

_PATIENCE = 15.0
"""Seconds that a closing access waits for its calls: a connection that is being made takes up to ten."""


class Access:
    """One way to a model, for one call of an agent. Its token works until the access is closed.

    ``usage`` is what was used through it: cached tokens count as input, ``turns`` are answers that came to their end,
    ``tool_calls`` the calls of tools in them; calls under way are not in it, seconds are not measured. ``trouble`` is
    what was wrong with the call that ended last, None when that went well.
    """

    def __init__(self, url: str, spender: UUID, budget_usd: float | None, prices: Prices, ledger: Ledger) -> None:
        self.anthropic_url = url
        self.openai_url = f"{url}/v1"
        self.token = f"mason-{secrets.token_urlsafe(32)}"
        self.spender, self.budget_usd, self.prices, self.ledger = spender, budget_usd, prices, ledger
        self.trouble: ApiTrouble | None = None
        self._usage = Usage()
        self._open: set[Call] = set()
        self._closed = False
        self._changed = threading.Condition()

    def __repr__(self) -> str:
        return f"Access(spender={self.spender})"

    def usage(self) -> Usage:
        with self._changed:
            return self._usage

    def add(self, call: Call) -> bool:
        """Note a call that begins; False when there are too many, or the access is closed."""
        with self._changed:
            welcome = not self._closed and len(self._open) < MOST_CALLS
            if welcome:
                self._open.add(call)
            return welcome

    def remove(self, call: Call) -> None:
        with self._changed:
            self._open.discard(call)
            self._changed.notify_all()

    def note(self, trouble: ApiTrouble | None, used: Usage | None = None) -> None:
        with self._changed:
            self._usage += used or Usage()
            self.trouble = trouble

    def calls(self) -> list[Call]:
        with self._changed:
            return list(self._open)

    def close(self) -> None:
        """End what is under way, so that the usage is final."""
        with self._changed:
            self._closed = True
        for call in self.calls():
            call.abort()
        with self._changed:
            if not self._changed.wait_for(lambda: not self._open, _PATIENCE):
                log.warning("A call of the model's API did not end in time: what it cost is not counted")


class Call:
    """One call under way: its money, and how it can be cut off."""

    def __init__(self, access: Access, connection: socket.socket) -> None:
        self.access = access
        self.cut = Cut()
        self._connection = connection
        self._reserve: float | None = None

    def begin(self, asked: Asked) -> bool:
        """Reserve what the input may cost; False when nobody wants the answer any more. Raises Spent."""
        access, reserve = self.access, self.access.prices.reserve(asked.model, asked.tokens)
        if not access.ledger.begin(access.spender, access.budget_usd, reserve, lambda: not self.cut.pulled):
            return False
        self._reserve = reserve
        return True

    def end(self, asked: Asked, meter: Meter | None, trouble: ApiTrouble | None) -> None:
        """Count what the answer used, once: ``meter`` None when there was none to pay for.

        A call that its client left, or that was cut off, says nothing about the API; it pays for what the API has told,
        and for what it has not: its reserve, what was seen of the answer, and what may have been unseen (`Asked`).
        """
        if self._reserve is None:
            return
        reserve, self._reserve = self._reserve, None
        used = Usage()
        if meter:
            counted = meter.tokens(asked.tokens, asked.unseen if self.cut.pulled else 0)
            used = Usage(
                input_tokens=counted.all_input,
                output_tokens=counted.output,
                cost_usd=self.access.prices.dearer_cost(asked.model, meter.model, counted),
                turns=int(meter.done),
                tool_calls=meter.tool_calls if meter.done else 0,
            )
        self.access.ledger.end(self.access.spender, reserve, used.cost_usd)
        self.access.note(self.access.trouble if self.cut.pulled else trouble, used)

    def look(self) -> None:
        """Cut the call off when its client has gone."""
        try:
            waiting = select.poll()
            waiting.register(self._connection, select.POLLIN)
            gone = bool(waiting.poll(0)) and not self._connection.recv(1, socket.MSG_PEEK)
        except (OSError, ValueError):
            gone = True
        if gone:
            self.cut.pull()

    def abort(self) -> None:
        """Cut it off, whatever its client thinks of it."""
        self.cut.pull()
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
