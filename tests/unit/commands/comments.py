"""Comments made at random, half of them nearly commands: for the fuzz test and the benchmark."""

from __future__ import annotations

import random

ID = "0b6f2f3e-8f6e-4a53-9d3c-2f1f0c6f7a11"

PIECES = (
    *("/mason ", "/mason", "/MASON ", "/execute-approved ", "/masonry ", "@mason ", "mason "),
    *("run", "fix", "retry", "validate", "cancel", "status", "approve", "defer", "help", "stauts", "rnu"),
    *(" --item ", " --item=", ID, ID.upper(), " --limit ", " --limit=", "3", "0", "9" * 30, " --dry-run", " --e2e"),
    *(" --smoke-test", " --auto", " --dry", " -", "—", "٣"),
    *("\n", "\n", "\n\n", "\r\n", "\r", "\n/mason ", "\n\n/mason ", "   ", "    ", "\t", "\u2028", "\x0b", "\x85"),
    *(
        "> ",
        "- ",
        "* ",
        "1. ",
        "# ",
        "===\n",
        "---\n",
        "```\n",
        "~~~\n",
        "`",
        "``",
        "    code\n",
        "| a | b |\n|---|---|\n",
    ),
    *("<!--", "-->", "<div>\n", "</div>", "<a href='", "<![CDATA[", "<?", "<b>", "<", ">", "&lt;", "<http://x>"),
    *("[", "]", "](", ")", "![", "[a]: /b 'c'\n", "[a]", "\\", "**", "_", "~~", "$", "@ada", "#1", "word ", "é", "😀"),
    *("\0", "\ud800", "\udfff", "\u200b", "\u202e", "\ufeff", "\ue000", "\ue0001\ue000", "\U0010ffff"),
)


def structured(chance: random.Random) -> str:
    """Pieces of Markdown and of commands, strung together."""
    return "".join(chance.choices(PIECES, k=chance.randint(1, 24)))


def loose(chance: random.Random) -> str:
    """Any characters at all, with a command somewhere so that they are looked at."""
    text = "".join(chr(chance.randrange(0x110000)) for _ in range(chance.randint(0, 40)))
    return f"{text}\n/mason {text[:10]}" if chance.random() < 0.7 else text


def comment(chance: random.Random) -> str:
    return structured(chance) if chance.random() < 0.8 else loose(chance)
