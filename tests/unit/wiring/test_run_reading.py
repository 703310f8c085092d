"""Which database a run is read from."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.backlog.store import SqlBacklog
from app.domain.credentials import Credentials
from app.domain.dispatches import Dispatch, Work
from app.errors import DatabaseRefused, UnknownRun
from app.log import Redactor
from app.web.api.runs import RunReading
from app.wiring.run_reading import run_reading

RUN = Dispatch(id=uuid4(), work=Work.RUN, repository=None, created_at=datetime(2026, 1, 1, tzinfo=UTC))
ELSEWHERE = Credentials(url="https://nowhere.invalid", key="a-key-of-a-project-of-its-own")


def reading(dispatch: Dispatch | None, sealed: dict[str, str], views: object, redactor: Redactor) -> RunReading:
    parts: Any = SimpleNamespace(
        database=SimpleNamespace(dispatch=lambda _: dispatch),
        sealed=sealed,
        views=views,
        redactor=redactor,
        ports=SimpleNamespace(page=lambda run_id: f"https://mason.test/runs/{run_id}"),
    )
    return run_reading(parts)


@pytest.mark.parametrize("dispatch", [None, RUN])
def test_views__of_runs_on_the_configured_backlog_are_its(dispatch: Dispatch | None) -> None:
    views = object()
    there = reading(dispatch, {}, views, Redactor(()))
    for run_id in (None, RUN.id):
        with there.views_for(run_id) as found:
            assert found is views
    assert there.page(RUN.id) == f"https://mason.test/runs/{RUN.id}"


def test_views__of_a_run_on_its_own_project_are_there() -> None:
    redactor = Redactor(())
    mine = replace(RUN, project=ELSEWHERE.url)
    there = reading(mine, {f"run {RUN.id}": ELSEWHERE.text()}, object(), redactor)
    with there.views_for(RUN.id) as found:
        assert isinstance(found, SqlBacklog)
    assert redactor.text(f"the key is {ELSEWHERE.key}") == "the key is ***"


def test_views__of_a_run_whose_project_is_forgotten_are_nowhere() -> None:
    there = reading(replace(RUN, project=ELSEWHERE.url), {}, object(), Redactor(()))
    with pytest.raises(UnknownRun, match="in the project that it ran on"), there.views_for(RUN.id):
        pass


def test_views__of_a_run_whose_project_lets_nobody_in_are_nowhere() -> None:
    there = reading(replace(RUN, project=ELSEWHERE.url), {f"run {RUN.id}": ELSEWHERE.text()}, object(), Redactor(()))
    with pytest.raises(UnknownRun, match="does not let Mason in: the key was revoked"), there.views_for(RUN.id):
        raise DatabaseRefused("the key was revoked")


def test_workflow__is_the_dispatches_address() -> None:
    url = "https://github.com/acme/shop/actions/runs/7"
    assert reading(replace(RUN, url=url), {}, object(), Redactor(())).workflow(RUN.id) == url
    assert reading(None, {}, object(), Redactor(())).workflow(UUID(int=1)) == ""
