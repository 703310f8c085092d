"""From a comment, or a press in the Checks UI, to what it asks for, and to one reply.

Everything in a request is parsed and its writer authorised before any of it is done. Every effect is idempotent: a
dispatch's id is made of the request's key and the line, a row changes by a condition, the reply is found before it is
made. So a request may be answered again after a crash at any point.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from app import replies
from app.commands.comment import parse_comment
from app.domain import commands as asked
from app.domain.check_runs import Subject
from app.domain.commands import Line, Mistake, Request
from app.domain.dispatches import Dispatch, DispatchState, Work
from app.domain.items import Item, ItemStatus
from app.domain.jobs import ReconcileBacklog
from app.domain.results import Outcome, Verdict
from app.errors import ForgeRefused, UsageError
from app.flows.app_work import LOST_AFTER, AppPorts, no_way_to
from app.flows.approval_to_run import choose, look_at, unclaimed
from app.flows.day_cost import no_more_today
from app.ports.app_database import Answered, Fence
from app.ports.repository import Reaction, Repository
from app.replies.records import LineResult

log = logging.getLogger("mason")


@dataclass(frozen=True, kw_only=True, slots=True)
class Asking:
    """One line that is carried out: the request it stands in, and its repository."""

    ports: AppPorts
    fence: Fence
    request: Request
    repository: Repository
    line: Line

    @property
    def run_id(self) -> UUID:
        """The id of what this line starts: the same, however often it is carried out."""
        return uuid5(NAMESPACE_URL, f"{self.request.key} {self.line.number}")

    @property
    def subject(self) -> Subject | None:
        return self.request.subject


def answer_request(ports: AppPorts, key: str) -> None:
    """Do what a person asked for, once, and reply, once. Raises Busy when its conversation is being answered."""
    known = ports.database.request(key)
    if known is None or known.finished:
        return
    request = known.request
    with ports.database.locked(f"conversation {request.repository.lower()} {request.number}") as fence:
        try:
            converse(ports, fence, known)
        except (UsageError, ForgeRefused):
            if not is_lost(ports, request):
                raise
            ports.database.answer(fence, key, known.answer, well=False, finished=True)


def is_lost(ports: AppPorts, request: Request) -> bool:
    """Whether nobody can be answered any more: Mason has no way to the repository, an hour after the request."""
    if ports.database.now() - request.received_at < LOST_AFTER:
        return False
    if reason := no_way_to(ports, request.repository):
        log.warning("Request %s is left unanswered: %s", request.key, reason)
    return bool(reason)


def converse(ports: AppPorts, fence: Fence, known: Answered) -> None:
    """Do what the lines of a request ask for, and answer."""
    request = known.request
    repository = ports.repositories.named(request.repository)
    lines = parse_comment(request.body)
    if not lines:
        ports.database.answer(fence, request.key, "", well=True, finished=True)
        return
    react(repository, request, Reaction.EYES)
    answer, well = known.answer, known.well
    if not answer:
        answer, well = answered(ports, fence, request, repository, lines)
        ports.database.answer(fence, request.key, answer, well=well, finished=False)
    reply(repository, request, answer)
    react(repository, request, Reaction.ROCKET if well else Reaction.CONFUSED)
    ports.database.answer(fence, request.key, answer, well=well, finished=True)


def answered(
    ports: AppPorts, fence: Fence, request: Request, repository: Repository, lines: Sequence[Line]
) -> tuple[str, bool]:
    """The reply, and whether all went well."""
    if refusal := refused(repository, request):
        return refusal, False
    results = [
        carry_out(Asking(ports=ports, fence=fence, request=request, repository=repository, line=line)) for line in lines
    ]
    return replies.reply(results), all(result.well for result in results)


def refused(repository: Repository, request: Request) -> str:
    """Why this person may not ask for anything, "" when they may: by numeric id and live permission (design, Trust)."""
    person = request.person
    if not person.is_user:
        return replies.not_a_person(person.login)
    permission = repository.permission(person.login)
    if permission is None or permission.user_id != person.id or not permission.may_write:
        return replies.not_permitted(person.login, permission.level if permission else "none")
    return ""


def react(repository: Repository, request: Request, reaction: Reaction) -> None:
    """A press has no comment. A reaction shows something and decides nothing."""
    if request.comment_id is None:
        return
    try:
        repository.react(request.comment_id, reaction)
    except (ForgeRefused, UsageError) as problem:
        log.warning("No reaction to request %s: %s", request.key, problem)


def reply(repository: Repository, request: Request, text: str) -> None:
    """One reply. A conversation that takes none (it is locked, say) does not undo what was done."""
    if not request.number:
        return
    marker = "mason:reply:" + hashlib.sha256(request.key.encode()).hexdigest()[:16]
    try:
        repository.say(request.number, marker, text)
    except (ForgeRefused, UsageError) as problem:
        log.warning("No reply to request %s: %s", request.key, problem)


class No(Exception):
    """The line cannot be carried out; its text is for the person who wrote it."""


def carry_out(asking: Asking) -> LineResult:
    """One line. What a person cannot have is told to them; what may pass is raised, and tried again later."""
    line = asking.line
    if isinstance(line.asked, Mistake):
        return LineResult(line=line, well=False, text=line.asked.reason)
    try:
        return LineResult(line=line, well=True, text=HANDLERS[type(line.asked)](asking, line.asked))
    except No as no:
        return LineResult(line=line, well=False, text=str(no))
    except (UsageError, ForgeRefused) as problem:
        return LineResult(line=line, well=False, text=replies.sentence(str(problem)))


def run(asking: Asking, command: asked.RunCommand) -> str:
    """Approved items of this repository, as many as its limits allow."""
    ports = asking.ports
    if (started := ports.database.dispatch(asking.run_id)) is not None:  # an earlier attempt at this very line
        return replies.run_started(ports.backlog.items(started.items), linked(ports, started))
    items = named_items(asking, command.items) if command.items else approved_items(asking)
    place = look_at(ports, asking.repository)
    choice = choose(items, place, asked=bool(command.items))
    chosen = choice.chosen[: command.limit]
    if command.dry_run:
        return replies.dry_run(chosen, [(item, choice.left[item.id]) for item in items if item.id in choice.left])
    if not chosen:
        raise No(replies.nothing_to_run([(item, choice.left[item.id]) for item in items if item.id in choice.left]))
    return start(asking, chosen[: place.policy.limits.items_per_run], command)


def start(asking: Asking, items: Sequence[Item], command: asked.RunCommand | None = None) -> str:
    """A run over these items; its id is the line's."""
    dispatch = record(
        asking,
        Work.RUN,
        items=tuple(item.id for item in items),
        approvals=tuple(item.approved_at for item in items),
        smoke_test=bool(command and command.smoke_test),
        e2e=bool(command and command.e2e),
    )
    return replies.run_started(items, linked(asking.ports, dispatch))


