"""`GET /api/openapi.json` and `GET /api/docs`: the API described, for programs and for people.

The description is what flask-openapi3 gathers from the routes and their models, and what only the whole app knows.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

from flask import Response, current_app
from flask_openapi3.openapi import OpenAPI
from flask_openapi3.utils import parse_rule

from app.domain.api_keys import Scope
from app.web.api.docs_page import CONTENT_SECURITY_POLICY, docs_page
from app.web.api.framework import ApiBlueprint, Failure, needs
from app.web.bodies import JSON

HTML = "text/html"

_OF_BODIES = {
    "408": "The body did not arrive in time.",
    "411": "The request does not say how long its body is.",
    "413": "The body is too large.",
    "415": "The body is not JSON.",
}
"""What every route with a body may answer besides."""

_WORDS = {
    "200": "Done.",
    "202": "Accepted; it is done in the background.",
    "204": "Done; there is nothing to say.",
    "400": "The request is not valid; `details` says where.",
    "401": "There is no key, or it is not good.",
    "403": "The key lacks the scope.",
    "404": "There is no such thing.",
    "409": "The state of things does not allow it.",
    "500": "It failed.",
    "503": "Something that Mason needs is away; try again.",
}

_FAILURE = {JSON: {"schema": {"$ref": f"#/components/schemas/{Failure.__name__}"}}}


def description_routes() -> ApiBlueprint:
    """Both routes describe whichever app they are registered with, itself included, at their first call."""
    api = ApiBlueprint("description", tag="Description", prefix="/api")
    made: dict[str, bytes] = {}
    making = threading.Lock()

    def text(kind: str) -> bytes:
        with making:
            if not made:
                document = describe(current_app)  # type: ignore[arg-type] # a proxy of the OpenAPI app
                made[JSON] = json.dumps(document, ensure_ascii=False).encode()
                made[HTML] = docs_page(document).encode()
        return made[kind]

    @api.get("/openapi.json", responses={"200": {"content": {JSON: {"schema": {"type": "object"}}}}})
    @needs(Scope.READ)
    def openapi() -> Response:
        """This description, as OpenAPI 3.1."""
        return Response(text(JSON), mimetype=JSON)

    @api.get("/docs", responses={"200": {"content": {HTML: {"schema": {"type": "string"}}}}})
    @needs(Scope.READ)
    def docs() -> Response:
        """This description, as a page to read."""
        return Response(text(HTML), mimetype=HTML, headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY})

    return api


def describe(app: OpenAPI) -> dict[str, Any]:
    """The description of all routes that are registered by now, as OpenAPI 3.1; the same routes make the same text."""
    document: dict[str, Any] = json.loads(json.dumps(app.api_doc))
    for path, method, operation in operations(document):
        operation["security"] = [{"key": [_scope(app, path, method).value]}]
        if "description" in operation:
            operation["description"] = operation["description"].replace("<br/>", "\n").strip()
        if "requestBody" in operation:
            operation["responses"] |= {status: {"content": _FAILURE} for status in _OF_BODIES}
        operation["responses"] = dict(sorted(operation["responses"].items()))
        for status, answer in operation["responses"].items():
            answer["description"] = (_WORDS | _OF_BODIES).get(status, answer.get("description", ""))
    document["paths"] = dict(sorted(document["paths"].items()))
    document["components"]["schemas"] = dict(sorted(document["components"]["schemas"].items()))
    _drop_titles(document)
    return document


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method (in lower case) and operation of everything that a description has."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def _scope(app: OpenAPI, path: str, method: str) -> Scope:
    """What the guard will ask for there."""
    for rule in app.url_map.iter_rules():
        if parse_rule(rule.rule) == path and method.upper() in (rule.methods or ()):
            scope = getattr(app.view_functions[rule.endpoint], "scope", Scope.ADMIN)
            return Scope(scope)
    raise LookupError(path)


def _drop_titles(node: object) -> None:
    """Take out the names that pydantic makes of names: "repositoryId" says more than "Repositoryid"."""
    if isinstance(node, list):
        for each in node:
            _drop_titles(each)
    elif isinstance(node, dict):
        if isinstance(node.get("title"), str) and ("type" in node or "$ref" in node or "anyOf" in node):
            del node["title"]
        for name, each in node.items():
            if name not in ("example", "examples", "default", "info"):
                _drop_titles(each)
