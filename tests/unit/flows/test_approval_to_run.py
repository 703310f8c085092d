"""From approved rows to dispatches: whose they are, how many at once, what waits and why."""

from __future__ import annotations

import logging
from dataclasses import replace
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb

from app.domain.dispatches import DispatchState, Work
from app.domain.results import Usage, Verdict
from app.domain.runs import Base
from app.errors import Busy, ForgeUnreachable
from app.flows.approval_to_run import reconcile_backlog
from app.flows.reconcile_run import reconcile_run
from tests.fakes.faults import Fault
from tests.unit.flows.web_world import NAME, WebWorld

OTHER = "acme/site"


def started(world: WebWorld) -> list[tuple[str | None, set[UUID]]]:
    return [(one.repository, set(one.items)) for one in world.dispatches]


def test_approval__items_are_grouped_by_their_repositories(world: WebWorld) -> None:
    world.add_repository(OTHER)
    ours, theirs = world.add_items(2), world.add_items(1, repository=OTHER)
    assert reconcile_backlog(world.ports) is None
    assert sorted(started(world), key=str) == sorted([(NAME, set(ours)), (OTHER, set(theirs))], key=str)
    for one in world.dispatches:
        assert (one.work, one.state, one.number, one.request) == (Work.RUN, DispatchState.PREPARING, 0, "")
        assert one.base == Base(commit=world.there.branches["main"], branch="main")
    assert world.jobs("reconcile_run") == 2
    assert set(world.statuses([*ours, *theirs])) == {"approved"}  # the claims are the next step


def test_approval__nothing_approved_asks_nobody(world: WebWorld) -> None:
    world.add_items(2, status="new")
    before = len(world.github.requests)
    assert reconcile_backlog(world.ports) is None
    assert not world.dispatches
    assert len(world.github.requests) == before


def test_approval__looked_at_twice_starts_once(world: WebWorld) -> None:
    items = world.add_items(3)
    reconcile_backlog(world.ports)
    reconcile_backlog(world.ports)
    assert started(world) == [(NAME, set(items))]


def test_limits__items_of_a_run_make_several_runs(world: WebWorld) -> None:
    world.policy("limits: {items_per_run: 2}")
    items = world.add_items(5)
    reconcile_backlog(world.ports)
    assert sorted(len(one.items) for one in world.dispatches) == [1, 2, 2]
    assert {item for one in world.dispatches for item in one.items} == set(items)


def test_limits__items_a_day_leave_the_least_important(world: WebWorld) -> None:
    world.policy("limits: {items_per_day: 3}")
    minor = world.add_items(2, impact_score=1)
    major = world.add_items(3, impact_score=9)
    reconcile_backlog(world.ports)
    reconcile_backlog(world.ports)
    assert started(world) == [(NAME, set(major))]
    world.edit_dispatch(world.dispatch().id, created_at=world.ago(hours=25))
    reconcile_backlog(world.ports)
    assert started(world)[1:] == [(NAME, set(minor))]


def test_limits__what_another_repository_has_used_does_not_count(world: WebWorld) -> None:
    world.policy("limits: {items_per_day: 1}")
    world.add_repository(OTHER)
    world.add_item(repository=OTHER)
    reconcile_backlog(world.ports)
    world.add_item()
    reconcile_backlog(world.ports)
    assert [one.repository for one in world.dispatches] == [OTHER, NAME]


@pytest.mark.parametrize(("limit", "runs"), [("2.5", 2), ("2.0", 1)])
def test_limits__dollars_of_a_day(world: WebWorld, limit: str, runs: int) -> None:
    world.policy(f"limits: {{cost_per_day_usd: {limit}}}")
    dispatch, run, (item,) = world.started()
    world.settle(world.begin(dispatch, item), Verdict.COMPLETED, usage=Usage(cost_usd=2.0))
    run.finish()
    world.look()
    world.add_item()
    reconcile_backlog(world.ports)
    assert len(world.dispatches) == runs
    world.rows.execute("update mason_item_events set created_at = now() - interval '25 hours'")
    reconcile_backlog(world.ports)
    assert len(world.dispatches) == 2


def test_limits__dollars_of_executions_count_too(world: WebWorld) -> None:
    world.policy("limits: {cost_per_day_usd: 2.5}")
    world.add_execution(2.0)
    world.add_execution(9.0, repository=OTHER)
    world.add_item()
    reconcile_backlog(world.ports)
    assert len(world.dispatches) == 1
    execution = world.add_execution(0.5, status="running")
    world.add_item()
    reconcile_backlog(world.ports)
    assert len(world.dispatches) == 1
    assert any("2.50 dollars were spent within 24 hours, or are set aside" in why for why in world.ports.told.values())
    world.app_rows.execute(
        "update mason_app.executions set status = 'success', usage = %s, completed_at = now() where id = %s",
        [Jsonb({"cost_usd": 0.25}), execution],
    )
    reconcile_backlog(world.ports)
    assert len(world.dispatches) == 2


