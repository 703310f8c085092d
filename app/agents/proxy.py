"""The model proxy: agents get a loopback URL and a throw-away token, the real key and the budget stay here."""

from __future__ import annotations

import hmac
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self
from uuid import UUID

import httpx

from app.agents.model_apis import Provider
from app.agents.prices import Prices
from app.agents.proxy_access import Access
from app.agents.proxy_http import ProxyServer
from app.agents.proxy_money import Ledger
from app.agents.proxy_upstream import Calls, Upstream, checked_outbound
from app.domain.policy import Price

LOOK = 0.2
"""Seconds between two looks at whether the clients of the calls under way are still there."""


class ModelProxy:
    """One for a runner; use it as a context manager. It listens on an ephemeral port of 127.0.0.1.

    ``upstreams`` are the APIs that there is a key for. ``prices`` (by the model's name) go before the list's.
    ``run_budget_usd`` is what all spenders together may spend; `proxy_money.Ledger` says by how much a budget can be
    overshot. A call that comes too late is refused in a way that no client tries again: a status of 402 with
    ``billing_error`` for Anthropic's API, of 400 with ``insufficient_quota`` for OpenAI's (Claude Code 2.1 tries a 400
    again, Codex 0.169 a 402), both with ``x-should-retry: false``, which the vendors' own clients heed.

    It does not try again itself: clients do that, and who runs them reads ``trouble``. ``outbound`` is the URL of an
    HTTP proxy on the way to other machines; the environment is not asked for one (only, by OpenSSL's own variables, for
    more CAs). Raises UsageError when that is no URL.
    """

    def __init__(
        self,
        upstreams: Mapping[Provider, Upstream],
        *,
        prices: Mapping[str, Price] | None = None,
        run_budget_usd: float | None = None,
        outbound: str | None = None,
    ) -> None:
        self._upstreams, self._prices = dict(upstreams), Prices(prices)
        self._outbound = checked_outbound(outbound)
        self.ledger = Ledger(run_budget_usd)
        self.calls: dict[Provider, Calls] = {}
        self._accesses: dict[str, Access] = {}
        self._guard = threading.Lock()
        self._ending = threading.Event()
        self._stack = ExitStack()

    def __repr__(self) -> str:
        return f"ModelProxy({', '.join(self._upstreams)})"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            context = httpx.create_ssl_context()
            for provider, upstream in self._upstreams.items():
                self.calls[provider] = stack.enter_context(Calls(provider, upstream, context, self._outbound))
            self._server = stack.enter_context(ProxyServer(self))
            watch = threading.Thread(target=self._watch, name="model-proxy-watch", daemon=True)
            watch.start()
            stack.callback(watch.join)
            stack.callback(self._ending.set)
            stack.callback(self._close_all)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stack.close()

    @contextmanager
    def open(
        self, *, spender: UUID, budget_usd: float | None, prices: Mapping[str, Price] | None = None
    ) -> Iterator[Access]:
        """A way to the model whose cost is the spender's, who may spend ``budget_usd`` over all its accesses together.

        ``prices`` go before the proxy's own. At the end the token stops working, and what is under way is cut off.
        """
        known = self._prices.extended(prices) if prices else self._prices
        access = Access(self._server.url, spender, budget_usd, known, self.ledger)
        with self._guard:
            self._accesses[access.token] = access
        try:
            yield access
        finally:
            self._close(access)

    def access(self, token: str) -> Access | None:
        """Whose token it is; compares with every one in the same time."""
        with self._guard:
            accesses = list(self._accesses.values())
        given = token.encode(errors="replace")
        found = [access for access in accesses if hmac.compare_digest(access.token.encode(), given)]
        return found[0] if found else None

    def spent(self, spender: UUID | None = None) -> float:
        """US dollars, of one spender or of the run."""
        return self.ledger.spent(spender)

    def _close(self, access: Access) -> None:
        with self._guard:
            self._accesses.pop(access.token, None)
        access.close()

    def _close_all(self) -> None:
        with self._guard:
            accesses = list(self._accesses.values())
        for access in accesses:
            self._close(access)

    def _watch(self) -> None:
        while not self._ending.wait(LOOK):
            with self._guard:
                accesses = list(self._accesses.values())
            for call in [call for access in accesses for call in access.calls()]:
                call.look()
