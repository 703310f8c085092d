"""Credentials of a Supabase project that came with a request, and how they are written down to be sealed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """``url`` of the project, and a ``key`` of it."""

    url: str
    key: str = field(repr=False)

    def text(self) -> str:
        return json.dumps([self.url, self.key])

    @classmethod
    def of_text(cls, text: str) -> Credentials:
        """What `text` has written."""
        url, key = json.loads(text)
        return cls(url=url, key=key)
