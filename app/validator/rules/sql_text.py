"""SQL without its comments, strings and dollar-quoted bodies."""

from __future__ import annotations

import re

_QUIET = re.compile(
    r"""
      --[^\n]*
    | /\*(?s:.*?\*/|.*)                    # one that never ends takes the rest: nobody looks for its end again
    | '[^']*'?                             # '' inside a string makes two of them, which is as good
    | \$(?P<tag>\w{0,60})\$(?s:.*?\$(?P=tag)\$|.*)
    """,
    re.VERBOSE,
)
_NOT_A_BREAK = re.compile(r"[^\n]")


def masked(text: str) -> str:
    """The same text with blanks for all that; line breaks stay where they are.

    What stands between two ``$tag$`` is a function's or a DO block's own program.
    """
    return _QUIET.sub(lambda quiet: _NOT_A_BREAK.sub(" ", quiet[0]), text)
