"""How to go about a failure: what is true of its kind, and what is besides in the item's domain (seed, step 9)."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from app.prompts.routing import GENERAL

_FIXING = Path(__file__).parent / "fixing"
_HEADING = re.compile(r"^## (\w+)\n", re.MULTILINE)


def guidance(domain: str, kind: str) -> str:
    """A few lines of Markdown for a check or a tier of the validator, by its name; empty for an unknown one."""
    parts = [_sections(name).get(kind, "") for name in dict.fromkeys((GENERAL, domain))]
    return "\n".join(part for part in parts if part)


@lru_cache(maxsize=16)
def _sections(domain: str) -> dict[str, str]:
    """The sections of a domain's file, by the name of the check or tier in their heading."""
    _, *pieces = _HEADING.split((_FIXING / f"{domain}.md").read_text(encoding="utf-8"))
    return {name: text.strip() for name, text in zip(pieces[::2], pieces[1::2], strict=True)}
