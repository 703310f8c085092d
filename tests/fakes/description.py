"""Checks requests and answers against GitHub's own OpenAPI description (the npm package @octokit/openapi).

    violations = Description.load(path).observer()
    with FakeGitHub(directory, observer=violations) as github: ...
    assert violations.found == []

Stricter than the description in one way: a field or parameter that it does not name is a violation too, because a fake
must not invent what GitHub does not send, and GitHub refuses or ignores what it does not know.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import best_match

from tests.fakes.faults import Answer, Recorded
from tests.fakes.github_api.routes import TABLE, match

Schema = dict[str, Any]
Direction = Literal["request", "response"]

ERRORS = {"basic-error", "validation-error", "validation-error-simple"}
"""Shapes of refusals, which GitHub sends with fields that they do not name."""

REDIRECTIONS = (301, 307)
"""What any endpoint may answer for a repository that was renamed."""

NOT_API = ("/_apis/", "/settings/", "/organizations/", "/apps/")
"""What the fake serves besides the REST API; git's requests have routes of their own."""

_COMBINED = ("allOf", "anyOf", "oneOf")
_DROPPED = {"nullable", "description", "title", "example", "examples", "discriminator", "deprecated", "readOnly"}
_UNDESCRIBED = {
    False: {"$ref": "#/components/schemas/basic-error"},
    True: {"$ref": "#/components/schemas/validation-error"},
}
"""Shapes of refusals that the description of an endpoint leaves out, by whether they list errors."""


@dataclass(frozen=True, kw_only=True)
class Violation:
    call: str
    direction: Direction
    message: str


class Description:
    """The part of the description that is about the endpoints of the fake, as JSON Schema."""

    def __init__(self, document: Schema) -> None:
        _amend(document)
        self._components = document["components"]
        templates = {each.template for each in TABLE} & document["paths"].keys()
        self._paths: Schema = {each: document["paths"][each] for each in templates}
        self._schemas = _reachable(self._paths, self._components)
        self._validators: dict[int, Draft202012Validator] = {}

    @classmethod
    def load(cls, path: Path) -> Description:
        return _loaded(path)

    def describes(self, method: str, template: str) -> bool:
        return method.lower() in self._paths.get(template, {})

    def request_problems(self, request: Recorded) -> Iterator[str]:
        operation = self._operation(request)
        if operation is None:
            yield "the description has no such endpoint"
            return
        yield from self._parameter_problems(operation, request)
        body = operation.get("requestBody", {})
        schema = body.get("content", {}).get("application/json", {}).get("schema")
        if request.body is None:
            if body.get("required"):
                yield "a body is required"
        elif schema is None:
            yield "no body is expected"
        else:
            yield from self._problems(schema, request.body)

    def response_problems(self, request: Recorded, answer: Answer) -> Iterator[str]:
        operation = self._operation(request)
        if operation is None:
            return
        described = operation["responses"].get(str(answer.status))
        if described is None and answer.status in REDIRECTIONS:
            return
        if described is None and answer.status < 400:
            yield f"the description knows no status {answer.status}"
            return
        content = self._resolved(described).get("content", {}) if described else {}
        schema = content.get("application/json", {}).get("schema")
        if schema is None and answer.status >= 400:
            schema = _UNDESCRIBED["errors" in (answer.json or {})]
        if schema is None:
            if answer.body:
                yield f"{answer.status} has no body"
        elif not answer.headers.get("Content-Type", "").startswith("application/json"):
            yield "the body is not JSON"
        else:
            yield from self._problems(schema, answer.json)

    def _operation(self, request: Recorded) -> Schema | None:
        found: Schema | None = self._paths.get(request.route, {}).get(request.method.lower())
        return found

    def _parameter_problems(self, operation: Schema, request: Recorded) -> Iterator[str]:
        parameters = [self._resolved(each) for each in operation.get("parameters", [])]
        known = {each["name"]: each for each in parameters if each["in"] == "query"}
        for name in request.query.keys() - known.keys():
            yield f"query: {name} is no parameter"
        for name, parameter in known.items():
            if name in request.query:
                yield from self._text_problems(name, parameter["schema"], request.query[name])
            elif parameter.get("required"):
                yield f"query: {name} is required"
        found = match(request.method, request.path)
        for each in parameters:
            if each["in"] == "path" and found:
                yield from self._text_problems(each["name"], each["schema"], found[1][each["name"]])

    def _text_problems(self, name: str, schema: Schema, text: str) -> Iterator[str]:
        """A text in an address may stand for a number or a boolean."""
        readings: list[Any] = [text]
        if re.fullmatch(r"-?\d+", text):
            readings.append(int(text))
        if text in ("true", "false"):
            readings.append(text == "true")
        if all(list(self._problems(schema, reading)) for reading in readings):
            yield f"{name}: {text!r} does not fit"

    def _problems(self, schema: Schema, value: Any) -> Iterator[str]:
        for error in self._validator(schema).iter_errors(value):
            cause = best_match([error]) or error
            where = ".".join(str(part) for part in cause.absolute_path) or "body"
            yield f"{where}: {cause.message[:200]}"

    def _validator(self, schema: Schema) -> Draft202012Validator:
        """Every schema is part of the document and lives as long as it: its identity is its name."""
        found = self._validators.get(id(schema))
        if found is None:
            whole = {**_converted(schema), "components": {"schemas": self._schemas}}
            found = self._validators[id(schema)] = Draft202012Validator(whole, format_checker=FORMATS)
        return found

    def _resolved(self, part: Schema) -> Schema:
        if "$ref" not in part:
            return part
        _, _, kind, name = part["$ref"].split("/")
        found: Schema = self._components[kind][name]
        return found

    def observer(self) -> Violations:
        return Violations(self)


