"""What a Python repository's manifests declare, and which distribution a module most likely comes from."""

from __future__ import annotations

import posixpath
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_LINE = re.compile(r"^[ \t]*(?:-[ \t]+)?([A-Za-z0-9][\w.-]*)[ \t]*(?:$|[\[<>=!~;#@, ])", re.MULTILINE)
_LITERAL = re.compile(r"['\"]([A-Za-z0-9][\w.-]{0,100})(?:[\[<>=!~;@ ][^'\"\n]{0,300})?['\"]")

KNOWN_AS = {
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "bson": "pymongo",
    "cairo": "pycairo",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "discord": "discord-py",
    "dns": "dnspython",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "faiss": "faiss-cpu",
    "fitz": "pymupdf",
    "flask_sqlalchemy": "flask-sqlalchemy",
    "git": "gitpython",
    "github": "pygithub",
    "gi": "pygobject",
    "google.protobuf": "protobuf",
    "grpc": "grpcio",
    "jose": "python-jose",
    "jwt": "pyjwt",
    "kafka": "kafka-python",
    "ldap": "python-ldap",
    "magic": "python-magic",
    "markdown_it": "markdown-it-py",
    "multipart": "python-multipart",
    "mysqldb": "mysqlclient",
    "nacl": "pynacl",
    "openssl": "pyopenssl",
    "pil": "pillow",
    "pkg_resources": "setuptools",
    "pptx": "python-pptx",
    "psycopg2": "psycopg2-binary",
    "pythonjsonlogger": "python-json-logger",
    "rest_framework": "djangorestframework",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "slugify": "python-slugify",
    "socks": "pysocks",
    "telegram": "python-telegram-bot",
    "usb": "pyusb",
    "websocket": "websocket-client",
    "yaml": "pyyaml",
    "zmq": "pyzmq",
}
"""Modules (lower case) whose distribution goes by another name, as their own documentation says."""


def is_manifest(name: str) -> bool:
    """Whether a file of this name may declare distributions."""
    listed = name.startswith(("requirements", "constraints")) and name.endswith((".txt", ".in"))
    return listed or name in ("pyproject.toml", "setup.py", "setup.cfg", "Pipfile", "environment.yml", "tox.ini")


def declared_by(manifests: Mapping[str, str]) -> frozenset[str] | None:
    """The distributions that manifests (path → text) name, normalised; None without a manifest."""
    if not manifests:
        return None
    return frozenset(
        _normal(name) for path, text in manifests.items() for name in _names(posixpath.basename(path), text)
    )


def distributions_of(module: str) -> set[str]:
    """The names under which a dotted module may be distributed, normalised."""
    parts = module.split(".")
    dotted = [".".join(parts[:size]) for size in range(1, min(len(parts), 4) + 1)]
    found = {_normal(name) for name in dotted}
    found |= {_normal(KNOWN_AS[name.lower()]) for name in dotted if name.lower() in KNOWN_AS}
    first = _normal(parts[0])
    return found | {f"python-{first}", f"py{first}", f"py-{first}", f"{first}-python", f"{first}-py", f"{first}-binary"}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _names(file: str, text: str) -> Iterator[str]:
    if file.endswith((".txt", ".in", ".cfg", ".yml", ".ini")):
        yield from (match[1] for match in _LINE.finditer(text))
    elif file == "setup.py":
        yield from (match[1] for match in _LITERAL.finditer(text))
    else:
        try:
            content = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError):
            return
        yield from _in_tables(content)


def _in_tables(content: dict[str, Any]) -> Iterator[str]:
    """Names under every key that lists dependencies, whoever's table it is in; at most eight tables deep."""
    waiting: list[tuple[object, bool, int]] = [(content, False, 0)]
    while waiting:
        value, listing, depth = waiting.pop()
        if isinstance(value, str) and listing and (match := _NAME.match(value)):
            yield match[0]
        elif isinstance(value, list) and listing:
            waiting += [(one, True, depth) for one in value]
        elif isinstance(value, dict) and depth < 8:
            for key, inside in value.items():
                lists = "dependencies" in key or key in ("packages", "dev-packages", "dependency-groups", "requires")
                if listing and not isinstance(inside, list):
                    yield key
                waiting.append(
                    (inside, listing or lists, depth + 1) if not isinstance(inside, str) else (None, False, 8)
                )
