"""What is said of a line that cannot be understood: one kind sentence, as plain text."""

from __future__ import annotations

from difflib import get_close_matches

from app.domain.commands import MOST_COMMANDS, Mistake, Verb
from app.domain.text import one_line

_LONGEST_VERB = 20
"""Characters of a word that are compared with the verbs; comparing takes time that grows faster than the word."""


def unknown_verb(word: str) -> Mistake:
    """The nearest verb is named where one is near."""
    near = get_close_matches(word.lower().strip(".,:;!?`*_-/"), list(Verb), n=1) if len(word) < _LONGEST_VERB else []
    return Mistake(reason=f"I do not know “{one_line(word, 40)}”.", nearest=Verb(near[0]) if near else None)


def words_too_many(verb: Verb, rest: str) -> Mistake:
    return wrong(verb, f"takes nothing more, and “{one_line(rest, 40)}” follows")


def wrong(verb: Verb, what: str) -> Mistake:
    """``what`` goes on a sentence that begins with the command's name."""
    return Mistake(reason=f"/mason {verb.value} {what}" + ("" if what.endswith("?") else "."))


def too_many(count: int) -> Mistake:
    """``count`` lines come after those that are read."""
    left = "one more was" if count == 1 else f"{count} more were"
    return Mistake(reason=f"I read {MOST_COMMANDS} commands of a comment; {left} left out.")
