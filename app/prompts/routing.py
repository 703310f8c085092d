"""The instructions an item's agent works by: the repository's own, else ours for its domain, else the general ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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

_OURS = Path(__file__).parent / "domains"


def domain_of(item_type: str) -> str:
    """One of the eight domains, or ``general`` for any other type, ``fix`` included."""
    name = "-".join(item_type[:100].lower().replace("_", " ").replace("-", " ").split())
    name = _OLD_TYPES.get(name, name)
    return name if name in DOMAINS else GENERAL


def instructions(item_type: str, read: Callable[[str], bytes | None]) -> str:
    """The domain instructions for an item type.

    ``read`` gives a file of the base commit by its path, or None. An empty file counts as none.
    """
    domain = domain_of(item_type)
    own = read(f".claude/agents/execute-{domain}-agent.md") if domain != GENERAL else None
    text = (own or b"")[:INSTRUCTIONS_LIMIT].decode("utf-8", "ignore").removeprefix("\ufeff").replace("\0", "").strip()
    return text or _ours(domain)


def _ours(domain: str) -> str:
    path = _OURS / f"{domain}.md"
    return (path if path.is_file() else _OURS / f"{GENERAL}.md").read_text(encoding="utf-8").strip()
