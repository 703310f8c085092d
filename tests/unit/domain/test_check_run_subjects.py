"""What a check run is about, as it travels in ``external_id``: anybody's App can write one there."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from app.domain.check_runs import Subject

RUN, ITEM = UUID(int=1), UUID(int=2)


@pytest.mark.parametrize("item", [ITEM, None])
@pytest.mark.parametrize("pull_request", [0, 7, 999_999_999])
def test_subject__comes_back_as_it_went(item: UUID | None, pull_request: int) -> None:
    subject = Subject(run_id=uuid4(), item_id=item, pull_request=pull_request)
    assert Subject.parse(str(subject)) == subject
    assert len(str(subject)) < 100


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "mason",
        "mason:",
        f"mason:{RUN}",
        f"mason:{RUN}:{ITEM}",
        f"mason:{RUN}:{ITEM}:",
        f"mason:{RUN}:{ITEM}:-1",
        f"mason:{RUN}:{ITEM}:1234567890",
        f"mason:{RUN}:{ITEM}:٣",
        f"mason:{RUN}:{ITEM}:7:8",
        f"mason:{RUN}:{ITEM}:7\n",
        f" mason:{RUN}:{ITEM}:7",
        f"other:{RUN}:{ITEM}:7",
        f"mason:-:{ITEM}:7",
        f"mason:{RUN.hex}:{ITEM.hex}:7",
        f"mason:{{{RUN}}}:{ITEM}:7",
        "mason:" + "a" * 100_000,
    ],
)
def test_subject__somebody_elses_is_none(text: str | None) -> None:
    assert Subject.parse(text) is None
