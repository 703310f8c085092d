"""The REST API in this process, with keys in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from werkzeug.test import Client, TestResponse

from app.domain.api_keys import Scope
from app.web.api.framework import ApiBlueprint
from app.web.app import Api, WebParts, web_app
from app.web.health import Probes
from app.web.metrics import Samples, WebMetrics
from tests.fakes.api_keys import MemoryKeys
from tests.unit.web.ingress_kit import MemoryQueue


@dataclass
class ApiDoor:
    """The way in to ``routes``, with a key of each scope. ``session`` is whom a browser is signed in as."""

    routes: tuple[ApiBlueprint, ...] = ()
    session: Callable[..., Any] | None = None
    keys: MemoryKeys = field(default_factory=MemoryKeys)

    def __post_init__(self) -> None:
        self.texts = {scope: self.keys.create(scope.value, scope)[1] for scope in Scope}
        queue = MemoryQueue()
        parts = WebParts(
            jobs=queue,
            probes=Probes(queue=queue, samples=lambda: Samples(queue=queue.queue_state())),
            metrics=WebMetrics(),
            api=Api(keys=self.keys, routes=self.routes, session=self.session),
            version="1.2.3",
        )
        self.client = Client(web_app(parts))

    def bearer(self, scope: Scope = Scope.ADMIN) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.texts[scope]}"}

    def get(self, path: str, *, scope: Scope = Scope.ADMIN, **options: Any) -> TestResponse:
        return self.client.get(path, headers=self.bearer(scope), **options)

    def post(self, path: str, *, scope: Scope = Scope.ADMIN, **options: Any) -> TestResponse:
        return self.client.post(path, headers=self.bearer(scope), **options)


def error_of(response: TestResponse) -> tuple[int, str]:
    """Status and sentence of a refusal, which has the one shape of all of them."""
    said = response.json
    assert isinstance(said, dict), response.data
    assert said["statusCode"] == response.status_code
    assert said.keys() <= {"error", "details", "statusCode"}
    return response.status_code, said["error"]
