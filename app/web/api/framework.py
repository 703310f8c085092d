"""What every route of the REST API has: a scope it needs, strict bodies, one shape of errors, and its description.

A route's function has annotated parameters ``path``, ``query`` and ``body``, pydantic models that flask-openapi3 fills
and describes. What they refuse is answered with 400 and the places of the mistakes.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, NoReturn, Self, TypeVar, cast

from flask import Request, Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.info import Info
from flask_openapi3.models.security_scheme import SecurityScheme
from flask_openapi3.models.tag import Tag
from flask_openapi3.openapi import OpenAPI
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from app.domain.api_keys import Scope
from app.web.bodies import JSON, Deadlines, content_type, read_body
from app.web.errors import Invalid, Malformed

BODY_LIMIT = 1024 * 1024
"""Bytes of a request's body."""

MOST_DETAILS = 20
"""Mistakes of one request that are told."""

Function = TypeVar("Function", bound=Callable[..., Any])


class Model(BaseModel):
    """What travels in bodies, queries and paths: strict, frozen, in camel case outside, unknown fields refused."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        allow_inf_nan=False,
    )

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:  # noqa: ANN401 - pydantic's own signature
        """From outside, where only the names in camel case are known."""
        return super().model_validate(obj, **{"by_name": False, "by_alias": True, **options})

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:  # noqa: ANN401
        """The same from JSON."""
        return super().model_validate_json(json_data, **{"by_name": False, "by_alias": True, **options})


class InPlace(Model):
    """A model of a path or a query, where everything is text: "5" is a number there."""

    model_config = ConfigDict(strict=False)


class Detail(Model):
    """One mistake: where it is, from the outside in, and what it is."""

    path: list[str | int]
    message: str


class Failure(Model):
    """The answer to whatever goes wrong."""

    error: str
    details: list[Detail] | None = None
    status_code: int


def shown_as(**examples: object) -> ConfigDict:
    """The ``model_config`` of a body, with examples for the description by their names."""
    return cast("ConfigDict", {"openapi_extra": {"examples": {name: {"value": one} for name, one in examples.items()}}})


class ApiBlueprint(APIBlueprint):
    """A group of routes; ``tag`` names it in the description."""

    def __init__(self, name: str, *, tag: str, prefix: str) -> None:
        super().__init__(
            name,
            __name__,
            url_prefix=prefix,
            abp_tags=[Tag(name=tag)],
            abp_security=[{"key": []}],
            abp_responses=dict.fromkeys(("400", "401", "403", "503"), Failure),
            operation_id_callback=_operation_id,
        )


def _operation_id(bp_name: str, name: str, **_: str) -> str:
    """A name for programs that are made of the description: the group's, and the function's unless it is the same."""
    return to_camel("_".join(dict.fromkeys((bp_name.replace("-", "_"), name))))


def needs(scope: Scope) -> Callable[[Function], Function]:
    """Mark a route with the scope of the key that it needs; the guard refuses routes of the API that have no mark.

    It stands below the route's own decorator.
    """

    def mark(function: Function) -> Function:
        function.__dict__["scope"] = scope
        return function

    return mark


def own_identity(function: Function) -> Function:
    """Mark a route below `/api/` that asks for another proof of who is there, and looks at it itself."""
    function.__dict__["own_identity"] = True
    return function


def answer(model: BaseModel, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Response:
    """A model as the JSON of an answer, by its outside names; times are ISO 8601."""
    return Response(model.model_dump_json(by_alias=True), status, headers, mimetype=JSON)


def openapi_app(deadlines: Deadlines, version: str) -> OpenAPI:
    """A Flask application that describes its API. Nothing of the description is served by itself."""

    class ApiRequest(Request):
        def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:  # noqa: ANN401, ARG002
            """The body's text: flask-openapi3 gives text to pydantic, which reads JSON strictly and tells mistakes."""
            content_type(self.environ, JSON)
            body = read_body(self.environ, BODY_LIMIT, deadlines)
            try:
                text = body.decode()
            except UnicodeDecodeError:
                raise Malformed("The body is not UTF-8.") from None
            _require_plain(text)
            return text

    app = OpenAPI(
        "mason",
        info=Info(title="Mason", version=version, description=_DESCRIPTION),
        security_schemes={"key": SecurityScheme(type="http", scheme="bearer", description=_KEY)},
        validation_error_status=400,
        validation_error_model=Failure,
        validation_error_callback=_mistakes,
        doc_ui=False,
        static_folder=None,
    )
    app.request_class = ApiRequest
    app.url_map.merge_slashes = False  # another address is another address, and nobody is sent elsewhere
    return app


def _require_plain(text: str) -> None:
    """Raise Malformed for what parsers of JSON read differently: a field twice, numbers that are none.

    What is no JSON at all passes: it is told by who reads it next.
    """
    with contextlib.suppress(ValueError, RecursionError):
        json.loads(text, object_pairs_hook=_once_each, parse_constant=_finite, parse_float=_finite)


def _once_each(pairs: list[tuple[str, object]]) -> None:
    if len({name for name, _ in pairs}) < len(pairs):
        raise Malformed("An object in the body has a field twice.")


def _finite(number: str) -> None:
    if not math.isfinite(float(number)):
        raise Malformed("The body has a number that is not finite.")


def _mistakes(problem: ValidationError) -> NoReturn:
    """Raises Invalid, which tells what is wrong with a request and repeats nothing of it: it may hold secrets."""
    found = problem.errors(include_url=False, include_context=False, include_input=False)
    malformed = any(one["type"] == "json_invalid" for one in found)
    raise Invalid(
        "The body is no JSON." if malformed else "The request is not valid.",
        tuple((one["loc"], one["msg"]) for one in found[:MOST_DETAILS]),
    )


_DESCRIPTION = "Start and follow runs of approved backlog items, set up databases, and run agents in workspaces."
_KEY = "A key that `mason api-key create` made."
