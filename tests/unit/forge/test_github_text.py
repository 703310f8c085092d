"""Strangers' texts in Markdown: they show as they are and do nothing."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from app.forge.github import text

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])

PIECES = """\
Fixes #12|@ada|<!-- mason:end -->|![x](https://x.example/a.png)|`|    |- |1. |#|===|<img src=x>|\\
&lt;|*|_|word|$x$|> |[a]: b
www.x.example|GH-1|+ |~~~|---|é""".replace("\n", "|").split("|")

nasty = st.lists(
    st.sampled_from([*PIECES, "\n", "~~~\n", "---\n", "| a | b |\n| - | - |\n", "\x1b[31m", "\u202e", "\ud800"]),
    max_size=12,
).map("".join)


def shown(markdown: str) -> str:
    plain = re.sub(r"</?(?:p|br ?/?)>", "", MARKDOWN.render(markdown))
    return " ".join(html.unescape(plain).replace("\u200b", "").split())


@given(nasty)
def test_prose__shows_its_characters_and_nothing_else(source: str) -> None:
    prose = text.prose(source)
    assert shown(prose) == " ".join(text.clean(source).split())
    assert "<" not in prose and not re.search(r"@\w|#(?!8203;)\d|://", prose)
    prose.encode()


@given(nasty)
def test_code__is_one_code_span(source: str) -> None:
    span = text.code(source)
    assert "<!-- mason" not in span and "\n" not in span
    rendered = MARKDOWN.render(f"x {span} x")
    assert re.fullmatch(r"<p>x (—|<code>[^<]*</code>) x</p>\n", rendered)
    assert not re.search(r"(?i)fixes #\d", span)


@pytest.mark.parametrize(
    ("source", "shown_title"),
    [
        ("  Two\r\nlines\x00 ", "Two lines\ufffd"),
        ("Ask @ada, not a@b.example", "Ask @ ada, not a@b.example"),
        ("::set-output name=x::y", "::set-output name=x::y"),
        ("\u202e\x1b[2J", "\ufffd[2J"),
        ("x" * 300, "x" * 255 + "…"),
        ("\u200b", ""),
    ],
)
def test_title__is_one_line(source: str, shown_title: str) -> None:
    assert text.title(source) == shown_title


def test_tail__keeps_the_end_and_its_fence() -> None:
    log = "```text\n" + "".join(f"line {number}\n" for number in range(1000)) + "```"
    cut = text.tail(log, 500)
    assert len(cut) == 500
    assert cut.startswith("```text\n…\n") and cut.endswith("line 999\n```")
    assert text.tail("short", 500) == "short"
    assert len(text.tail("\U0001f600" * 600, 500)) == 500