def linked(ports: AppPorts, dispatch: Dispatch) -> Dispatch:
    """The same, leading to the run's page where it has one."""
    return replace(dispatch, url=ports.page_of(dispatch) or dispatch.url)


def record(asking: Asking, work: Work, **more: Any) -> Dispatch:  # noqa: ANN401 - fields of Dispatch
    """Store what a line starts, with its job. Idempotent by the line's id."""
    request, database = asking.request, asking.ports.database
    return database.record(
        Dispatch(
            id=asking.run_id,
            work=work,
            repository=request.repository,
            number=request.number,
            request=request.key,
            created_at=database.now(),
            **more,
        )
    )


def approved_items(asking: Asking) -> list[Item]:
    """Approved items of this repository that are in no unfinished run."""
    return [one.item for one in unclaimed(asking.ports) if same(one.repository, asking.request.repository)]


def same(one: str | None, other: str) -> bool:
    return one is not None and one.lower() == other.lower()


def named_items(asking: Asking, ids: Sequence[UUID]) -> list[Item]:
    """Approved items that a person names, who may lift what keeps them waiting."""
    items = [own_item(asking, item_id) for item_id in dict.fromkeys(ids)]
    for item in items:
        if item.status is not ItemStatus.APPROVED:
            raise No(replies.wrong_state(item, "approved"))
    lifted = [asking.ports.backlog.approve(item.id) for item in items]
    return [item for item in lifted if item is not None]


