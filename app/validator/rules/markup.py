"""What people cannot see, read or reach: JSX by its syntax, HTML (and Vue, Svelte, Astro) by its tags."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

from app.validator.rules.rule import MOST_SIGHTINGS, Sighting
from app.validator.rules.source import Source
from app.validator.rules.syntax import Lines, Syntax

NAMING = frozenset({"aria-label", "aria-labelledby", "title", ":aria-label", "v-bind:aria-label", ":title"})
INTERACTIVE = frozenset({"a", "button", "input", "select", "textarea", "option", "label", "summary", "details", "form"})
_UNLABELLED_TYPES = frozenset({"hidden", "submit", "button", "reset", "image"})

_HTML_TAG = re.compile(r"<(?P<name>[a-zA-Z][\w-]{0,40})(?P<attributes>(?:\"[^\"<]*\"|'[^'<]*'|[^<>\"'])*+)>")
_HTML_ATTRIBUTE = re.compile(r"([^\s\"'<>/=]{1,60})(?:\s{0,10}=\s{0,10}(\"[^\"]*\"|'[^']*'|[^\s\"'>]{1,200}))?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Element:
    """A tag with its attributes (those without a value: empty). ``spread``: it may have others, ``{...props}``.

    ``empty``: nothing inside it that could be its name. ``inside`` are the names of the tags around it.
    """

    name: str
    attributes: dict[str, str]
    line: int
    spread: bool = False
    empty: bool = False
    inside: tuple[str, ...] = ()

    def has(self, *names: str) -> bool:
        return self.spread or any(name in self.attributes for name in names)


def find_images_without_alt(source: Source) -> Iterator[Sighting]:
    """``<img>`` and Next's ``<Image src>`` that say nothing to who cannot see them. ``alt=""`` says: decoration."""
    for element in elements(source):
        is_image = element.name == "img" or (element.name == "Image" and "src" in element.attributes)
        if is_image and not element.has("alt", ":alt", "v-bind:alt", "aria-hidden", "role"):
            yield Sighting(line=element.line)


def find_unnamed_controls(source: Source) -> Iterator[Sighting]:
    """Buttons and links with nothing in them and no ``aria-label``."""
    for element in elements(source):
        if element.name in ("button", "a") and element.empty and not element.has(*NAMING, "aria-hidden", "children"):
            anchor = element.name == "a" and "href" not in element.attributes
            if not anchor and not element.has("v-html", "v-text", "dangerouslySetInnerHTML"):
                yield Sighting(line=element.line)


def find_unlabelled_inputs(source: Source) -> Iterator[Sighting]:
    """Fields that nothing could label: no ``id`` for a label, no label around them, no ``aria-label``."""
    for element in elements(source):
        if element.name not in ("input", "select", "textarea") or "label" in (name.lower() for name in element.inside):
            continue
        kind = element.attributes.get("type", "").lower()
        if kind not in _UNLABELLED_TYPES and not element.has(*NAMING, "id", ":id", "aria-hidden"):
            yield Sighting(line=element.line)


def find_click_without_role(source: Source) -> Iterator[Sighting]:
    """A click on what no keyboard reaches."""
    for element in elements(source):
        clicks = any(name in element.attributes for name in ("onClick", "onclick", "@click", "v-on:click", "on:click"))
        if clicks and re.fullmatch(r"[a-z][a-z0-9]*", element.name) and element.name not in INTERACTIVE:
            if element.has("aria-hidden") or (element.has("role") and element.has("tabIndex", "tabindex", ":tabindex")):
                continue
            if element.attributes.get("role") not in ("presentation", "none"):
                yield Sighting(line=element.line)


def find_inline_styles(source: Source) -> Iterator[Sighting]:
    """``style={{…}}`` and ``style="…"``; not custom properties, which is how values get to a style sheet."""
    for element in elements(source):
        style = element.attributes.get("style", "")
        if style and not re.match(r"\{\{?\s*['\"`\[]*--|--", style) and not re.fullmatch(r"\{\s*[\w.]+\s*\}", style):
            yield Sighting(line=element.line)


@lru_cache(maxsize=2)
def elements(source: Source) -> tuple[Element, ...]:
    """Every tag of a file, in order. Five rules ask for the same file's one after the other."""
    if source.syntax:
        return tuple(islice(_jsx(source, source.syntax), MOST_SIGHTINGS))
    return tuple(islice(_html(source.text), MOST_SIGHTINGS)) if source.language == "markup" else ()


def _jsx(source: Source, syntax: Syntax) -> Iterator[Element]:
    for index in syntax.of("jsx_opening_element", "jsx_self_closing_element"):
        attributes: dict[str, str] = {}
        spread = False
        for child in islice(syntax.children(index), 200):
            kind = syntax.nodes[child].kind
            spread = spread or kind in ("jsx_expression", "spread_element")
            if kind == "jsx_attribute":
                name, _, value = syntax.text(child).partition("=")
                attributes[name.strip()] = value.strip().strip("\"'")
        yield Element(
            name=syntax.text(syntax.child(index, "name"), 60),
            attributes=attributes,
            line=source.line_of(index),
            spread=spread,
            empty=_is_empty_jsx(syntax, index),
            inside=_around(syntax, index),
        )


def _is_empty_jsx(syntax: Syntax, index: int) -> bool:
    if syntax.nodes[index].kind == "jsx_self_closing_element":
        return True
    element = next(syntax.above(index, 1), -1)
    if element < 0 or syntax.nodes[element].kind != "jsx_element":
        return False  # it was never closed
    tags = ("jsx_opening_element", "jsx_closing_element")
    inner = [child for child in islice(syntax.children(element), 100) if syntax.nodes[child].kind not in tags]
    return all(syntax.nodes[child].kind == "jsx_text" and not syntax.text(child).strip() for child in inner)


def _around(syntax: Syntax, index: int) -> tuple[str, ...]:
    """The names of the elements around one, the nearest first."""
    names = []
    for above in syntax.above(index, 12):
        if syntax.nodes[above].kind == "jsx_element":
            opening = next(syntax.children(above), -1)
            if opening != index:
                names.append(syntax.text(syntax.child(opening, "name"), 60))
    return tuple(names)


def _html(text: str) -> Iterator[Element]:
    text = re.sub(r"<!--(?s:.*?-->|.*)", lambda comment: re.sub(r"[^\n]", " ", comment[0]), text)
    lines = Lines(text)
    for tag in _HTML_TAG.finditer(text):
        name = tag["name"]
        pairs = (found.groups() for found in _HTML_ATTRIBUTE.finditer(tag["attributes"][:5000]))
        attributes = {key: (value or "").strip("\"'") for key, value in pairs}
        rest = text[tag.end() : tag.end() + 500].lstrip()
        yield Element(
            name=name,
            attributes=attributes,
            line=lines.at(tag.start()),
            spread="v-bind" in attributes or any(key.startswith("{...") for key in attributes),
            empty=rest.startswith(f"</{name}"),
            inside=("label",) if _in_label(text, tag.start()) else (),
        )


def _in_label(text: str, at: int) -> bool:
    """Whether a label was opened and not closed shortly before."""
    before = text[max(0, at - 1000) : at].lower()
    return before.rfind("<label") > before.rfind("</label")