class Violations:
    """An observer for a fake: ``found`` is what broke the description, ``calls`` which routes were seen."""

    def __init__(self, description: Description) -> None:
        self._description = description
        self._lock = threading.Lock()
        self.found: list[Violation] = []
        self.calls: set[tuple[str, int]] = set()

    def __call__(self, request: Recorded, answer: Answer) -> None:
        if request.route.startswith("git ") or request.path.startswith(NOT_API):
            return
        with self._lock:
            self.calls.add((request.call, answer.status))
            # What GitHub refused as malformed need not fit its description.
            if answer.status not in (400, 404, 422):
                self._note(request, "request", self._description.request_problems(request))
            self._note(request, "response", self._description.response_problems(request, answer))

    def _note(self, request: Recorded, direction: Direction, problems: Iterable[str]) -> None:
        self.found += [Violation(call=request.call, direction=direction, message=each) for each in problems]


def _is_uri(value: object) -> bool:
    if not isinstance(value, str):
        return True
    parts = urlsplit(value)
    return bool(parts.scheme and parts.netloc) and value.isascii() and not re.search(r"[\s<>\"]", value)


def _is_date_time(value: object) -> bool:
    if not isinstance(value, str):
        return True
    try:
        return "T" in value and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


FORMATS = FormatChecker(formats=())
FORMATS.checks("uri")(_is_uri)
FORMATS.checks("date-time")(_is_date_time)


@lru_cache(maxsize=1)
def _loaded(path: Path) -> Description:
    return Description(json.loads(path.read_bytes()))


def _amend(document: Schema) -> None:
    """Put in what the description says in words only, or what GitHub does against it."""
    labels = document["paths"]["/repos/{owner}/{repo}/issues/{issue_number}/labels"]["post"]
    asked = labels["requestBody"]["content"]["application/json"]["schema"]["oneOf"]
    asked.append(asked[0]["properties"]["labels"])  # "You can also pass an array of labels directly"
    label = document["components"]["schemas"]["pull-request-simple"]["properties"]["labels"]["items"]
    label["properties"]["description"]["nullable"] = True  # as everywhere else
    schemas, paths = document["components"]["schemas"], document["paths"]
    listed = paths["/app/installations"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    listed["items"] = {"$ref": "#/components/schemas/installation"}  # an account is either a person or an enterprise
    made = paths["/app-manifests/{code}/conversions"]["post"]["responses"]["201"]["content"]["application/json"]
    app, more = (
        schemas["integration"],
        made["schema"]["allOf"][1],
    )  # each refuses the other's fields
    made["schema"] = {
        "type": "object",
        "properties": {**app["properties"], **more["properties"]},
        "required": [*app["required"], *more["required"]],
    }
    del document["components"]["parameters"]["created"]["schema"]["format"]  # it takes a range: ">=2026-01-02"


def _reachable(paths: Schema, components: Schema) -> Schema:
    """The schemas that these endpoints use, converted."""
    names: set[str] = {name for name in ERRORS if name in components["schemas"]}
    seen: set[str] = set()
    waiting: list[Any] = [paths, *(components["schemas"][name] for name in names)]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            reference = part.get("$ref")
            if isinstance(reference, str) and reference not in seen and "/examples/" not in reference:
                seen.add(reference)
                _, _, kind, name = reference.split("/")
                waiting.append(components[kind][name])
                names |= {name} if kind == "schemas" else set()
            waiting += [each for key, each in part.items() if key not in ("example", "examples")]
    return {name: _converted(components["schemas"][name], strict=name not in ERRORS) for name in names}


def _converted(schema: Schema, *, strict: bool = True) -> Schema:
    """OpenAPI 3.0's dialect as JSON Schema. ``strict``: what is not named is refused."""
    if "$ref" in schema:
        return {"$ref": schema["$ref"]}
    made: Schema = {key: value for key, value in schema.items() if key not in _DROPPED}
    own = "properties" in schema
    if own:
        made["properties"] = {name: _converted(each) for name, each in schema["properties"].items()}
    if isinstance(schema.get("items"), dict):
        made["items"] = _converted(schema["items"])
    for word in _COMBINED:
        if word in schema:
            alone = not own and word != "allOf"
            made[word] = [_converted(each, strict=strict and alone) for each in schema[word]]
    if isinstance(schema.get("additionalProperties"), dict):
        made["additionalProperties"] = _converted(schema["additionalProperties"])
    elif schema.get("additionalProperties") is True:
        del made["additionalProperties"]
    if strict and own and "additionalProperties" not in made:
        combined = any(word in schema for word in _COMBINED)
        made["unevaluatedProperties" if combined else "additionalProperties"] = False
    return {"anyOf": [{"type": "null"}, made]} if schema.get("nullable") else made
