"""Path patterns, read as in a .gitignore file (without its negation).

Patterns come from PRDs too, and so from strangers: no regular expression is made of them. Segments are matched one by
one, and a segment's stars without going back further than the last one, so that no pattern takes long.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

LONGEST = 1000
"""Characters of a pattern; a longer one matches nothing."""

ANY = "**"

_Token = str | tuple[bool, tuple[tuple[str, str], ...]]
"""A character, ``*``, ``?`` (as ``\\0*``, ``\\0?``), or a class: whether it is negated, and its ranges."""

_STAR, _ONE = "\0*", "\0?"


def matches(path: str, pattern: str) -> bool:
    """Whether a pattern names ``path`` or a directory above it. Upper and lower case are the same.

    ``*`` and ``?`` stay within a directory, ``**`` does not. A pattern without a slash (other than at its end) counts
    at any depth, another one from the root. A directory that is called ``[id]`` is named by ``[id]``, as a class of
    characters or not.
    """
    wanted = _segments(pattern)
    return bool(wanted) and _path_matches(path.casefold().split("/"), wanted)


@lru_cache(maxsize=512)
def _segments(pattern: str) -> tuple[str, ...]:
    """The pattern by directories, with ``**`` in front where it counts at any depth; none for one without a name."""
    text = pattern.strip().removeprefix("./").casefold().rstrip("/")
    if not text or len(text) > LONGEST:
        return ()
    found: list[str] = [] if "/" in text else [ANY]
    for segment in text.lstrip("/").split("/"):
        stars = len(segment) - len(segment.lstrip("*"))
        if stars > 1 and found[-1:] != [ANY]:
            found.append(ANY)
        if stars < 2:
            found.append(segment)
        elif stars < len(segment):  # "**.ts" is "**/*.ts"
            found.append("*" + segment[stars:])
    if found[-1] == ANY:
        found.append("*")  # "x/**" is what lies inside of x
    return tuple(found)


def _path_matches(parts: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether the whole of ``wanted`` matches the first parts; the state is which pattern segments may come next."""
    states = {0}
    for part in parts:
        reached = set()
        for state in _skipping(states, wanted):
            if state == len(wanted):
                return True
            if wanted[state] == ANY:
                reached.add(state)
            elif _segment_matches(part, wanted[state]):
                reached.add(state + 1)
        states = reached
    return len(wanted) in states


def _skipping(states: set[int], wanted: Sequence[str]) -> set[int]:
    """``**`` may stand for no directory at all."""
    return states | {state + 1 for state in states if state < len(wanted) and wanted[state] == ANY}


def _segment_matches(text: str, pattern: str) -> bool:
    """Two pointers: after a mismatch only the last star takes one more character."""
    if text == pattern:
        return True
    tokens = _tokens(pattern)
    at = here = 0
    star, resume = -1, 0
    while at < len(text):
        if here < len(tokens) and tokens[here] == _STAR:
            star, resume, here = here, at, here + 1
        elif here < len(tokens) and _one_matches(text[at], tokens[here]):
            at, here = at + 1, here + 1
        elif star >= 0:
            resume, here = resume + 1, star + 1
            at = resume
        else:
            return False
    return all(token == _STAR for token in tokens[here:])


@lru_cache(maxsize=2048)
def _tokens(pattern: str) -> tuple[_Token, ...]:
    found: list[_Token] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        end = pattern.find("]", at + 3 if pattern[at + 1 : at + 2] == "!" else at + 2) if char == "[" else -1
        if end > 0:
            found.append(_class(pattern[at + 1 : end]))
            at = end + 1
            continue
        token = {"*": _STAR, "?": _ONE}.get(char, char)
        if not (token == _STAR and found[-1:] == [_STAR]):
            found.append(token)
        at += 1
    return tuple(found)


def _class(inside: str) -> _Token:
    negated = inside.startswith("!")
    chars = inside[1:] if negated else inside
    ranges: list[tuple[str, str]] = []
    at = 0
    while at < len(chars):
        is_range = chars[at + 1 : at + 2] == "-" and at + 2 < len(chars)
        ranges.append((chars[at], chars[at + 2] if is_range else chars[at]))
        at += 3 if is_range else 1
    return negated, tuple(ranges)


def _one_matches(char: str, token: _Token) -> bool:
    if isinstance(token, str):
        return token in (_ONE, char)
    negated, ranges = token
    return any(first <= char <= last for first, last in ranges) != negated
