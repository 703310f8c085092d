"""Templates into pages: everything escaped, nothing inline, under a policy that lets a browser use our files alone."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from pathlib import Path

from flask import Response, request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from app.web.pages import words

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

_WEB = Path(__file__).parents[1]
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_LONG = "public, max-age=31536000, immutable"


def render(template: str, **values: object) -> str:
    """A template of ``app/web/templates``. Raises UndefinedError for a value that it has and the caller has not."""
    return _templates().get_template(template).render(values)


def page(body: str | bytes, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Response:
    """HTML as an answer. It is nobody else's: no cache on the way may keep it."""
    safe = {"Content-Security-Policy": POLICY, "Cache-Control": "private, no-cache"}
    return Response(body, status, safe | dict(headers or {}), mimetype="text/html")


def takes_gzip() -> bool:
    return request.accept_encodings.quality("gzip") > 0


@cache
def sign(tone: str) -> Markup:
    """A small picture for a tone, one of a handful; a large run shows a thousand of them."""
    return Markup(render("sign.svg", tone=tone).strip())  # noqa: S704 - a template of ours


class StaticFile:
    """A file that every page refers to by a name that its content is part of, so that it may be kept for ever."""

    def __init__(self, path: Path) -> None:
        self.content = path.read_bytes()
        self.packed = gzip.compress(self.content, 9, mtime=0)
        self.type = _TYPES[path.suffix]
        self.name = f"{path.stem}.{hashlib.sha256(self.content).hexdigest()[:16]}{path.suffix}"

    def answer(self) -> Response:
        packed = takes_gzip()
        headers = {"Cache-Control": _LONG, "Vary": "Accept-Encoding"}
        headers |= {"Content-Encoding": "gzip"} if packed else {}
        return Response(self.packed if packed else self.content, headers=headers, mimetype=self.type)


@cache
def static_files() -> Mapping[str, StaticFile]:
    """By the names that they have outside."""
    found = [StaticFile(path) for path in sorted((_WEB / "static").iterdir()) if path.suffix in _TYPES]
    return {one.name: one for one in found}


def static_path(name: str) -> str:
    """The address of a file of ``app/web/static``."""
    stem, _, suffix = name.rpartition(".")
    return next(f"/static/{one}" for one in static_files() if one.startswith(f"{stem}.") and one.endswith(suffix))


@cache
def look() -> str:
    """Changes with every file that pages are made of."""
    files = [*sorted((_WEB / "templates").iterdir()), *sorted((_WEB / "pages").glob("*.py"))]
    digest = hashlib.sha256("".join(static_files()).encode())
    for path in files:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_WEB / "templates"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        name: getattr(words, name)
        for name in (
            *("visible", "output", "diff", "diff_size", "web_address", "link_words"),
            *("duration", "moment", "clock", "iso", "tokens", "cost"),
        )
    }
    environment.globals |= {
        "static": static_path,
        "sign": sign,
        "between": words.between,
        "state_of_item": words.state_of_item,
        "title_of_line": words.title_of_line,
        "RUN_WORDS": words.RUN_WORDS,
        "RUN_TONES": words.RUN_TONES,
        "TASK_TONES": words.TASK_TONES,
        "CHECK_TONES": words.CHECK_TONES,
        "CHECK_WORDS": words.CHECK_WORDS,
        "LEVEL_TONES": words.LEVEL_TONES,
    }
    return environment
