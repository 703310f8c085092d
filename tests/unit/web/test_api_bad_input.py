"""What the REST API refuses before any route of it is asked."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Request, Response
from pydantic import Field
from werkzeug.test import TestResponse

from app.domain.api_keys import ApiKey, Scope
from app.web.api.framework import BODY_LIMIT, ApiBlueprint, InPlace, Model, answer, needs
from app.web.errors import NoKey
from tests.unit.web.api_kit import ApiDoor, error_of

HERE = f"/api/things/{UUID(int=7)}"


class Place(InPlace):
    thing_id: UUID


class Pages(InPlace):
    page_size: int = Field(10, ge=1, le=100)


class Thing(Model):
    thing_name: str = Field(max_length=20)
    count: int = 0
    share: float = 0.5
    more: dict[str, object] | None = None


def things() -> ApiBlueprint:
    api = ApiBlueprint("things", tag="Things", prefix="/api/things")

    @api.get("/<thingId>")
    @needs(Scope.READ)
    def look(path: Place, query: Pages) -> Response:
        """Look at a thing."""
        return answer(Thing(thing_name="look", count=query.page_size))

    @api.put("/<thingId>")
    @needs(Scope.RUN)
    def change(path: Place, body: Thing) -> Response:
        """Change a thing."""
        return answer(body)

    @api.delete("/<thingId>")
    @needs(Scope.ADMIN)
    def remove(path: Place) -> Response:
        """Remove a thing."""
        raise ValueError("a bug, with a secret in it")

    return api


@pytest.fixture(scope="module")
def door() -> ApiDoor:
    return ApiDoor(routes=(things(),))


def put(door: ApiDoor, body: bytes | str, **headers: str) -> TestResponse:
    given = {"Content-Type": "application/json"} | door.bearer(Scope.RUN) | headers
    return door.client.put(HERE, data=body, headers=given)


# Who asks


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Basic {key}",
        "{key}",
        "Token {key}",
        "Bearer {key}x",
        "Bearer {key} {key}",
        "Bearer {key}\u00e9",
        "Bearer mason_00000000_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "Bearer " + "x" * 20_000,
    ],
)
@pytest.mark.parametrize("path", [HERE, "/api/health", "/api/openapi.json", "/api/nowhere", "/api/"])
def test_key__that_is_none(door: ApiDoor, path: str, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.format(key=door.texts[Scope.ADMIN])}
    refused = door.client.get(path, headers=headers)
    assert error_of(refused) == (401, str(NoKey()))
    assert refused.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_key__its_scheme_may_be_written_as_one_likes(door: ApiDoor, scheme: str) -> None:
    header = {"Authorization": f"{scheme} {door.texts[Scope.READ]}"}
    assert door.client.get("/api/health", headers=header).status_code == 200


def test_key__that_was_revoked() -> None:
    door = ApiDoor()
    assert door.get("/api/health", scope=Scope.RUN).status_code == 200
    assert door.keys.revoke(door.keys.stored[door.texts[Scope.RUN]].prefix)
    assert error_of(door.get("/api/health", scope=Scope.RUN))[0] == 401
    assert door.get("/api/health", scope=Scope.READ).status_code == 200


@pytest.mark.parametrize(
    ("method", "scopes"),
    [("GET", [Scope.READ, Scope.RUN, Scope.ADMIN]), ("PUT", [Scope.RUN, Scope.ADMIN]), ("DELETE", [Scope.ADMIN])],
)
def test_scope__that_is_too_small(door: ApiDoor, method: str, scopes: list[Scope]) -> None:
    for scope in Scope:
        found = door.client.open(HERE, method=method, headers=door.bearer(scope), json={"thingName": "a"})
        assert (found.status_code == 403) is (scope not in scopes), scope
        if scope not in scopes:
            assert f"scope {scopes[0].value}" in error_of(found)[1]


def test_nowhere__is_told_to_who_has_a_key(door: ApiDoor) -> None:
    for path in ("/api/nowhere", "/api/", "/api/things", "/api//health", "/api/health/"):
        assert error_of(door.get(path, scope=Scope.READ))[0] == 404, path


def test_keys__that_cannot_be_looked_up() -> None:
    door = ApiDoor()
    door.keys.away = True
    away = door.get("/api/health")
    assert error_of(away) == (503, "Something that Mason needs is away; try again.")
    assert "db.internal" not in away.text


# A browser that is signed in


def signed_in(request: Request) -> ApiKey | None:
    if "session" not in request.cookies:
        return None
    return ApiKey(prefix="00000000", name="browser", scope=Scope.ADMIN, created_at=datetime.now(UTC))


def test_session__is_good_for_looking_alone() -> None:
    door = ApiDoor(routes=(things(),), session=signed_in)
    door.client.set_cookie("session", "1")
    assert door.client.get(HERE).status_code == 200
    assert door.client.get("/api/docs").status_code == 200
    for method in ("PUT", "DELETE", "POST", "OPTIONS"):
        assert door.client.open(HERE, method=method, json={"thingName": "a"}).status_code == 401, method


def test_session__does_not_help_a_key_that_is_not_good() -> None:
    door = ApiDoor(routes=(things(),), session=signed_in)
    door.client.set_cookie("session", "1")
    assert door.client.get(HERE, headers={"Authorization": "Bearer x"}).status_code == 401


def test_session__nobody_is_nobody() -> None:
    assert ApiDoor(session=signed_in).client.get("/api/health").status_code == 401


def test_session__a_person_at_a_browser_is_led_to_the_sign_in() -> None:
    door = ApiDoor(session=signed_in)
    answer = door.client.get("/api/docs", headers={"Accept": "text/html,*/*;q=0.8"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/sign-in?next=/api/docs")
    assert door.client.post("/api/docs", headers={"Accept": "text/html"}).status_code == 401


# What is asked


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b" ", "The body is no JSON."),
        (b"{", "The body is no JSON."),
        (b"thingName=a", "The body is no JSON."),
        (b'{"thingName": "a"} x', "The body is no JSON."),
        (b'{"thingName": "a",}', "The body is no JSON."),
        (b"{'thingName': 'a'}", "The body is no JSON."),
        (b'{"thingName": "\\ud800"}', "The body is no JSON."),
        (b"[" * 100_000, "The body is no JSON."),
        (b'{"thingName": "a", "more": {"x": ' + b"[" * 3000 + b"]" * 3000 + b"}}", "The body is no JSON."),
        (b'{"thingName": "a", "count": ' + b"1" * 5000 + b"}", "The body is no JSON."),
        (b'\xff\xfe{"thingName": "a"}', "The body is not UTF-8."),
        (b'{"thingName": "\xe9"}', "The body is not UTF-8."),
        ('{"thingName": "a"}'.encode("utf-16"), "The body is not UTF-8."),
        (b'{"thingName": "a", "thingName": "b"}', "An object in the body has a field twice."),
        (b'{"thingName": "a", "more": [{"x": 1, "x": 1}]}', "An object in the body has a field twice."),
        (b'{"thingName": "a", "share": NaN}', "The body has a number that is not finite."),
        (b'{"thingName": "a", "share": -Infinity}', "The body has a number that is not finite."),
        (b'{"thingName": "a", "share": 1e999}', "The body has a number that is not finite."),
        (b'{"thingName": "a", "more": {"x": [NaN]}}', "The body has a number that is not finite."),
    ],
)
def test_body__that_is_no_json(door: ApiDoor, body: bytes, said: str) -> None:
    assert error_of(put(door, body)) == (400, said)


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ("null", [[]]),
        ("[]", [[]]),
        ('"text"', [[]]),
        ("5", [[]]),
        ("{}", [["thingName"]]),
        ('{"thingName": null}', [["thingName"]]),
        ('{"thingName": 5}', [["thingName"]]),
        ('{"thingName": "a", "count": "5"}', [["count"]]),
        ('{"thingName": "a", "count": 1.5}', [["count"]]),
        ('{"thingName": "a", "count": true}', [["count"]]),
        ('{"thingName": "a", "share": "0.5"}', [["share"]]),
        ('{"thingName": "a", "more": []}', [["more"]]),
        ('{"thingName": "a", "other": 1}', [["other"]]),
        ('{"thingName": "a", "__proto__": {}}', [["__proto__"]]),
        ('{"thing_name": "a"}', [["thingName"], ["thing_name"]]),
        ('{"ThingName": "a"}', [["thingName"], ["ThingName"]]),
        ('{"thingName": "aaaaaaaaaaaaaaaaaaaaa", "count": "x"}', [["thingName"], ["count"]]),
    ],
)
def test_body__mistakes_are_told_with_their_places(door: ApiDoor, body: str, places: list[list[str]]) -> None:
    refused = put(door, body)
    assert error_of(refused) == (400, "The request is not valid.")
    assert [detail["path"] for detail in (refused.json or {})["details"]] == places
    assert all(detail["message"] for detail in (refused.json or {})["details"])


def test_body__nothing_of_it_is_repeated_but_names(door: ApiDoor) -> None:
    refused = put(door, json.dumps({"thingName": "hunter2" * 10, "count": "hunter2", "share": ["hunter2"]}))
    assert refused.status_code == 400
    assert "hunter2" not in refused.text


def test_body__a_thousand_mistakes_are_not_all_told(door: ApiDoor) -> None:
    refused = put(door, json.dumps({f"field{place}": place for place in range(1000)}))
    assert len((refused.json or {})["details"]) == 20


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "multipart/form-data", "json"]
)
def test_body__of_another_type(door: ApiDoor, kind: str) -> None:
    assert error_of(put(door, '{"thingName": "a"}', **{"Content-Type": kind}))[0] == 415


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON", "application/json ;x=y"])
def test_body__of_json_however_it_is_written(door: ApiDoor, kind: str) -> None:
    assert put(door, '{"thingName": "a"}', **{"Content-Type": kind}).status_code == 200


def test_body__of_ten_megabytes_is_not_read(door: ApiDoor) -> None:
    class Untouched(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise AssertionError("it was read")

    refused = door.client.put(
        HERE,
        headers={"Content-Type": "application/json", **door.bearer()},
        environ_overrides={"CONTENT_LENGTH": "10000000", "wsgi.input": Untouched()},
    )
    assert error_of(refused)[0] == 413


def test_body__of_just_what_is_allowed(door: ApiDoor) -> None:
    padded = b'{"thingName": "a"}'.ljust(BODY_LIMIT)
    assert put(door, padded).status_code == 200
    assert put(door, padded + b" ").status_code == 413


@pytest.mark.parametrize(("length", "status"), [(None, 411), ("", 411), ("-1", 400), ("1e3", 400), ("\u0663", 400)])
def test_body__without_a_length_or_a_wrong_one(door: ApiDoor, length: str | None, status: int) -> None:
    environ: dict[str, Any] = {"wsgi.input": io.BytesIO(b'{"thingName": "a"}'), "wsgi.input_terminated": True}
    environ["HTTP_TRANSFER_ENCODING"] = "chunked"
    environ["CONTENT_LENGTH"] = length or ""
    headers = {"Content-Type": "application/json", **door.bearer()}
    assert error_of(door.client.put(HERE, headers=headers, environ_overrides=environ))[0] == status


def test_body__that_is_shorter_than_it_says(door: ApiDoor) -> None:
    headers = {"Content-Type": "application/json", **door.bearer()}
    environ = {"wsgi.input": io.BytesIO(b"{}"), "CONTENT_LENGTH": "100"}
    assert error_of(door.client.put(HERE, headers=headers, environ_overrides=environ))[0] == 400


@pytest.mark.parametrize(
    "place",
    ["7", "abc", "0" * 31, "0" * 33, "%00", "%ff", "%F0%9F%94%91", "' or 1=1 --", "x" * 5000, "..%2f..", "null"],
)
def test_id__that_is_no_uuid(door: ApiDoor, place: str) -> None:
    refused = door.get(f"/api/things/{place}")
    assert error_of(refused)[0] in (400, 404)
    if error_of(refused)[0] == 400:
        assert (refused.json or {})["details"][0]["path"] == ["thingId"]


@pytest.mark.parametrize(
    "query",
    ["pageSize=0", "pageSize=101", "pageSize=x", "pageSize=", "pageSize=1.5", "page_size=5", "other=1", "%00=1"],
)
def test_query__that_is_not_valid(door: ApiDoor, query: str) -> None:
    assert error_of(door.get(f"{HERE}?{query}")) == (400, "The request is not valid.")


def test_query__that_is_valid(door: ApiDoor) -> None:
    assert (door.get(f"{HERE}?pageSize=5").json or {})["count"] == 5


def test_answers__are_kept_by_nobody_and_taken_for_nothing_else(door: ApiDoor) -> None:
    for found in (door.get(HERE), door.get("/api/docs"), door.get("/api/nowhere"), door.client.get(HERE)):
        assert found.headers["Cache-Control"] == "no-store"
        assert found.headers["X-Content-Type-Options"] == "nosniff"


# How it is asked


def test_head__is_a_get_without_a_body(door: ApiDoor) -> None:
    found = door.client.head("/api/health", headers=door.bearer(Scope.READ))
    assert (found.status_code, found.data) == (200, b"")
    assert door.client.head("/api/health").status_code == 401


@pytest.mark.parametrize(
    ("method", "path"), [("OPTIONS", HERE), ("POST", HERE), ("PATCH", HERE), ("TRACE", HERE), ("DELETE", "/api/health")]
)
def test_method__that_is_not_there(door: ApiDoor, method: str, path: str) -> None:
    assert door.client.open(path, method=method).status_code == 401
    refused = door.client.open(path, method=method, headers=door.bearer())
    assert error_of(refused)[0] == 405
    assert method not in refused.headers["Allow"]
    assert "GET" in refused.headers["Allow"]


def test_bug__is_told_to_nobody(door: ApiDoor) -> None:
    broken = door.client.delete(HERE, headers=door.bearer())
    assert error_of(broken) == (500, "Mason met an error of its own.")
    assert "secret" not in broken.text


def test_route__without_a_mark_is_for_admins_alone() -> None:
    api = ApiBlueprint("forgotten", tag="Forgotten", prefix="/api/forgotten")
    asked: list[UUID] = []

    @api.get("")
    def forgotten() -> Response:
        """Nobody has said who may."""
        asked.append(uuid4())
        return answer(Thing(thing_name="a"))

    door = ApiDoor(routes=(api,))
    statuses: Callable[[Scope], int] = lambda scope: door.get("/api/forgotten", scope=scope).status_code  # noqa: E731
    assert [statuses(scope) for scope in Scope] == [403, 403, 200]
    assert len(asked) == 1
