"""What Markdown hides from its reader, and what it does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.prompts.data import MOST_LINES, code, fenced, fences_closed, line, shown, visible


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a <!--> b --> c", "a  b --> c"),
        ("a <!---> b", "a  b"),
        ("a <!-- x --!> b", "a  b"),
        ("a <!-- x\ny --> b", "a  b"),
        ("a <!-- b\n\nc --> d", "a <!-- b\n\nc --> d"),
        ("<div>\na <!-- x\n\ny\n\nz -->", "<div>\na "),
        ("<p> <!-- x\n\n`-->` y\n\n<b>\n--> z", "<p>  z"),
        ("> <!-- x", "> "),
        ("a <![CDATA[ x ]]> b", "a  b"),
        ("a <? x ?> b <!X y> c", "a  b  c"),
        ("<?php\n$a;", ""),
        ("```html\n<!-- shown -->\n```\n<!-- x -->b", "```html\n<!-- shown -->\n```\nb"),
        ("```html\n<!-- x -->never closed", "```html\nnever closed"),
        ("- a\n\n  ```\n  <!-- shown -->\n  ```\n", "- a\n\n  ```\n  <!-- shown -->\n  ```\n"),
        ("<div>\n```\n<!-- x -->\n```\n</div>", "<div>\n```\n\n```\n</div>"),
        ("a\n\n[//]: # (x)\n\nb", "a\n\n\nb"),
        ('[comment]: <> "x"\nb', "b"),
        ('[a]: src/a.ts "x"\n\nsee [a]', "[a]: src/a.ts\n\nsee [a]"),
        (f"[{'x' * 100}]: src/a.ts\nb", "b"),
        ("a[0]: b", "a[0]: b"),
        ('<span style="display:none">kept</span>', '<span style="display:none">kept</span>'),
        ("a\u2028b\x85c\u00a0d", "a\nb\nc d"),
        ("e" + "\u0301" * 99 + "!", "e" + "\u0301" * 4 + "!"),
        ("\U000e0061\U000e0100\u2066\u2069\u180e\u206a", ""),
    ],
)
def test_visible__leaves_out_what_no_reader_sees(text: str, seen: str) -> None:
    assert visible(text) == seen


def test_visible__of_a_cut_text_shows_nothing_of_what_the_cut_left_open() -> None:
    assert "secret" not in visible("a <!-- secret " + "x" * 1_000 + " -->", 100)
    assert "secret" not in visible("a <!-- secret" + "\nx" * (2 * MOST_LINES) + " -->")
    assert "secret" not in fenced("a <!-- secret " + "x" * 10_000 + " -->", 100)
    assert visible("abc", 2) == "ab\n… the rest was not read …"


@pytest.mark.parametrize(
    "unit", ["[a]: #\n", '[a]: b "', "<p>\n<? <!-- <![CDATA[ \n\n", "> - <!--\n", "```\n<!-- x -->\n```\n"]
)
def test_visible__of_a_million_characters_comes_to_an_end(unit: str) -> None:
    assert len(visible(unit * (1_000_000 // len(unit)))) <= 1_000_100


def test_shown__is_the_program_text_with_nothing_hidden() -> None:
    assert shown('a = "<!--"; evil(); b = "-->"') == 'a = "<!--"; evil(); b = "-->"'
    assert shown("if (a\u202e) \u200b\x1b[0m") == "if (a<U+202E>) <U+200B>[0m"
    assert "[//]: # (x)" in code("[//]: # (x)")


@pytest.mark.parametrize("text", ["", "a", "```\na\n```", "~~~\n```\n~~~", "``` a`b\nc"])
def test_fences_closed__leaves_a_closed_text_alone(text: str) -> None:
    assert fences_closed(text) == text


def test_fences_closed__ends_the_one_left_open() -> None:
    assert fences_closed("```ts\na") == "```ts\na\n```"
    assert fences_closed("````\n```\na") == "````\n```\na\n````"


@given(st.text(alphabet="<!->[]?:#/ \n`~ab(\"'\u202e\u0301\ud800>&CDAT", max_size=200))
def test_data__of_any_text_never_raises_nor_leaves_its_line(text: str) -> None:
    assert "\n" not in line(text)
    assert len(visible(text)) <= len(text)
    shown(text)