def own_item(asking: Asking, item_id: UUID) -> Item:
    """An item of this repository. Nobody steers another repository's items from here, or learns that they exist."""
    item = asking.ports.backlog.item_of(asking.request.repository, item_id)
    if item is None or not is_of(asking, item):
        raise No(replies.unknown_item(item_id))
    return item


def is_of(asking: Asking, item: Item) -> bool:
    """Where no repository is connected, the backlog gives its items to whoever asks: they are of Mason's home alone,
    as in `approval_to_run.unclaimed`.
    """
    ports, repository = asking.ports, asking.request.repository
    return same(ports.home, repository) or ports.backlog.item_of(None, item.id) is None


def fix(asking: Asking, command: asked.FixCommand) -> str:
    return on_pull_request(asking, Work.FIX, instructions=command.instructions)


def require_money(asking: Asking) -> None:
    """An agent is to be called: raises No where the repository's day is spent."""
    if asking.ports.database.dispatch(asking.run_id) is not None:  # an earlier attempt at this very line
        return
    place = look_at(asking.ports, asking.repository)
    if reason := no_more_today(place.cost_used, place.policy.limits.cost_per_day_usd):
        raise No(replies.sentence(f"Nothing was started: {reason}"))


def validate(asking: Asking, _: asked.ValidateCommand) -> str:
    return on_pull_request(asking, Work.VALIDATE)


def on_pull_request(asking: Asking, work: Work, **more: Any) -> str:  # noqa: ANN401 - fields of Dispatch
    if not (asking.request.on_pull_request and asking.request.number):
        raise No(replies.only_on_a_pull_request(work.value))
    if work is Work.FIX:
        require_money(asking)
    return replies.work_started(record(asking, work, **more))


def retry(asking: Asking, _: asked.RetryCommand) -> str:
    """The item that this is about, approved again by the person who asks, and run."""
    ports = asking.ports
    if (started := ports.database.dispatch(asking.run_id)) is not None:
        return replies.run_started(ports.backlog.items(started.items), linked(ports, started))
    items = items_in_question(asking)
    if not items:
        raise No(replies.nothing_to_retry())
    open_to_it = [item for item in items if item.status not in (ItemStatus.COMPLETED, ItemStatus.IN_PROGRESS)]
    if not open_to_it:
        raise No(replies.wrong_state(items[0], "rejected or deferred"))
    again = [item for item in (ports.backlog.approve(item.id) for item in open_to_it) if item is not None]
    if not again:
        raise No(replies.nothing_to_retry())
    place = look_at(ports, asking.repository)
    choice = choose(again, place, asked=True)
    if not choice.chosen:
        raise No(replies.nothing_to_run([(item, choice.left[item.id]) for item in again]))
    return start(asking, choice.chosen[: place.policy.limits.items_per_run])


def items_in_question(asking: Asking) -> list[Item]:
    """The item of the check run, of the pull request's branch, or the items of the newest run asked for here."""
    backlog, request = asking.ports.backlog, asking.request
    if asking.subject and asking.subject.item_id:
        return [own_item(asking, asking.subject.item_id)]
    if request.on_pull_request and request.number:
        pull = asking.repository.pull_request(request.number)
        item = None if pull.fork else backlog.item_of_branch(request.repository, pull.head_branch)
        return [item] if item and is_of(asking, item) else []
    newest = asking.ports.database.dispatches(repository=request.repository, number=request.number)
    ran = next((dispatch for dispatch in newest if dispatch.items), None)
    return backlog.items(ran.items) if ran else []


