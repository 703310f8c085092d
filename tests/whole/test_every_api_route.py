"""What every route of the REST API does with whom it does not know and with what makes no sense, over HTTP."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx

from tests.whole import served_api
from tests.whole.served_api import Served

served = served_api.served

SCOPES = ("read", "run", "admin")
NOBODYS = str(UUID(int=7))


def requests(document: dict[str, Any], place: str = NOBODYS) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, address and operation of everything there is, about something that is not there."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method.upper(), re.sub(r"\{\w+\}", place, path), operation


def refused(answer: httpx.Response, *statuses: int) -> None:
    """It has one of the statuses, and the one shape that errors have."""
    about = f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text[:300]}"
    assert answer.status_code in statuses, about
    said = answer.json()
    assert said["statusCode"] == answer.status_code, about
    assert isinstance(said["error"], str), about
    assert said["error"], about
    assert said.keys() <= {"error", "details", "statusCode"}, about


def test_every_route__and_what_is_wrong(served: Served) -> None:
    document = served.get("/api/openapi.json")
    keys = {scope: {"Authorization": f"Bearer {served.new_key(scope)}"} for scope in SCOPES}
    revoked = served.new_key("admin")
    served_api.mason(served.environment, "api-key", "revoke", revoked.split("_")[1])
    with httpx.Client(base_url=served.url, timeout=30) as client:
        nobody_gets_in(client, document, revoked)
        nobody_gets_more_than_the_scope_of_the_key(client, document, keys)
        bodies_are_refused(client, document, served.bearer)
        ids_and_queries_are_refused(client, document, served.bearer)
        other_methods_are_refused(client, document, served.bearer)
    assert served.get("/api/health")["status"] == "ok"


def nobody_gets_in(client: httpx.Client, document: dict[str, Any], revoked: str) -> None:
    for method, path, _ in requests(document):
        for header in (None, "Bearer x", f"Bearer {revoked}", f"Basic {revoked}"):
            answer = client.request(method, path, headers={"Authorization": header} if header else {})
            refused(answer, 401)
            assert answer.headers["WWW-Authenticate"] == "Bearer"


def nobody_gets_more_than_the_scope_of_the_key(
    client: httpx.Client, document: dict[str, Any], keys: dict[str, dict[str, str]]
) -> None:
    for method, path, operation in requests(document):
        (needed,) = operation["security"][0]["key"]
        for scope in SCOPES[: SCOPES.index(needed)]:
            refused(client.request(method, path, headers=keys[scope], content=b"{}"), 403)
        if method == "GET":
            assert client.get(path, headers=keys[needed]).status_code in (200, 404), path


def bodies_are_refused(client: httpx.Client, document: dict[str, Any], bearer: dict[str, str]) -> None:
    is_json = {"Content-Type": "application/json", **bearer}
    for method, path, operation in requests(document):
        if "requestBody" not in operation:
            continue
        for body in (b"{", b"\xff", b"[]", b"null", b"5", b'"text"', b'{"nobodyKnows": 1}', b'{"a": NaN}', b"[" * 9999):
            refused(client.request(method, path, headers=is_json, content=body), 400)
        refused(client.request(method, path, headers=is_json, content=b'{"a": 1, "a": 1}'), 400)
        refused(client.request(method, path, headers={**bearer, "Content-Type": "text/plain"}, content=b"{}"), 415)
        refused(client.request(method, path, headers=is_json, content=iter([b"{}"])), 411)
        assert status_of_ten_megabytes(client, method, path, is_json) == 413


def status_of_ten_megabytes(client: httpx.Client, method: str, path: str, headers: dict[str, str]) -> int:
    """They are announced, and the answer comes before any of them is sent."""
    there = http.client.HTTPConnection(client.base_url.host, client.base_url.port or 80, timeout=30)
    try:
        there.request(method, path, headers={**headers, "Content-Length": "10000000"})
        return there.getresponse().status
    finally:
        there.close()


def ids_and_queries_are_refused(client: httpx.Client, document: dict[str, Any], bearer: dict[str, str]) -> None:
    for place in ("7", "null", "%00", "%ff", "x" * 4000, "..%2f..", "'%20or%201=1--"):
        for method, path, operation in requests(document, place):
            if place in path and "requestBody" not in operation:
                refused(client.request(method, path, headers=bearer), 400, 404)
    for method, path, operation in requests(document):
        if path.endswith(NOBODYS) and method == "GET":
            refused(client.get(path, headers=bearer), 404)
        if any(one["in"] == "query" for one in operation.get("parameters", ())):
            refused(client.request(method, path, params={"nobodyKnows": "1"}, headers=bearer), 400)


def other_methods_are_refused(client: httpx.Client, document: dict[str, Any], bearer: dict[str, str]) -> None:
    for path in document["paths"]:
        known = {method.upper() for method in document["paths"][path]}
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - known:
            answer = client.request(method, re.sub(r"\{\w+\}", NOBODYS, path), headers=bearer)
            refused(answer, 405)
            assert known <= set(answer.headers["Allow"].split(", "))
