"""Items: names derived from titles, legal moves, the approval's digest."""

from __future__ import annotations

import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.items import LEGAL_MOVES, SLUG_LIMIT, Item, ItemStatus, approval_digest, own_branch, plain_branch, slug

ID = UUID(int=0xABCDEF01 << 96)


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Add user avatar upload", "add-user-avatar-upload"),
        ("  Fix: login/validation!  ", "fix-login-validation"),
        ("Überprüfung der Größe", "uberprufung-der-groe"),
        ("🚀🚀", "item-abcdef01"),
        ("", "item-abcdef01"),
        ("../../etc; rm -rf $HOME `x`", "etc-rm-rf-home-x"),
        ("a" * 100, "a" * SLUG_LIMIT),
    ],
)
def test_slug__a_name_for_a_branch(title: str, expected: str) -> None:
    assert slug(title, ID) == expected


@given(st.text(st.characters(), max_size=300))
def test_slug__any_title_gives_a_valid_branch(title: str) -> None:
    item = Item(id=ID, title=title, status=ItemStatus.APPROVED)
    assert re.fullmatch(r"mason/[a-z0-9]+(-[a-z0-9]+)*", plain_branch(item))
    assert len(slug(title, ID)) <= SLUG_LIMIT
    assert own_branch(item) == f"{plain_branch(item)}-abcdef01"


def test_digest__no_two_different_contents_give_the_same() -> None:
    contents = [
        ("a", "b", "", "t", "p"),
        ("ab", "", "", "t", "p"),
        ("a", "b", None, "t", "p"),
        ("a", "b", "-", "t", "p"),
        ("a", "b", "", "t", None),
    ]
    assert len({approval_digest(*content) for content in contents}) == len(contents)


def test_digest__white_space_alone_is_no_prd_but_still_content() -> None:
    item = Item(id=ID, title="x", status=ItemStatus.APPROVED, prd=" \r\n")
    assert not item.has_prd
    assert item.content_digest != Item(id=ID, title="x", status=ItemStatus.APPROVED).content_digest


def test_moves__a_completed_item_stays_and_only_approved_ones_are_started() -> None:
    assert set(LEGAL_MOVES) == set(ItemStatus)
    assert LEGAL_MOVES[ItemStatus.COMPLETED] == frozenset()
    assert [s for s in ItemStatus if ItemStatus.IN_PROGRESS in LEGAL_MOVES[s]] == [ItemStatus.APPROVED]
