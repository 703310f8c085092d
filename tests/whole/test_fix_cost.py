"""What changing a pull request costs: counted in the day's limit, once, however it ends; and a spent day stops it."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from pydantic import SecretStr

from app import wiring
from app.domain.judgements import Judgement
from app.domain.results import Usage
from app.errors import DatabaseUnreachable, NotMigrated, Unreachable, UsageError
from app.flows.pull_requests import fix_pull_request, validate_pull_request
from app.flows.run_items import run_items
from app.flows.work import Ports, RunOptions
from app.ports.agent import AgentRequest, AgentResult, Failure, OnActivity, Role
from app.process import Stop
from tests.fakes.github_api.records import Pull
from tests.whole.hosted import NAME, Hosted
from tests.whole.kit import policy


@dataclass
class Paid:
    """An agent that writes the next of its ``words``, and finds nothing in a review, each for a price in US dollars.

    ``failure`` is what every answer is instead, ``act`` what happens during a call.
    """

    words: list[str] = field(default_factory=lambda: ["finer"])
    price: float = 0.5
    failure: Failure | None = None
    act: Callable[[], None] = lambda: None
    calls: int = 0
    prompts: list[str] = field(default_factory=list)

    name = "paid"

    def require_ready(self) -> None:
        pass

    def run(self, request: AgentRequest, stop: Stop, on_activity: OnActivity) -> AgentResult:
        self.calls += 1
        self.prompts.append(request.prompt)
        self.act()
        usage = Usage(cost_usd=self.price)
        if self.failure:
            return AgentResult(error="The model's API is away.", failure=self.failure, usage=usage)
        if request.role is Role.PATTERNS:
            return AgentResult(answer={"violations": []}, usage=usage)
        (request.worktree / "src/new.txt").write_text(self.words.pop(0) + "\n")
        return AgentResult(text="Done", usage=usage)


@dataclass
class Desk:
    """A terminal: what `mason run` and `mason fix` do here, on a project that GitHub has."""

    hosted: Hosted

    def do(self, work: Callable[[Ports, RunOptions, Stop], Any], agent: Paid | None = None) -> Any:
        project, github = self.hosted.project, self.hosted.github
        settings = project.settings.model_copy(
            update={
                "github_token": SecretStr(self.hosted.token),
                "github_api_url": github.url,
                "github_server_url": github.server_url,
            }
        )
        request = wiring.RunRequest(repository=project.repository, rows=False)
        with wiring.runner(settings, request, status=io.StringIO(), console=io.StringIO()) as ports:
            mine = replace(ports, make_agent=lambda _: agent) if agent else ports
            return work(mine, wiring.run_options(request), Stop())

    def pull(self) -> Pull:
        """The pull request of an item that a run has completed, at no cost."""
        self.hosted.project.approve_change("src/new.txt", "fine\n")
        assert self.do(run_items).succeeded
        (pull,) = self.hosted.there.pulls
        return pull

    def fix(self, agent: Paid, words: str = "Make it finer.", stop: Stop | None = None) -> Judgement:
        number = self.hosted.there.pulls[-1].number
        found: Judgement = self.do(
            lambda ports, options, own: fix_pull_request(ports, options, number, words, stop or own), agent
        )
        return found

    def limit(self, dollars: float, **more: Any) -> None:
        text = policy(limits={"cost_per_day_usd": dollars}, **more)
        self.hosted.there.push_as_person("main", {".github/mason.yml": text})

    @property
    def spent(self) -> float:
        return float(self.do(lambda ports, *_: ports.backlog.spent_since(NAME, 24)))

    @property
    def notes(self) -> list[str]:
        query = "select notes from mason_item_events where cost_usd > 0 order by created_at"
        return [row["notes"] for row in self.hosted.project.rows(query)]


@pytest.fixture
def desk(hosted: Hosted) -> Desk:
    hosted.project.git("remote", "add", "origin", f"{hosted.github.server_url}/{NAME}.git")
    return Desk(hosted)


def test_fix__is_counted_once_with_the_item_of_its_branch(desk: Desk) -> None:
    pull = desk.pull()
    item = desk.hosted.project.rows("select * from mason_pm_backlog_items")
    assert desk.fix(agent := Paid()).changed
    assert (agent.calls, desk.spent) == (2, 1.0), "the change, and the review of it"
    assert desk.notes == [f"Pull request {pull.number} was worked on as a person asked: 1.00 dollars"]
    assert desk.hosted.project.rows("select * from mason_pm_backlog_items") == item, "its row tells of its run"


def test_fix__every_call_of_it_and_every_fix_counts(desk: Desk) -> None:
    desk.pull()
    assert desk.fix(agent := Paid(words=["BUG", "good"])).passed
    assert (agent.calls, desk.spent) == (3, 1.5), "the review is of what passes the checks"
    assert desk.fix(Paid(price=0.25)).passed
    assert (desk.spent, len(desk.notes)) == (2.0, 2)


def test_fix__without_words_of_a_head_that_passes_calls_no_agent_and_pushes_nothing(desk: Desk) -> None:
    pull = desk.pull()
    tip = desk.hosted.there.branches[pull.branch]
    judgement = desk.fix(agent := Paid(), words="")
    assert (judgement.passed, judgement.changed, judgement.commit) == (True, False, tip)
    assert (agent.calls, desk.spent, desk.hosted.there.branches[pull.branch]) == (0, 0, tip)


def test_fix__without_words_of_a_head_that_fails_tells_the_agent_what_fails(desk: Desk) -> None:
    pull = desk.pull()
    desk.hosted.there.push_as_person(pull.branch, {"src/new.txt": "BUG\n"})
    judgement = desk.fix(agent := Paid(words=["good"]), words="")
    assert (judgement.passed, judgement.changed) == (True, True)
    assert agent.calls == 2, "the fix, and the review of it"
    assert "BUG" in agent.prompts[0]


def test_fix__that_fails_counts_too(desk: Desk) -> None:
    desk.pull()
    judgement = desk.fix(agent := Paid(words=["BUG"] * 9))
    assert judgement.reason and not judgement.changed
    assert desk.spent == agent.calls * 0.5 > 1


@pytest.mark.parametrize("failure", [Failure.UNAVAILABLE, Failure.BUDGET])
def test_fix__whose_model_goes_away_counts_too(desk: Desk, failure: Failure) -> None:
    desk.pull()
    with pytest.raises(Exception, match="API is away") as raised:
        desk.fix(Paid(failure=failure))
    assert isinstance(raised.value, Unreachable) is (failure is Failure.UNAVAILABLE)
    assert desk.spent == 0.5


def test_fix__that_is_stopped_counts_too(desk: Desk) -> None:
    desk.pull()
    stop = Stop()
    assert desk.fix(Paid(act=lambda: stop.set("Stopped")), stop=stop).reason == "Stopped"
    assert desk.spent == 0.5


def test_fix__by_an_agent_that_costs_nothing_leaves_no_note(desk: Desk) -> None:
    desk.pull()
    assert desk.fix(Paid(price=0.0)).changed
    assert desk.hosted.project.rows("select notes from mason_item_events where event_type = 'note_added'") == []


def test_fix__of_a_spent_day_calls_no_agent_and_validate_goes_on(desk: Desk) -> None:
    pull = desk.pull()
    desk.limit(1)
    assert desk.fix(Paid()).changed
    tip = desk.hosted.there.branches[pull.branch]
    with pytest.raises(UsageError, match=r"^Nothing was begun: 1\.00 dollars were spent within 24 hours"):
        desk.fix(agent := Paid())
    assert (agent.calls, desk.spent, desk.hosted.there.branches[pull.branch]) == (0, 1.0, tip)
    assert desk.do(lambda ports, options, stop: validate_pull_request(ports, options, pull.number, stop)).passed
    desk.hosted.project.sql("update mason_item_events set created_at = now() - interval '25 hours'")
    assert desk.fix(Paid(words=["finest"])).changed


def test_fix__where_a_limit_is_a_database_that_would_not_count_it_is_refused(desk: Desk) -> None:
    desk.pull()
    desk.hosted.project.sql("delete from mason_migrations where starts_with(name, '013')")
    desk.limit(5)
    with pytest.raises(NotMigrated, match="013"):
        desk.fix(agent := Paid())
    assert agent.calls == 0


def test_fix__of_a_branch_that_is_no_items_is_held_by_its_own_budget_alone(desk: Desk) -> None:
    desk.limit(0.75, pull_requests={"fix_any_branch": True})
    desk.hosted.there.open_pull_request_by_person("topic", {"src/new.txt": "two\n"})
    for word in ("one", "another"):
        assert desk.fix(Paid(words=[word])).changed
    assert (desk.spent, desk.notes) == (0, [])


def test_fix__whose_cost_the_database_does_not_take_is_published(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    pull = desk.pull()

    class Away:
        """A backlog that is away for events."""

        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def note_events(self, rows: object) -> None:
            raise DatabaseUnreachable("It is away")

    def fix(ports: Ports, options: RunOptions, stop: Stop) -> Judgement:
        away: Any = Away(ports.backlog)
        return fix_pull_request(replace(ports, backlog=away), options, pull.number, "Make it finer.", stop)

    assert desk.do(fix, Paid()).changed
    assert "The 1.00 dollars that this has cost are not counted: It is away" in caplog.text
    assert desk.spent == 0
