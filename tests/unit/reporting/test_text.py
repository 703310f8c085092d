"""Text from outside, made safe."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from app.reporting.text import code, link, markdown, one_line, storable

titles = st.text(st.characters(), max_size=80) | st.text(st.sampled_from("`*_[]()<>#|~&!$\\-+.1) a\n\t"), max_size=30)


def inline_types(source: str) -> tuple[set[str], str]:
    """The kinds of inline tokens of a Markdown text that is one paragraph, and the words in it."""
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(source)
    assert [t.type for t in tokens if t.type != "inline"] in (["paragraph_open", "paragraph_close"], [])
    children = [child for t in tokens for child in t.children or []]
    return {child.type for child in children}, "".join(child.content for child in children)


@given(titles)
def test_one_line__shows_no_control_character_and_no_second_line(text: str) -> None:
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert not [c for c in line if unicodedata.category(c) in ("Cc", "Cs") or c in "\u202e\u2028\u2029"]
    assert len(line) <= 200


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\r\n\tb", "a b"),
        ("\x1b[31mred\x07", "\ufffd[31mred\ufffd"),
        ("evil\u202etxt", "evil\ufffdtxt"),
        ("👩‍💻 emoji", "👩‍💻 emoji"),
        ("x" * 300, "x" * 199 + "…"),
    ],
)
def test_one_line__examples(text: str, line: str) -> None:
    assert one_line(text) == line


@given(titles)
def test_markdown__a_title_is_only_ever_text(text: str) -> None:
    types, words = inline_types(markdown(text))
    assert types <= {"text", "text_special"}
    assert words == one_line(text)


@given(titles)
def test_markdown__a_title_stays_in_its_table_cell(text: str) -> None:
    html = MarkdownIt("commonmark").enable("table").render(f"| a | b |\n| - | - |\n| {markdown(text)} | end |")
    assert html.count("<td>") == 2
    assert "<td>end</td>" in html


@given(titles)
def test_code__a_span_holds_the_text_as_it_is(text: str) -> None:
    types, words = inline_types(f"x{code(text)}x")
    if one_line(text):
        assert types <= {"text", "code_inline"}
        assert words == f"x{one_line(text)}x".replace("|", "\\|")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://github.com/o/my_repo_x/pull/7", "<https://github.com/o/my_repo_x/pull/7>"),
        ("javascript:alert(1)", "javascript:alert(1)"),
        ("https://x/|a", "https://x/\\|a"),
        ("https://x/>b<", "https://x/\\>b\\<"),
        ("", ""),
    ],
)
def test_link__only_web_addresses_are_links(url: str, shown: str) -> None:
    assert link(url) == shown


@given(st.text(st.characters(), max_size=100))
def test_storable__is_utf8_without_nul(text: str) -> None:
    assert b"\0" not in storable(text).encode()


def test_storable__is_bounded() -> None:
    assert len(storable("x" * 10, limit=4)) == 4
