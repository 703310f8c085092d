"""What the three APIs have in common: texts in pieces, and which of them a person wrote."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

PIECE = 64 * 1024

_PROGRAMS_OWN = ("<system-reminder>", "<environment_context>", "<user_instructions>", "<permissions", "# AGENTS.md")


def added_by_program(text: str) -> bool:
    """Whether a text of the user's side was put there by Claude Code or Codex."""
    return text.lstrip().startswith(_PROGRAMS_OWN)


def text_of(content: Any) -> str:
    """The text of a string, or of a list of blocks."""
    if isinstance(content, str) or not content:
        return content or ""
    return "\n".join(block.get("text", "") for block in content if isinstance(block, dict) and "text" in block)


def pieces(text: str) -> Iterator[str]:
    """A text as a stream would bring it: two halves, each in pieces of 64 KB at most."""
    half = len(text) // 2
    for part in (text[:half], text[half:]):
        yield from (part[at : at + PIECE] for at in range(0, len(part), PIECE))


def turns_in(kinds: Sequence[str]) -> tuple[int, int]:
    """How many answers of the model there are (neighbours are one) and how many after the last prompt."""
    grouped = [kind for at, kind in enumerate(kinds) if kind != "model" or at == 0 or kinds[at - 1] != "model"]
    last = max((at for at, kind in enumerate(grouped) if kind == "prompt"), default=-1)
    return grouped.count("model"), grouped[last + 1 :].count("model")
