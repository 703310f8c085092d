"""A repository that Mason has no way to any more: what is unfinished there ends after an hour."""

from __future__ import annotations

import pytest

from app.domain.dispatches import Dispatch, DispatchState, Work
from app.domain.items import ItemStatus
from app.errors import ForgeUnreachable, MasonError, MissingPermission, UsageError
from app.flows.approval_to_run import reconcile_backlog
from app.flows.comment_to_command import answer_request
from app.flows.reconcile_run import reconcile_run
from app.flows.sweep import sweep
from tests.fakes.faults import Fault
from tests.unit.flows.web_world import NAME, WebWorld

REASON = f"the GitHub App is not installed on {NAME}: install it there"


def lose(world: WebWorld) -> None:
    """The App is uninstalled, and the tokens that it had have ended."""
    world.github.hub.uninstall(NAME)
    world.clock.sleep(7200)


def age(world: WebWorld, dispatch: Dispatch, minutes: float = 61) -> None:
    world.edit_dispatch(dispatch.id, created_at=world.ago(minutes=minutes))


def ended(world: WebWorld, dispatch: Dispatch) -> Dispatch:
    """Its end, after one look."""
    assert reconcile_run(world.ports, dispatch.id) is None
    now = world.ports.database.dispatch(dispatch.id)
    assert now is not None and now.state is DispatchState.ENDED
    assert not [seen for seen in world.ports.backlog.claims() if seen.claim.run_id == dispatch.id]
    return now


def test_dispatched__items_come_back_and_the_run_is_closed(world: WebWorld) -> None:
    dispatch, _, items = world.started(2)
    lose(world)
    age(world, dispatch)
    now = ended(world, dispatch)
    assert (now.outcome, now.reason) == ("failed", REASON)
    row = world.run_rows(dispatch.id)
    assert (row["status"], row["planned_status"], row["error_message"]) == ("failed", "failed", REASON)
    assert world.statuses(items) == ["approved", "approved"]
    assert not world.ports.database.unfinished()
    reconcile_backlog(world.ports)  # and nothing is started there until there is a way again
    assert len(world.dispatches) == 1
    world.github.hub.install(NAME)
    reconcile_backlog(world.ports)
    assert set(world.dispatches[-1].items) == set(items) and len(world.dispatches) == 2


def test_dispatched__less_than_an_hour_ago_is_waited_for(world: WebWorld) -> None:
    dispatch, _, (item,) = world.started()
    lose(world)
    age(world, dispatch, minutes=59)
    with pytest.raises(UsageError, match="not installed"):
        reconcile_run(world.ports, dispatch.id)
    assert world.item(item).status is ItemStatus.IN_PROGRESS
    world.github.hub.install(NAME)
    assert reconcile_run(world.ports, dispatch.id) is not None


def test_dispatched__a_runner_that_lives_is_left_to_its_work(world: WebWorld) -> None:
    dispatch, _, (item,) = world.started()
    claim = world.begin(dispatch, item)
    lose(world)
    age(world, dispatch)
    with pytest.raises(UsageError):
        reconcile_run(world.ports, dispatch.id)
    assert world.settle(claim)
    assert ended(world, dispatch).outcome == "success"
    assert world.item(item).status is ItemStatus.COMPLETED


def test_dispatched__a_runner_that_died_there(world: WebWorld) -> None:
    dispatch, _, (item,) = world.started()
    world.begin(dispatch, item)
    lose(world)
    age(world, dispatch)
    world.lose_lease(item)
    assert ended(world, dispatch).outcome == "failed"
    assert world.item(item).status is ItemStatus.APPROVED


def test_dispatched__by_a_person_who_has_cancelled_it(world: WebWorld) -> None:
    dispatch, _, (item,) = world.started()
    world.edit_dispatch(dispatch.id, cancelled_by="ada")
    lose(world)
    age(world, dispatch)
    assert ended(world, dispatch).outcome == "cancelled"
    assert world.item(item).status is ItemStatus.DEFERRED


@pytest.mark.parametrize("cancelled_by", ["", "ada"])
def test_preparing__is_given_up(world: WebWorld, cancelled_by: str) -> None:
    item = world.add_item()
    reconcile_backlog(world.ports)
    dispatch = world.dispatch()
    world.edit_dispatch(dispatch.id, cancelled_by=cancelled_by)
    lose(world)
    age(world, dispatch)
    ended(world, dispatch)
    assert world.item(item).status is (ItemStatus.DEFERRED if cancelled_by else ItemStatus.APPROVED)


def test_validate__ends_as_well(world: WebWorld) -> None:
    pull = world.there.open_pull_request_by_person("topic", {"topic.txt": "two\n"})
    world.say("/mason validate", number=pull.number)
    dispatch = world.dispatch()
    assert dispatch.work is Work.VALIDATE
    reconcile_run(world.ports, dispatch.id)
    lose(world)
    age(world, dispatch)
    now = ended(world, dispatch)
    assert (now.outcome, now.reason) == ("failed", REASON)


def test_request__is_finished_after_an_hour(world: WebWorld) -> None:
    item = world.add_item(status="new")
    world.there.comment_as_person(world.there.open_issue_by_person("A question").number, f"/mason approve {item}")
    (key,) = world.hear()
    lose(world)
    with pytest.raises(UsageError, match="not installed"):
        answer_request(world.ports, key)
    assert len(world.ports.database.unanswered()) == 1
    world.app_rows.execute("update mason_app.requests set received_at = received_at - interval '61 minutes'")
    answer_request(world.ports, key)
    assert not world.ports.database.unanswered()
    assert world.item(item).status is ItemStatus.NEW


def test_key__that_github_does_not_take_says_nothing_about_a_repository(world: WebWorld) -> None:
    dispatch, _, (item,) = world.started()
    age(world, dispatch)
    world.clock.sleep(7200)
    world.github.hub.tokens.apps.clear()
    with pytest.raises(MissingPermission):
        reconcile_run(world.ports, dispatch.id)
    assert world.item(item).status is ItemStatus.IN_PROGRESS


def test_github__that_is_away_says_nothing_about_a_repository(world: WebWorld) -> None:
    dispatch, _, (item,) = world.started()
    lose(world)
    age(world, dispatch)
    world.github.fail("GET /repos/{owner}/{repo}/installation", with_=Fault.BAD_GATEWAY, times=None)
    with pytest.raises(ForgeUnreachable):
        reconcile_run(world.ports, dispatch.id)
    assert world.item(item).status is ItemStatus.IN_PROGRESS


def test_sweep__goes_on_in_a_repository_that_is_lost(world: WebWorld) -> None:
    dispatch, _, (item,) = world.started()
    world.begin(dispatch, item)
    lose(world)
    world.lose_lease(item)
    sweep(world.ports)
    with pytest.raises(MasonError):
        reconcile_run(world.ports, dispatch.id)
    age(world, dispatch)
    ended(world, dispatch)
    assert world.item(item).status is ItemStatus.APPROVED
