"""The page at `/api/docs`: an OpenAPI description as HTML, without a script."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

_STYLE = (files("app.web.api") / "templates" / "docs.css").read_text("utf-8")

_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} of them",
    "maxItems": "at most {} of them",
}


def docs_page(document: Mapping[str, Any]) -> str:
    """The page of a description. Every text of it is escaped; descriptions are CommonMark without HTML in it."""
    markdown = MarkdownIt("commonmark", {"html": False})

    def rendered(text: str) -> Markup:
        return Markup(markdown.render(text))  # noqa: S704 - it lets no HTML through

    environment = Environment(
        loader=PackageLoader("app.web.api"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"markdown": rendered, "pretty": _pretty}
    return environment.get_template("docs.html").render(
        document=document,
        style=Markup(_STYLE),  # noqa: S704 - our own
        groups=_groups(document),
        schemas=document["components"]["schemas"],
        words=type_words,
        bounds=lambda schema: ", ".join(bounds(schema)),
        examples=_examples,
    )


def type_words(schema: Mapping[str, Any]) -> Markup:
    """What a value may be, in a few words; other schemas are links."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return Markup('<a href="#schema-{}">{}</a>').format(name, name)
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return Markup(" or ").join(type_words(each) for each in schema[several])
    if "const" in schema:
        return Markup("<code>{}</code>").format(json.dumps(schema["const"]))
    if "enum" in schema:
        return Markup(" or ").join(Markup("<code>{}</code>").format(json.dumps(each)) for each in schema["enum"])
    if schema.get("type") == "array":
        return Markup("list of ") + type_words(schema.get("items", {}))
    kind = schema.get("format") if schema.get("type") == "string" else None
    return escape(kind or schema.get("type", "anything"))


def bounds(schema: Mapping[str, Any]) -> Iterator[str]:
    """The limits of a value, also of one that may be absent."""
    for one in (schema, *schema.get("anyOf", ())):
        yield from (words.format(one[name]) for name, words in _BOUNDS.items() if name in one)
    if schema.get("default") is not None and "const" not in schema:
        yield f"{json.dumps(schema['default'])} unless given"


def _groups(document: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Operations by tag, in the order of the tags."""
    groups: dict[str, list[dict[str, Any]]] = {tag["name"]: [] for tag in document.get("tags", ())}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            shown = {"path": path, "method": method.upper(), **operation}
            for tag in operation["tags"]:
                groups.setdefault(tag, []).append(shown)
    return {tag: found for tag, found in groups.items() if found}


def _examples(content: Mapping[str, Any]) -> list[object]:
    return [example["value"] for example in content.get("examples", {}).values()]


def _pretty(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
