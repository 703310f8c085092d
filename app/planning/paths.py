"""What looks like a path in a repository."""

from __future__ import annotations

import re
from urllib.parse import unquote

_SHAPE = re.compile(r"[\w@.+*()\[\]$-][\w@.+*()\[\]$~-]*(?:/[\w@.+*()\[\]$~-]+)*/?")
_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,9}")
_LINE = re.compile(r"(?::(\d{1,7})(?:[:-]\d{1,7})?|#L(\d{1,7})(?:-L?\d{1,7})?)$")
_HOST = re.compile(r"(?:www\.)?[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|io|dev)")
_LONGEST = 400

_NAMES = frozenset({"makefile", "dockerfile", "license", "readme", "procfile", "gemfile", "rakefile", "justfile"})
_ENDINGS = """
astro bat bash c cc cfg cjs conf cpp cs css csv cts dart env ex exs go gql gradle graphql h hpp
hs htm html ini ipynb java jl js json json5 jsonc jsx kt kts less lock lua m md mdx mjs mk mts
php pl prisma proto ps1 py pyi r rb rs rst sass scala scss sh sql svelte svg swift tf toml ts
tsx txt vue xml yaml yml zig zsh
"""
_SUFFIXES = frozenset(_ENDINGS.split())
"""Endings that make a name without a directory a file: ``app.tsx`` is one, ``item.title`` is none."""


def repository_path(text: str) -> str | None:
    """The repository path that ``text`` is, without ``./``, line number or anchor, or None.

    URLs, absolute paths, paths with ``..`` or into ``.git`` are none. A directory keeps its closing slash, and a
    pattern like ``src/**`` its stars.
    """
    return split_line(text)[0]


def split_line(text: str) -> tuple[str | None, int | None]:
    """The path that ``text`` is and the line it names (``src/a.ts:12``, ``src/a.ts#L12``), each None when absent."""
    text = text.strip().strip("\"'`,;")
    if not text or len(text) > _LONGEST:
        return None, None
    line = None
    if match := _LINE.search(text):
        line, text = int(match[1] or match[2]), text[: match.start()]
    path = text.partition("#")[0].removeprefix("./").rstrip(".:")
    return (path, line) if _is_path(path) else (None, None)


def link_path(href: str) -> str | None:
    """The repository path that a link's address is, or None."""
    return repository_path(unquote(href))


def _is_path(path: str) -> bool:
    if not _SHAPE.fullmatch(path):
        return False
    parts = path.rstrip("/").split("/")
    if any(part in (".", "..") or part.lower() == ".git" for part in parts):
        return False
    last = parts[-1]
    if len(parts) == 1 and not path.endswith("/"):
        return _is_file_name(last)
    if _HOST.fullmatch(parts[0]):
        return False
    return path.endswith("/") or "*" in path or last.startswith(".") or bool(_SUFFIX.search(last)) or _named(last)


def _is_file_name(name: str) -> bool:
    stem, _, suffix = name.rpartition(".")
    if not suffix or "(" in name:
        return False
    if name.startswith(".") and name[1:2].isalpha():
        return suffix.lower() in _SUFFIXES or (name.count(".") == 1 and len(name) > 3)
    return (bool(stem.strip("*.")) and suffix.lower() in _SUFFIXES) or _named(name)


def _named(name: str) -> bool:
    return name.lower().partition(".")[0] in _NAMES and name[:1].isupper()