def test_unattended__types_and_complexity_wait_for_a_person(world: WebWorld) -> None:
    world.policy("unattended: {types: [security, feature], complexity_below: 4}")
    world.add_item(type="performance")
    world.add_item(complexity=4)
    plain = world.add_item(complexity=3)
    reconcile_backlog(world.ports)
    assert started(world) == [(NAME, {plain})]


def test_debounce__a_person_who_goes_on_approving_makes_one_run(world: WebWorld) -> None:
    ports = replace(world.ports, quiet=5.0, patience=60.0)
    first = world.add_item()
    world.age_item(first, 20)
    second = world.add_item()
    world.age_item(second, 1)
    seconds = reconcile_backlog(ports)
    assert seconds is not None and 3 < seconds <= 4
    assert not world.dispatches
    world.age_item(second, 6)
    assert reconcile_backlog(ports) is None
    assert started(world) == [(NAME, {first, second})]


def test_debounce__patience_ends(world: WebWorld) -> None:
    ports = replace(world.ports, quiet=5.0, patience=60.0)
    first, second = world.add_items(2)
    world.age_item(first, 61)
    assert reconcile_backlog(ports) is None
    assert started(world) == [(NAME, {first, second})]


def test_failed_base__waits_until_the_branch_moves(world: WebWorld) -> None:
    item = world.add_item(failed_base=world.there.branches["main"])
    reconcile_backlog(world.ports)
    assert not world.dispatches
    world.there.push_as_person("main", {"b.txt": "two\n"})
    reconcile_backlog(world.ports)
    assert started(world) == [(NAME, {item})]
    assert world.dispatch().base == Base(commit=world.there.branches["main"], branch="main")


def test_failure__of_one_repository_keeps_none_of_the_others(world: WebWorld) -> None:
    world.add_repository("gone/away", installed=False)
    world.add_repository(OTHER)
    world.add_item(repository="gone/away", impact_score=9)  # looked at first
    items = {name: world.add_item(repository=name) for name in (NAME, OTHER)}
    assert reconcile_backlog(world.ports) is None
    assert sorted(started(world), key=str) == sorted([(name, {item}) for name, item in items.items()], key=str)


def test_failure__a_github_that_is_away_is_raised_and_the_next_look_starts_it(world: WebWorld) -> None:
    item = world.add_item()
    world.github.fail("GET /repos/{owner}/{repo}", with_=Fault.SERVER_ERROR)
    with pytest.raises(ForgeUnreachable):
        reconcile_backlog(world.ports)
    assert not world.dispatches
    reconcile_backlog(world.ports)
    assert started(world) == [(NAME, {item})]


def test_unfinished__its_items_are_left_alone_even_when_they_came_back(world: WebWorld) -> None:
    dispatch, run, (item,) = world.started()
    world.lose_lease(item)
    world.ports.backlog.dead_claims(lambda _: False)
    assert world.statuses([item]) == ["approved"]
    reconcile_backlog(world.ports)
    assert world.dispatch() == dispatch
    run.finish("failure")
    reconcile_run(world.ports, dispatch.id)
    assert world.jobs("reconcile_backlog") == 1
    reconcile_backlog(world.ports)
    assert [set(one.items) for one in world.dispatches] == [{item}, {item}]


def test_home__items_without_a_repository_are_its(world: WebWorld) -> None:
    """Where none is connected; where one is, they are that one's."""
    world.rows.execute("delete from mason_github_repositories")
    item = world.add_item(repository=None)
    assert reconcile_backlog(world.ports) is None
    assert not world.dispatches
    assert reconcile_backlog(replace(world.ports, home=NAME)) is None
    assert started(world) == [(NAME, {item})]


def test_home__an_only_connected_repository_comes_first(world: WebWorld) -> None:
    item = world.add_item(repository=None)
    assert reconcile_backlog(replace(world.ports, home=OTHER)) is None
    assert started(world) == [(NAME, {item})]


def test_home__of_several_connected_repositories_none_is_meant(world: WebWorld) -> None:
    world.add_repository(OTHER)
    world.add_item(repository=None)
    assert reconcile_backlog(replace(world.ports, home=NAME)) is None
    assert not world.dispatches


def test_two_at_once__the_second_is_told_that_somebody_is_at_it(world: WebWorld) -> None:
    item = world.add_item()
    with world.ports.database.locked("backlog"), pytest.raises(Busy):
        reconcile_backlog(world.ports)
    assert not world.dispatches
    reconcile_backlog(world.ports)
    assert started(world) == [(NAME, {item})]


@pytest.mark.parametrize(
    ("text", "said"), [("limits: {items_per_run: many}", "limits.items_per_run"), ("limits: [", "not valid YAML")]
)
def test_policy__that_cannot_be_read_starts_nothing_and_says_so(
    world: WebWorld, caplog: pytest.LogCaptureFixture, text: str, said: str
) -> None:
    world.policy(text)
    world.add_item()
    with caplog.at_level(logging.WARNING, "mason"):
        assert reconcile_backlog(world.ports) is None
    assert not world.dispatches
    assert said in caplog.text
    assert f"Nothing is started in {NAME}" in caplog.text
