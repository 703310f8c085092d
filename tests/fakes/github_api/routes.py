"""The table of endpoints, and what an endpoint is given and gives back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlencode

from tests.fakes.faults import Answer

if TYPE_CHECKING:
    from tests.fakes.github_api.actors import Actor
    from tests.fakes.github_api.hub import Hub
    from tests.fakes.github_api.repository import FakeRepository

T = TypeVar("T")

DOCUMENTATION = "https://docs.github.com/rest"
_WITH_SLASHES = ("ref", "branch", "path")


class Refused(Exception):
    """An answer of 400 and more. ``errors`` are the entries of a 422."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        errors: list[dict[str, Any]] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.errors = errors
        self.headers = headers or {}

    @property
    def answer(self) -> Answer:
        body: dict[str, Any] = {"message": str(self)}
        if self.errors is not None:
            body["errors"] = self.errors
        body |= {"documentation_url": DOCUMENTATION, "status": str(self.status)}
        return json_answer(self.status, body, self.headers)


def not_found() -> Refused:
    return Refused(404, "Not Found")


def invalid(resource: str, field_name: str, code: str, message: str = "", value: Any = None) -> Refused:
    """A 422 in the shape of GitHub's: ``code`` is missing_field, invalid, already_exists, custom, …"""
    error: dict[str, Any] = {"resource": resource, "code": code}
    error |= {"field": field_name} if field_name else {}
    error |= {"message": message} if message else {}
    error |= {"value": value} if isinstance(value, str | int) else {}
    return Refused(422, "Validation Failed", errors=[error])


@dataclass(kw_only=True)
class Ask:
    """A request on its way to an endpoint. ``args`` are the parts of its path, decoded."""

    hub: Hub
    actor: Actor
    args: dict[str, str]
    query: dict[str, str]
    body: Any
    url: str
    found: FakeRepository | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def repository(self) -> FakeRepository:
        assert self.found is not None, "a route without a repository"
        return self.found

    def number(self, name: str) -> int:
        if not self.args[name].isdigit():
            raise not_found()
        return int(self.args[name])

    @property
    def fields(self) -> dict[str, Any]:
        """The body, which has to be an object. Raises Refused."""
        if self.body is None:
            return {}
        if not isinstance(self.body, dict):
            raise Refused(400, "Body should be a JSON object")
        return self.body

    def page(self, items: Sequence[T]) -> list[T]:
        """The page that was asked for; the Link header names the others."""
        size = min(100, max(1, _integer(self.query.get("per_page"), 30)))
        page = max(1, _integer(self.query.get("page"), 1))
        last = max(1, -(-len(items) // size))
        links: dict[str, int] = {}
        if page < last:
            links |= {"next": page + 1, "last": last}
        if page > 1:
            links |= {"first": 1, "prev": page - 1}
        if links:
            self.headers["Link"] = ", ".join(
                f'<{self.url}?{urlencode({**self.query, "page": number})}>; rel="{name}"'
                for name, number in links.items()
            )
        return list(items[(page - 1) * size : page * size])


Endpoint = Callable[[Ask], tuple[int, Any]]
"""Gives a status and what to send as JSON; None for no body."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """``needs``: permissions, any of which will do (``checks=write``). ``role``: what a person needs in the repository.
    ``jwt``: for Apps that show who they are with a JWT. ``anyone``: no credentials are looked at.
    """

    method: str
    template: str
    endpoint: Endpoint
    needs: tuple[str, ...]
    role: str
    jwt: bool
    anyone: bool
    pattern: re.Pattern[str]

    @property
    def write(self) -> bool:
        return self.method != "GET"


TABLE: list[Route] = []


def route(
    call: str, *needs: str, role: str = "", jwt: bool = False, anyone: bool = False
) -> Callable[[Endpoint], Endpoint]:
    """Put an endpoint into the table: ``@route("GET /repos/{owner}/{repo}", "metadata=read")``."""
    method, _, template = call.partition(" ")

    def register(endpoint: Endpoint) -> Endpoint:
        TABLE.append(
            Route(
                method=method,
                template=template,
                endpoint=endpoint,
                needs=needs or ("metadata=read",),
                role=role or ("read" if method == "GET" else "write"),
                jwt=jwt,
                anyone=anyone,
                pattern=_pattern(template),
            )
        )
        return endpoint

    return register


def match(method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """The route of a percent-encoded path and its decoded arguments."""
    for each in TABLE:
        if each.method == method and (found := each.pattern.fullmatch(path)):
            return each, {name: unquote(value) for name, value in found.groupdict().items()}
    return None


def json_answer(status: int, value: Any, headers: dict[str, str] | None = None) -> Answer:
    if value is None:
        return Answer(status=status, headers=dict(headers or {}))
    body = json.dumps(value).encode()
    return Answer(
        status=status, body=body, headers={"Content-Type": "application/json; charset=utf-8", **(headers or {})}
    )


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", template)
    literal, names = parts[::2], parts[1::2]
    text = re.escape(literal[0])
    for name, after in zip(names, literal[1:], strict=True):
        text += f"(?P<{name}>{'.+' if name in _WITH_SLASHES else '[^/]+'}){re.escape(after)}"
    return re.compile(text)


def _integer(text: str | None, default: int) -> int:
    return int(text) if text and text.isdigit() else default
