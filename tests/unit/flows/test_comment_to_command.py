"""From a comment or a press to its effect, and to one reply."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.domain.dispatches import DispatchState, Work
from app.domain.items import ItemStatus
from app.domain.results import Verdict
from app.errors import Busy, ForgeRefused, ForgeUnreachable
from app.flows.comment_to_command import answer_request
from app.flows.reconcile_run import reconcile_run
from tests.fakes.faults import Fault
from tests.fakes.github_api.records import Pull
from tests.unit.flows.web_world import NAME, Killed, Tripwire, WebWorld

WELL = ["eyes", "rocket"]
NOT_WELL = ["eyes", "confused"]
OTHER = "acme/site"


def answer(world: WebWorld, body: str, **where: Any) -> str:
    """The one reply to a comment."""
    number = where.get("number") or world.there.open_issue_by_person("A question").number
    before = world.replies(number)
    world.say(body, number=number, login=where.get("login", "ada"))
    (said,) = world.replies(number)[len(before) :]
    return said


def a_pull_request(world: WebWorld, branch: str = "topic") -> Pull:
    return world.there.open_pull_request_by_person(branch, {f"{branch}.txt": "two\n"})


def its_pull_request(world: WebWorld, verdict: Verdict = Verdict.COMPLETED) -> tuple[UUID, Pull]:
    """An item whose run has ended, and the pull request of its branch."""
    dispatch, run, (item,) = world.started()
    branch = world.item(item).branch
    assert branch
    pull = a_pull_request(world, branch)
    world.settle(world.begin(dispatch, item), verdict, "The tests fail", branch=branch)
    run.finish("success")
    reconcile_run(world.ports, dispatch.id)
    return item, pull


def title(world: WebWorld, item: UUID) -> str:
    return world.item(item).title


# run


def test_run__takes_the_approved_items_of_this_repository(world: WebWorld) -> None:
    world.add_repository(OTHER)
    world.add_item(repository=OTHER)
    world.add_item(status="new")
    items = world.add_items(2)
    number = world.say("/mason run")
    dispatch = world.dispatch()
    assert (set(dispatch.items), dispatch.number, dispatch.repository) == (set(items), number, NAME)
    assert dispatch.request.startswith("comment ")
    (said,) = world.replies(number)
    assert "2 items will run in" in said and all(title(world, item) in said for item in items)
    assert world.reactions(number) == WELL
    assert world.jobs("reconcile_run") == 1


def test_run__named_items_are_lifted_over_what_keeps_them_waiting(world: WebWorld) -> None:
    world.policy("unattended: {types: [], complexity_below: 1}")
    item, _ = world.add_items(2, failed_base=world.there.branches["main"])
    number = world.say(f"/execute-approved --item {item} --item {item} --smoke-test --e2e --auto")
    dispatch = world.dispatch()
    assert (dispatch.items, dispatch.smoke_test, dispatch.e2e) == ((item,), True, True)
    assert world.item(item).failed_base is None
    assert world.reactions(number) == WELL


def test_run__a_limit_and_the_items_of_a_run(world: WebWorld) -> None:
    world.policy("limits: {items_per_run: 2}")
    world.add_items(4)
    world.say("/mason run --limit 1")
    world.say("/mason run --limit 200")
    assert [len(one.items) for one in world.dispatches] == [1, 2]


def test_run__dry_run_starts_nothing(world: WebWorld) -> None:
    world.policy("limits: {items_per_day: 1}")
    first, second = world.add_item(impact_score=9), world.add_item()
    said = answer(world, "/mason run --dry-run")
    assert re.search(r"1 item would run; nothing was started:\s+- " + title(world, first), said)
    assert re.search(rf"Waiting:\s+- {title(world, second)}: 1 items were started", said)
    assert not world.dispatches


def test_run__with_nothing_to_run_says_what_waits(world: WebWorld) -> None:
    assert answer(world, "/mason run") == "There is nothing to run: no approved item of this repository is free."
    world.policy("unattended: {types: []}")
    item = world.add_item()
    said = answer(world, "/mason run")
    assert f"{title(world, item)}: items of the type feature are started by a person" in said
    assert not world.dispatches


def test_run__items_of_an_unfinished_run_are_not_free(world: WebWorld) -> None:
    world.started()
    assert answer(world, "/mason run") == "There is nothing to run: no approved item of this repository is free."


def test_run__an_item_that_is_not_approved(world: WebWorld) -> None:
    good, bad = world.add_item(), world.add_item(status="deferred")
    number = world.say(f"/mason run --item {good} --item {bad}")
    assert world.replies(number) == [f"“{title(world, bad)}” is deferred, not approved."]
    assert world.reactions(number) == NOT_WELL
    assert not world.dispatches


def test_run__a_policy_that_cannot_be_read_is_told(world: WebWorld) -> None:
    world.policy("limits: {items_per_run: 0}")
    world.add_item()
    said = answer(world, "/mason run")
    assert "limits.items" in said and "mason.yml" in said
    assert not world.dispatches


# fix, validate


@pytest.mark.parametrize(("body", "work"), [("/mason fix", Work.FIX), ("/mason validate", Work.VALIDATE)])
def test_on_a_pull_request__work_is_started(world: WebWorld, body: str, work: Work) -> None:
    pull = a_pull_request(world)
    said = answer(world, body, number=pull.number)
    dispatch = world.dispatch()
    assert (dispatch.work, dispatch.number, dispatch.items) == (work, pull.number, ())
    assert said.startswith("A runner will ") and str(dispatch.id) in said
    reconcile_run(world.ports, dispatch.id)
    run = world.workflow_run(dispatch)
    assert (run.inputs["command"], run.inputs["pull-request"]) == (work.value, str(pull.number))


@pytest.mark.parametrize("verb", ["fix", "validate"])
def test_on_an_issue__they_are_refused_kindly(world: WebWorld, verb: str) -> None:
    assert answer(world, f"/mason {verb}") == f"`/mason {verb}` works on a pull request only."
    assert not world.dispatches


@pytest.mark.parametrize(("spent", "started"), [(2.0, False), (1.75, True)])
def test_fix__a_spent_day_starts_none(world: WebWorld, spent: float, started: bool) -> None:
    """What runs, fixes and executions have cost together."""
    world.policy("limits: {cost_per_day_usd: 3}")
    item, pull = its_pull_request(world)
    world.rows.execute(
        "insert into mason_item_events (item_id, event_type, cost_usd) values (%s, 'note_added', %s)", [item, spent]
    )
    world.add_execution(1.0)
    said = answer(world, "/mason fix", number=pull.number)
    if started:
        assert said.startswith("A runner will ")
    else:
        assert said == (
            "Nothing was started: 3.00 dollars were spent within 24 hours, or are set aside for executions that run;"
            " the limit is 3.00."
        )
        assert world.reactions(pull.number) == NOT_WELL
    assert [one.work for one in world.dispatches].count(Work.FIX) == started
    assert answer(world, "/mason validate", number=pull.number).startswith("A runner will ")


def test_fix__that_was_started_is_told_of_though_the_day_is_spent_by_then(world: WebWorld) -> None:
    """Killed once the fix was recorded, before it was told of."""
    world.policy("limits: {cost_per_day_usd: 1}")
    pulls = [a_pull_request(world, "one"), a_pull_request(world, "two")]
    for pull in pulls:
        world.there.comment_as_person(pull.number, "/mason fix")
    first, second = world.hear()
    seen = Tripwire()
    answer_request(seen.ports(world.ports), first)
    killed = Tripwire(at=seen.calls.index("database.record") + 1, after=True)
    with pytest.raises(Killed):
        answer_request(killed.ports(world.ports), second)
    world.add_execution(2.0)
    answer_request(world.ports, second)
    (said,) = world.replies(pulls[1].number)
    assert said.startswith("A runner will ")
    assert [one.number for one in world.dispatches] == [pull.number for pull in pulls]


def test_fix__words_travel_to_the_runner(world: WebWorld) -> None:
    pull = a_pull_request(world)
    world.say("/mason fix please rename x\nto `y`\n\nThanks.", number=pull.number)
    dispatch = world.dispatch()
    assert dispatch.instructions == "please rename x\nto `y`"
    reconcile_run(world.ports, dispatch.id)
    assert world.workflow_run(dispatch).inputs["instructions"] == dispatch.instructions


# retry


def test_retry__the_rejected_item_of_a_pull_request(world: WebWorld) -> None:
    item, pull = its_pull_request(world, Verdict.REJECTED)
    said = answer(world, "/mason retry", number=pull.number)
    assert "1 item will run in" in said
    assert world.item(item).status is ItemStatus.APPROVED and world.item(item).attempt == 0
    assert world.dispatches[-1].items == (item,)


def test_retry__the_items_of_the_newest_run_of_an_issue(world: WebWorld) -> None:
    items = world.add_items(2)
    number = world.say("/mason run")
    world.look()
    dispatch = world.dispatch()
    world.settle(world.begin(dispatch, items[0]), Verdict.REJECTED, "The tests fail")
    world.settle(world.begin(dispatch, items[1], "job 1 1 run b"))
    world.workflow_run(dispatch).finish("success")
    reconcile_run(world.ports, dispatch.id)
    said = answer(world, "/mason retry", number=number)
    assert "1 item will run in" in said
    assert world.dispatches[-1].items == (items[0],)


def test_retry__by_the_button_of_a_check_run(world: WebWorld) -> None:
    dispatch, run, (item,) = world.started()
    world.settle(world.begin(dispatch, item), Verdict.REJECTED, "The tests fail")
    run.finish("failure")
    reconcile_run(world.ports, dispatch.id)
    check = world.check_of(item)
    check.actions = [{"identifier": "retry", "label": "Retry", "description": "x"}]
    world.press(check, "retry")
    assert world.dispatches[-1].items == (item,) and len(world.dispatches) == 2
    assert not [one for one in world.there.comments if one.app]  # a press has no conversation


def test_retry__by_re_run_of_a_check_run(world: WebWorld) -> None:
    dispatch, run, (item,) = world.started()
    run.finish("cancelled")
    reconcile_run(world.ports, dispatch.id)
    assert world.item(item).status is ItemStatus.DEFERRED
    world.there.rerun(world.check_of(item))
    world.answer()
    assert world.item(item).status is ItemStatus.APPROVED
    assert [one.items for one in world.dispatches] == [(item,), (item,)]


@pytest.mark.parametrize("status", ["in_progress", "completed"])
def test_retry__of_an_item_that_runs_or_is_done(world: WebWorld, status: str) -> None:
    if status == "completed":
        item, pull = its_pull_request(world)
    else:
        _, _, (item,) = world.started()
        pull = a_pull_request(world, world.item(item).branch or "")
    count = len(world.dispatches)
    said = answer(world, "/mason retry", number=pull.number)
    assert said == f"“{title(world, item)}” is {status.replace('_', ' ')}, not rejected or deferred."
    assert len(world.dispatches) == count


def test_retry__where_there_is_no_item(world: WebWorld) -> None:
    for number in (a_pull_request(world).number, world.there.open_issue_by_person("A question").number):
        said = answer(world, "/mason retry", number=number)
        assert said == "There is nothing to retry: this belongs to no item that could be approved again."


def test_retry__a_fork_s_branch_of_the_same_name_belongs_to_no_item(world: WebWorld) -> None:
    item, pull = its_pull_request(world, Verdict.REJECTED)
    fork = world.there.open_pull_request_by_person(pull.branch, {"evil.txt": "x"}, fork=True, login="mallory")
    assert "nothing to retry" in answer(world, "/mason retry", number=fork.number)
    assert world.item(item).status is ItemStatus.REJECTED


# cancel


def test_cancel__a_run_where_it_was_asked_for(world: WebWorld) -> None:
    items = world.add_items(2)
    number = world.say("/mason run")
    world.look()
    dispatch = world.dispatch()
    run = world.workflow_run(dispatch)
    run.start()
    world.begin(dispatch, items[0])
    said = answer(world, "/mason cancel", number=number)
    assert said.startswith("Cancelled: ") and str(dispatch.id) in said
    assert run.conclusion == "cancelled"
    assert world.statuses(items) == ["deferred", "deferred"]
    assert {world.item(item).skip_reason for item in items} == {"Cancelled by @ada"}
    world.look()
    assert (world.dispatch().state, world.dispatch().outcome) == (DispatchState.ENDED, "cancelled")
    assert "**It was cancelled.**" in world.progress(number)
    assert not world.open_checks


def test_cancel__before_it_was_handed_over(world: WebWorld) -> None:
    item = world.add_item()
    number = world.say("/mason run\n/mason cancel")
    assert "Cancelled: " in world.replies(number)[0]
    reconcile_run(world.ports, world.dispatch().id)
    assert world.dispatch().outcome == "cancelled"
    assert world.item(item).status is ItemStatus.DEFERRED
    assert not world.there.workflow_runs


def test_cancel__the_run_of_a_pull_request_s_item(world: WebWorld) -> None:
    dispatch, run, (item,) = world.started()
    pull = a_pull_request(world, world.item(item).branch or "")
    answer(world, "/mason cancel", number=pull.number)
    assert run.conclusion == "cancelled"
    assert world.ports.database.dispatch(dispatch.id) == replace(world.dispatch(), cancelled_by="ada")


def test_cancel__a_fix(world: WebWorld) -> None:
    pull = a_pull_request(world)
    world.say("/mason fix", number=pull.number)
    reconcile_run(world.ports, world.dispatch().id)
    answer(world, "/mason cancel", number=pull.number)
    assert world.workflow_run(world.dispatch()).conclusion == "cancelled"
    reconcile_run(world.ports, world.dispatch().id)
    assert world.dispatch().outcome == "cancelled"
    assert "**It was cancelled.**" in world.progress(pull.number)


def test_cancel__by_the_button_of_one_item_of_many_puts_off_that_one(world: WebWorld) -> None:
    dispatch, run, (one, other) = world.started(2)
    run.start()
    world.press(world.check_of(one), "cancel")
    assert world.statuses([one, other]) == ["deferred", "in_progress"]
    assert run.status == "in_progress" and not world.dispatch().cancelled_by
    world.settle(world.begin(dispatch, other))
    run.finish("success")
    reconcile_run(world.ports, dispatch.id)
    assert (world.dispatch().outcome, world.statuses([one, other])) == ("success", ["deferred", "completed"])
    assert world.ports.backlog.take_over(one, run_id=dispatch.id, claimed_by="job 1 1 run c") is None


def test_cancel__by_the_button_of_the_only_item_ends_the_run(world: WebWorld) -> None:
    dispatch, run, (item,) = world.started()
    world.press(world.check_of(item), "cancel")
    assert run.conclusion == "cancelled"
    reconcile_run(world.ports, dispatch.id)
    assert (world.dispatch().outcome, world.statuses([item])) == ("cancelled", ["deferred"])


def test_cancel__with_nothing_under_way(world: WebWorld) -> None:
    number = world.say("/mason cancel")
    assert world.replies(number) == ["There is nothing to cancel: nothing runs or waits here."]
    assert world.reactions(number) == NOT_WELL


def test_cancel__while_the_run_is_being_looked_at_is_done_later(world: WebWorld) -> None:
    world.add_item()
    number = world.say("/mason run")
    world.look()
    world.there.comment_as_person(number, "/mason cancel")
    (key,) = world.hear()
    with world.ports.database.locked(f"run {world.dispatch().id}"), pytest.raises(Busy):
        answer_request(world.ports, key)
    answer_request(world.ports, key)
    assert world.dispatch().cancelled_by == "ada"
    assert len(world.replies(number)) == 2 and world.reactions(number) == WELL


# approve, defer, status, help


@pytest.mark.parametrize("status", ["new", "deferred", "rejected", "approved"])
def test_approve__by_a_person(world: WebWorld, status: str) -> None:
    item = world.add_item(status=status)
    assert answer(world, f"/mason approve {item}") == f"Approved: {title(world, item)}."
    assert world.item(item).status is ItemStatus.APPROVED
    assert world.jobs("reconcile_backlog") == 1


def test_approve__one_that_is_done(world: WebWorld) -> None:
    item = world.add_item(status="completed")
    said = answer(world, f"/mason approve {item}")
    assert said == f"“{title(world, item)}” is completed, not new, deferred or rejected."


@pytest.mark.parametrize("status", ["new", "approved", "rejected", "deferred"])
def test_defer__with_a_reason(world: WebWorld, status: str) -> None:
    item = world.add_item(status=status)
    assert answer(world, f"/mason defer {item} not *now*").startswith(f"Put off: {title(world, item)}. Reason: ")
    row = world.item(item)
    assert (row.status, row.skip_reason) == (ItemStatus.DEFERRED, None if status == "deferred" else "not *now*")


def test_defer__without_a_reason_says_who(world: WebWorld) -> None:
    item = world.add_item()
    assert answer(world, f"/mason defer {item}") == f"Put off: {title(world, item)}."
    assert world.item(item).skip_reason == "Deferred by @ada"


def test_defer__one_in_progress_is_to_be_cancelled(world: WebWorld) -> None:
    _, _, (item,) = world.started()
    said = answer(world, f"/mason defer {item}")
    assert said == f"“{title(world, item)}” is in progress, not new, approved or rejected."


@pytest.mark.parametrize("command", ["approve {}", "defer {}", "run --item {}"])
def test_foreign__an_item_of_another_repository_is_unknown(world: WebWorld, command: str) -> None:
    world.add_repository(OTHER)
    theirs, nobodys = world.add_item(repository=OTHER, title="Secret"), uuid4()
    said = [answer(world, "/mason " + command.format(item)) for item in (theirs, nobodys)]
    assert said == [f"This repository has no item {item}." for item in (theirs, nobodys)]
    assert world.item(theirs).status is ItemStatus.APPROVED
    assert not world.dispatches


@pytest.mark.parametrize(("home", "is_here"), [(NAME, True), (NAME.upper(), True), (OTHER, False), (None, False)])
@pytest.mark.parametrize("command", ["approve {}", "defer {}", "run --item {}"])
def test_nameless__items_without_a_repository_are_of_mason_s_home(
    world: WebWorld, command: str, home: str | None, is_here: bool
) -> None:
    world.rows.execute("delete from mason_github_repositories")
    world.ports = replace(world.ports, home=home)
    item = world.add_item(repository=None)
    said = answer(world, "/mason " + command.format(item))
    assert (said != f"This repository has no item {item}.") is is_here
    assert bool(world.dispatches) is (is_here and command.startswith("run"))
    if not is_here:
        assert world.item(item).status is ItemStatus.APPROVED


@pytest.mark.parametrize(("home", "started"), [(NAME, 1), (OTHER, 0)])
def test_nameless__a_branch_of_that_name_elsewhere_is_none_of_theirs(world: WebWorld, home: str, started: int) -> None:
    world.rows.execute("delete from mason_github_repositories")
    world.ports = replace(world.ports, home=home)
    item = world.add_item(repository=None, status="rejected", branch_name="mason/thing")
    answer(world, "/mason retry", number=a_pull_request(world, "mason/thing").number)
    assert len(world.dispatches) == started
    assert (world.item(item).status is ItemStatus.APPROVED) is bool(started)


def test_status__shows_the_runs_of_this_place(world: WebWorld) -> None:
    assert answer(world, "/mason status") == "Nothing has run here yet."
    world.started()
    (item,) = world.add_items(1)
    number = world.say(f"/mason run --item {item}")
    said = answer(world, "/mason status", number=number)
    mine = next(one for one in world.dispatches if one.items == (item,))
    assert mine.id.hex[:8] in said and title(world, item) in said and "Being prepared" in said
    assert said.count("| run ") + said.count("| [run ") == 1


def test_help__and_an_empty_command(world: WebWorld) -> None:
    for body in ("/mason help", "/mason"):
        said = answer(world, body)
        assert all(f"`/mason {verb}" in said for verb in ("run", "fix", "retry", "cancel", "approve"))


# who may ask


def test_refused__a_person_without_permission_to_write(world: WebWorld) -> None:
    world.there.add_collaborator("reader", "read")
    item = world.add_item(status="new")
    for login, level in (("reader", "read"), ("stranger", "read")):  # everybody may read a public repository
        number = world.say(f"/mason approve {item}\n/mason run", login=login)
        (said,) = world.replies(number)
        assert said.startswith(f"{login} may not do this here") and f"theirs is {level}" in said
        assert world.reactions(number) == NOT_WELL
    assert world.item(item).status is ItemStatus.NEW
    assert not world.dispatches


def test_refused__permission_is_asked_for_each_time(world: WebWorld) -> None:
    number = world.say("/mason help")
    world.there.add_collaborator("ada", "read")
    assert "may not do this here" in answer(world, "/mason status", number=number)


def test_refused__a_login_that_changed_hands(world: WebWorld) -> None:
    """The comment was written by an account of another id than the one that has this login now."""
    item = world.add_item(status="new")
    number = world.there.open_issue_by_person("A question").number
    world.there.comment_as_person(number, f"/mason approve {item}")
    users = world.github.hub.users
    users["ada"] = replace(users["ada"], id=users["ada"].id + 5000)
    world.answer()
    assert "ada may not do this here" in world.replies(number)[0]
    assert world.item(item).status is ItemStatus.NEW


def test_ignored__bots_and_mason_itself(world: WebWorld) -> None:
    world.github.hub.user("helper[bot]", kind="Bot")
    world.there.add_collaborator("helper[bot]", "admin")
    number = world.say("/mason help", login="helper[bot]")
    assert not world.replies(number) and world.reactions(number) == []
    world.say("/mason help", number=number)
    world.answer()  # what Mason wrote has been delivered too
    assert len(world.replies(number)) == 1


def test_refused__an_account_that_is_no_person_even_when_it_was_heard(world: WebWorld) -> None:
    number = world.there.open_issue_by_person("A question").number
    world.there.comment_as_person(number, "/mason help")
    (key,) = world.hear()
    world.app_rows.execute("update mason_app.requests set person_is_user = false where key = %s", [key])
    answer_request(world.ports, key)
    assert world.replies(number) == ["ada is not a person's account. Commands are taken from people only."]


def test_ignored__an_edited_comment(world: WebWorld) -> None:
    number = world.there.open_issue_by_person("A question").number
    comment = world.there.comment_as_person(number, "Hello")
    comment.body = "/mason help"
    world.deliveries()
    world.github.webhooks.issue_comment(world.there, comment, "edited", comment.author)
    world.answer()
    assert not world.replies(number)


def test_ignored__words_in_passing_and_code(world: WebWorld) -> None:
    number = world.say("I'd say /mason run, or:\n\n```\n/mason run\n```\n> /mason cancel")
    assert not world.replies(number) and world.reactions(number) == []
    assert not world.ports.database.unanswered()


# several lines, several times


def test_lines__a_mistake_beside_a_good_one(world: WebWorld) -> None:
    item = world.add_item(status="new")
    number = world.say(f"/mason aprove {item}\n\n/mason approve {item}")
    (said,) = world.replies(number)
    assert re.search(r"- Line 1, .*Did you mean `/mason approve`\?", said)
    assert f"- Line 3, “/mason approve {item}”: Approved: {title(world, item)}." in said.replace("\\", "")
    assert said.endswith("`/mason help` shows the commands.")
    assert world.item(item).status is ItemStatus.APPROVED
    assert world.reactions(number) == NOT_WELL


def test_lines__ten_and_no_more(world: WebWorld) -> None:
    items = world.add_items(12, status="new")
    number = world.say("\n".join(f"/mason approve {item}" for item in items))
    assert world.statuses(items) == ["approved"] * 10 + ["new"] * 2
    (said,) = world.replies(number)
    assert said.count("Approved: ") == 10 and "- Line 11" in said and "- Line 12" not in said
    assert world.reactions(number) == NOT_WELL


def test_lines__each_that_starts_something_is_a_run_of_its_own(world: WebWorld) -> None:
    one, other = world.add_items(2)
    world.say(f"/mason run --item {one}\n/mason run --item {other}")
    assert {run.items for run in world.dispatches} == {(one,), (other,)}


def test_delivered_twice__is_heard_once(world: WebWorld) -> None:
    world.add_item()
    number = world.there.open_issue_by_person("A question").number
    world.there.comment_as_person(number, "/mason run")
    world.github.webhooks.pending *= 2
    keys = world.hear()
    assert len(keys) == 1
    for _ in range(2):
        answer_request(world.ports, keys[0])
    assert len(world.replies(number)) == len(world.dispatches) == 1


def test_two_at_once__in_one_conversation(world: WebWorld) -> None:
    number = world.there.open_issue_by_person("A question").number
    world.there.comment_as_person(number, "/mason help")
    (key,) = world.hear()
    with world.ports.database.locked(f"conversation {NAME} {number}"), pytest.raises(Busy):
        answer_request(world.ports, key)
    answer_request(world.ports, key)
    assert len(world.replies(number)) == 1


def test_unknown__a_request_that_was_forgotten_is_nothing(world: WebWorld) -> None:
    answer_request(world.ports, "comment 1 abc")
    assert not world.there.comments


def test_locked__a_conversation_that_takes_no_comment_undoes_nothing(world: WebWorld) -> None:
    class Locked:
        """A repository whose conversations are locked."""

        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def named(self, name: str) -> Locked:
            return Locked(self._inner.named(name))

        def say(self, *_: object, **__: object) -> str:
            raise ForgeRefused("Unable to create comment because issue is locked. (403)")

    item = world.add_item(status="new")
    number = world.there.open_issue_by_person("A question").number
    world.there.comment_as_person(number, f"/mason approve {item}")
    (key,) = world.hear()
    answer_request(replace(world.ports, repositories=Locked(world.ports.repositories)), key)
    assert world.item(item).status is ItemStatus.APPROVED
    assert not world.replies(number) and world.reactions(number) == WELL
    assert not world.ports.database.unanswered()


def test_away__a_github_that_is_away_is_asked_again_later(world: WebWorld) -> None:
    item = world.add_item(status="new")
    number = world.there.open_issue_by_person("A question").number
    world.there.comment_as_person(number, f"/mason approve {item}")
    (key,) = world.hear()
    world.github.fail("GET /repos/{owner}/{repo}/collaborators/{username}/permission", with_=Fault.BAD_GATEWAY)
    with pytest.raises(ForgeUnreachable):
        answer_request(world.ports, key)
    assert world.item(item).status is ItemStatus.NEW
    answer_request(world.ports, key)
    assert world.item(item).status is ItemStatus.APPROVED
    assert len(world.replies(number)) == 1 and world.reactions(number) == WELL


# killed at each call


Story = Callable[[WebWorld], tuple[str, list[UUID]]]


def heard(world: WebWorld, body: str, number: int | None = None) -> str:
    number = number or world.there.open_issue_by_person("A question").number
    world.there.comment_as_person(number, body)
    (key,) = world.hear()
    return key


def a_run(world: WebWorld) -> tuple[str, list[UUID]]:
    items = world.add_items(2)
    return heard(world, f"/mason run --item {items[0]} --item {items[1]}"), items


def a_cancel(world: WebWorld) -> tuple[str, list[UUID]]:
    items = world.add_items(2)
    number = world.say(f"/mason run --item {items[0]} --item {items[1]}")
    dispatch = next(one for one in world.dispatches if set(one.items) == set(items))
    reconcile_run(world.ports, dispatch.id)
    world.begin(dispatch, items[0])
    return heard(world, "/mason cancel", number), items


def a_retry(world: WebWorld) -> tuple[str, list[UUID]]:
    item, pull = its_pull_request(world, Verdict.REJECTED)
    return heard(world, "/mason retry", pull.number), [item]


def a_press(world: WebWorld) -> tuple[str, list[UUID]]:
    _, _, items = world.started(2)
    world.there.press(world.check_of(items[0]), "cancel")
    (key,) = world.hear()
    return key, items


def several(world: WebWorld) -> tuple[str, list[UUID]]:
    one, other, third = (world.add_item(status=status) for status in ("new", "new", "approved"))
    lines = [f"approve {one}", f"defer {other} later", f"run --item {third}", "statsu"]
    return heard(world, "\n".join(f"/mason {line}" for line in lines)), [one, other, third]


OWN = re.compile(r"\b(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|Thing [0-9a-f]{8}|\d{8,}|[\d-]+ \d\d:\d\d UTC)\b")


def seen(world: WebWorld, key: str, items: list[UUID], since: tuple[int, int]) -> dict[str, Any]:
    """What it has come to, without what differs from one time to the next."""
    comments, runs = since
    known = world.ports.database.request(key)
    assert known is not None
    mine = [one for one in world.there.comments[comments:] if one.app]
    dispatches = [one for one in world.dispatches if set(one.items) & set(items)]
    return {
        "finished": (known.finished, known.well),
        "comments": [OWN.sub("x", one.body.partition("\n")[2]) for one in mine],
        "reactions": [
            [each.content for each in one.reactions]
            for one in world.there.comments
            if one.app is None and one.number == known.request.number
        ],
        "items": [(row.status, row.attempt, row.skip_reason) for row in map(world.item, items)],
        "dispatches": [(one.state, one.tries, one.cancelled_by) for one in dispatches],
        "workflow runs": [run.conclusion for run in world.there.workflow_runs[runs:]],
    }


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("story", [a_run, a_cancel, a_retry, a_press, several], ids=lambda story: story.__name__)
def test_killed__at_each_call_and_answered_again_it_is_the_same(world: WebWorld, story: Story, after: bool) -> None:
    """One reply, one dispatch, the same rows, wherever the process died."""
    expected: dict[str, Any] = {}
    for number in itertools.count():
        since = (len(world.there.comments), len(world.there.workflow_runs))
        key, items = story(world)
        wire = Tripwire(at=number, after=after)
        try:
            answer_request(wire.ports(world.ports), key)
        except Killed:
            answer_request(world.ports, key)
        else:
            if number:  # it made fewer calls than that
                break
        state = seen(world, key, items, since)
        expected = expected or state
        assert state == expected, f"killed at call {number}, {wire.calls[-1]}"
        answer_request(world.ports, key)  # answered, and done with
        assert seen(world, key, items, since) == expected
        for item in items:
            world.ports.backlog.defer(item, "not for the next one")
        world.look()
    assert number > 5
