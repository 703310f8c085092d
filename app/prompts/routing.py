"""The instructions an item's agent works by: the repository's own, else ours for its domain, else the general ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from app.prompts.data import fences_closed, readable

GENERAL = "general"
DOMAINS = ("ui", "ux", "api", "data", "security", "performance", "code-quality", "feature")
"""The eight item types that have an agent of their own (seed, step 2.6)."""

_OLD_TYPES = {
    "dashboard": "ui",
    "discovery": "code-quality",
    "auth": "security",
    "backend": "api",
    "refactor": "code-quality",
    "optimization": "performance",
}

INSTRUCTIONS_LIMIT = 64 * 1024
"""Bytes of a repository's own instructions that are read."""

JUNK = 10
"""A file with more than one undecodable byte in so many characters is no text."""

_OURS = Path(__file__).parent / "domains"


def domain_of(item_type: str) -> str:
    """One of the eight domains, or ``general`` for any other type, ``fix`` included."""
    name = "-".join(item_type[:100].lower().replace("_", " ").replace("-", " ").split())
    name = _OLD_TYPES.get(name, name)
    return name if name in DOMAINS else GENERAL


def instructions(item_type: str, read: Callable[[str], bytes | None]) -> str:
    """The domain instructions for an item type.

    ``read`` gives a file of the base commit by its path, or None. An empty file, and one that is no text, counts as
    none; of a long one the first INSTRUCTIONS_LIMIT bytes are taken, and the text says so.
    """
    domain = domain_of(item_type)
    path = f".claude/agents/execute-{domain}-agent.md"
    own = read(path) if domain != GENERAL else None
    return _text(own or b"", f"\n\n(Cut here: {path} is longer than {INSTRUCTIONS_LIMIT} bytes.)") or _ours(domain)


def _text(raw: bytes, cut: str) -> str:
    """What the file says, without what nobody sees in it; empty when it is no text."""
    kept = raw if len(raw) <= INSTRUCTIONS_LIMIT else raw[: INSTRUCTIONS_LIMIT - len(cut.encode())]
    text = kept.decode("utf-8", "replace")
    if "\0" in text or text.count("\ufffd") * JUNK > len(text):
        return ""
    text = fences_closed(readable(text.replace("\ufffd", "")).strip())
    return text + cut if text and len(raw) > INSTRUCTIONS_LIMIT else text


@lru_cache(maxsize=16)
def _ours(domain: str) -> str:
    path = _OURS / f"{domain}.md"
    return path.read_text(encoding="utf-8").strip()