def cancel(asking: Asking, _: asked.CancelCommand) -> str:
    """Stop what is under way here. Its items are put off at once: whoever works on them has lost the fence."""
    ports = asking.ports
    going = [one for one in concerned(asking) if one.state is not DispatchState.ENDED]
    if not going:
        raise No(replies.nothing_to_cancel())
    only = asking.subject.item_id if asking.subject and not asking.request.number else None
    for dispatch in going:
        put_off(ports, dispatch, asking.request.person.login, only)
        if only is None or set(dispatch.items) == {only}:
            stop(ports, dispatch, asking.request.person.login)
    return replies.cancelled([linked(ports, one) for one in going])


def concerned(asking: Asking) -> list[Dispatch]:
    """The dispatches that a request is about: the check run's, those told of here, those of the pull request's item."""
    database, request = asking.ports.database, asking.request
    if asking.subject and not request.number:
        found = database.dispatch(asking.subject.run_id)
        return [found] if found and same(found.repository, request.repository) else []
    found_here = database.dispatches(repository=request.repository, number=request.number)
    items = items_in_question(asking) if request.on_pull_request else []
    of_items = [one for item in items for one in database.dispatches(repository=request.repository, item=item.id)]
    return list({one.id: one for one in [*found_here, *of_items]}.values())


def put_off(ports: AppPorts, dispatch: Dispatch, login: str, only: UUID | None) -> None:
    outcome = Outcome(verdict=Verdict.DEFERRED, reason=f"Cancelled by @{login}")
    for seen in ports.backlog.claims():
        if seen.claim.run_id == dispatch.id and only in (None, seen.claim.item_id):
            ports.backlog.settle(seen.claim, outcome)


def stop(ports: AppPorts, dispatch: Dispatch, login: str) -> None:
    """Note who asked, and end its workflow run. Raises Busy while the run is being reconciled."""
    with ports.database.locked(f"run {dispatch.id}") as fence:
        now = ports.database.dispatch(dispatch.id)
        if now is None or now.state is DispatchState.ENDED:
            return
        ports.database.save(fence, replace(now, cancelled_by=login))
        if now.tries:
            ports.dispatcher.cancel(now)


def status(asking: Asking, _: asked.StatusCommand) -> str:
    dispatches = concerned(asking)
    items = asking.ports.backlog.items(list(dict.fromkeys(item for one in dispatches for item in one.items)))
    return replies.status_table([linked(asking.ports, one) for one in dispatches], items)


def approve(asking: Asking, command: asked.ApproveCommand) -> str:
    item = own_item(asking, command.item)
    approved = asking.ports.backlog.approve(item.id)
    if approved is None and item.status not in (ItemStatus.APPROVED, ItemStatus.IN_PROGRESS):
        raise No(replies.wrong_state(item, "new, deferred or rejected"))
    asking.ports.jobs.defer(ReconcileBacklog())  # the database's own webhook tells of it too, where there is one
    return replies.approved(approved or item)  # in progress: by an earlier attempt at this line, or by somebody else


def defer(asking: Asking, command: asked.DeferCommand) -> str:
    item = own_item(asking, command.item)
    deferred = asking.ports.backlog.defer(item.id, command.reason or f"Deferred by @{asking.request.person.login}")
    if deferred is None and item.status is not ItemStatus.DEFERRED:
        raise No(replies.wrong_state(item, "new, approved or rejected"))
    return replies.deferred(deferred or item, command.reason)


def show_help(_: Asking, __: asked.HelpCommand) -> str:
    return replies.help_table()


HANDLERS: Mapping[type, Callable[[Asking, Any], str]] = {
    asked.RunCommand: run,
    asked.FixCommand: fix,
    asked.RetryCommand: retry,
    asked.ValidateCommand: validate,
    asked.CancelCommand: cancel,
    asked.StatusCommand: status,
    asked.ApproveCommand: approve,
    asked.DeferCommand: defer,
    asked.HelpCommand: show_help,
}
