"""The description of the REST API, and its page."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import pytest
from flask import Response
from pydantic import BaseModel, Field

from app.domain.api_keys import Scope
from app.web.api.description import operations
from app.web.api.framework import ApiBlueprint, Failure, InPlace, Model, answer, needs, shown_as
from app.web.bodies import JSON
from tests.unit.web.api_kit import ApiDoor


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Thing(Model):
    """A thing, as `somebody` <made> it."""

    model_config = shown_as(least={"thingId": "00000000-0000-0000-0000-000000000007"})

    thing_id: UUID
    title: str = Field("nothing", max_length=20, description="What it is called, in *one* line <b>not bold</b>.")
    parts: list[Colour] = Field(default=[], max_length=3)
    inner: Detailed | None = None


class Detailed(Model):
    weight: Annotated[float, Field(gt=0, le=5)] = 1.0


class Place(InPlace):
    thing_id: UUID


class Pages(InPlace):
    page_size: int = Field(10, ge=1, le=100)


def things() -> ApiBlueprint:
    api = ApiBlueprint("things", tag="Things", prefix="/api/things")

    @api.post("/<thingId>", responses={"200": Thing, "404": Failure})
    @needs(Scope.RUN)
    def change(path: Place, query: Pages, body: Thing) -> Response:
        """Change a thing.

        It becomes what the body says.
        """
        return answer(body)

    @api.get("/unmarked", responses={"200": Thing})
    def unmarked() -> Response:
        """Nobody has said who may."""
        raise NotImplementedError

    return api


@pytest.fixture(scope="module")
def door() -> ApiDoor:
    return ApiDoor(routes=(things(),))


@pytest.fixture(scope="module")
def document(door: ApiDoor) -> dict[str, Any]:
    found = door.get("/api/openapi.json")
    assert found.status_code == 200
    assert found.mimetype == JSON
    return dict(found.json or {})


def test_document__has_the_paths_of_the_api_alone(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    assert document["info"]["version"] == "1.2.3"
    assert list(document["paths"]) == [
        "/api/docs",
        "/api/health",
        "/api/openapi.json",
        "/api/things/unmarked",
        "/api/things/{thingId}",
    ]


def test_document__every_operation_says_what_it_is_and_who_may(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        assert operation["summary"], path
        assert operation["tags"], path
        assert operation["operationId"], path
        assert {"200", "400", "401", "403", "503"} <= operation["responses"].keys(), path
        assert all(one["description"] for one in operation["responses"].values()), path
        (security,) = operation["security"]
        assert security.keys() == {"key"}
        assert security["key"][0] in set(Scope), (path, method)
    by_path = {path: operation["security"][0]["key"] for path, _, operation in operations(document)}
    assert by_path["/api/things/{thingId}"] == ["run"]
    assert by_path["/api/things/unmarked"] == ["admin"]
    assert by_path["/api/openapi.json"] == ["read"]


def test_document__operation_ids_are_unique(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(ids)) == len(ids)
    assert "thingsChange" in ids
    assert "health" in ids


def test_document__errors_have_the_one_shape(document: dict[str, Any]) -> None:
    for path, _, operation in operations(document):
        for status, said in operation["responses"].items():
            if status >= "400":
                assert said["content"] == {JSON: {"schema": {"$ref": "#/components/schemas/Failure"}}}, path
    assert document["components"]["schemas"]["Failure"]["required"] == ["error", "statusCode"]


def test_document__a_body_brings_its_own_errors(document: dict[str, Any]) -> None:
    change = document["paths"]["/api/things/{thingId}"]["post"]
    assert {"404", "408", "411", "413", "415"} <= change["responses"].keys()
    assert change["description"] == "It becomes what the body says."
    assert "411" not in document["paths"]["/api/health"]["get"]["responses"]


def test_document__parameters_are_those_of_the_path(document: dict[str, Any]) -> None:
    change = document["paths"]["/api/things/{thingId}"]["post"]
    assert [(one["name"], one["in"]) for one in change["parameters"]] == [("thingId", "path"), ("pageSize", "query")]


def test_document__fields_keep_their_names_and_limits(document: dict[str, Any]) -> None:
    thing = document["components"]["schemas"]["Thing"]
    assert thing["additionalProperties"] is False
    assert list(thing["properties"]) == ["thingId", "title", "parts", "inner"]
    assert thing["properties"]["title"]["maxLength"] == 20
    assert not [one for one in thing["properties"].values() if "title" in one]


def test_document__every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    found = set(re.findall(r'"\$ref": "([^"]*)"', json.dumps(document)))
    assert found
    assert {one.removeprefix("#/components/schemas/") for one in found} <= schemas.keys()


def test_document__is_the_same_each_time(document: dict[str, Any]) -> None:
    one, other = (ApiDoor(routes=(things(),)).get("/api/openapi.json").data for _ in range(2))
    assert one == other


def test_models__of_all_routes_have_a_name_each() -> None:
    """In a description schemas go by the names of their classes: of two with one name, only one would be shown."""
    importlib.import_module("app.wiring.api")

    def below(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
        for each in model.__subclasses__():
            yield each
            yield from below(each)

    ours = {one for one in below(BaseModel) if one.__module__.startswith("app.web.api.")}
    names = [one.__name__ for one in ours]
    assert len(names) > 10
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("path", ["/api/openapi.json", "/api/docs"])
def test_both__need_a_key(door: ApiDoor, path: str) -> None:
    assert door.client.get(path).status_code == 401
    assert door.get(path, scope=Scope.READ).status_code == 200


def test_page__has_no_script_and_says_so(door: ApiDoor) -> None:
    page = door.get("/api/docs")
    assert page.mimetype == "text/html"
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "<script" not in page.text
    assert " style=" not in page.text
    assert " on" not in re.sub(r">[^<]*<", "><", page.text)


def test_page__shows_every_operation_and_schema(door: ApiDoor, document: dict[str, Any]) -> None:
    text = door.get("/api/docs").text
    ids = re.findall(r' id="([^"]*)"', text)
    assert len(set(ids)) == len(ids)
    assert {operation["operationId"] for _, _, operation in operations(document)} <= set(ids)
    assert {f"schema-{name}" for name in document["components"]["schemas"]} <= set(ids)
    links = re.findall(r' href="#([^"]*)"', text)
    assert set(links) <= set(ids)


def test_examples__are_in_the_document_and_on_the_page(door: ApiDoor, document: dict[str, Any]) -> None:
    content = document["paths"]["/api/things/{thingId}"]["post"]["requestBody"]["content"][JSON]
    assert content["examples"] == {"least": {"value": {"thingId": "00000000-0000-0000-0000-000000000007"}}}
    assert "&#34;thingId&#34;: &#34;00000000-0000-0000-0000-000000000007&#34;" in door.get("/api/docs").text


def test_page__texts_are_escaped(door: ApiDoor) -> None:
    text = door.get("/api/docs").text
    assert "A thing, as <code>somebody</code> &lt;made&gt; it." in text
    assert "in <em>one</em> line &lt;b&gt;not bold&lt;/b&gt;." in text
    assert "at most 20 characters, &#34;nothing&#34; unless given" in text
    assert "more than 0.0, at most 5, 1.0 unless given" in text
