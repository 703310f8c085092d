"""Actions' expressions, as far as a ``run-name`` needs them: inputs, texts, ``&&``, ``||`` and ``format``."""

from __future__ import annotations

import re
from collections.abc import Mapping

_WORD = re.compile(r"\s*(\|\||&&|[(),]|'(?:[^']|'')*'|[\w.-]+)")


def expanded(text: str, inputs: Mapping[str, object]) -> str:
    """The text with every ``${{ … }}`` in it evaluated."""
    return re.sub(r"\$\{\{(.*?)\}\}", lambda each: _Reader(each[1].strip(), inputs).either(), text)


class _Reader:
    """Reads one expression from left to right; an empty text counts as false."""

    def __init__(self, text: str, inputs: Mapping[str, object]) -> None:
        self._words = _WORD.findall(text)
        assert "".join(self._words) == re.sub(r"\s+(?=(?:[^']*'[^']*')*[^']*$)", "", text), text
        self._inputs = inputs

    def either(self) -> str:
        value = self._both()
        while self._next("||"):
            other = self._both()
            value = value or other
        return value

    def _both(self) -> str:
        value = self._one()
        while self._next("&&"):
            other = self._one()
            value = other if value else value
        return value

    def _one(self) -> str:
        word = self._words.pop(0)
        if word.startswith("'"):
            return word[1:-1].replace("''", "'")
        if word == "format":
            assert self._next("(")
            pattern, values = self.either(), []
            while self._next(","):
                values.append(self.either())
            assert self._next(")")
            return pattern.format(*values)
        assert word.startswith("inputs."), word
        value = self._inputs.get(word.removeprefix("inputs."), "")
        return str(value).lower() if isinstance(value, bool) else str(value)

    def _next(self, word: str) -> bool:
        if self._words[:1] != [word]:
            return False
        self._words.pop(0)
        return True
