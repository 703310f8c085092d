"""`mason list`, `mason approve` and `mason defer`, as a person at a terminal uses them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from click.testing import CliRunner, Result
from psycopg.rows import dict_row

from app.backlog.store import SqlBacklog
from app.cli import main
from app.commands.comment import REASON_LIMIT
from app.domain.items import ItemStatus
from app.domain.results import Outcome, Verdict
from tests.contracts.test_backlog import Given
from tests.unit.workspace.repositories import git, new_repository

Run = Callable[..., Result]

HEAD = ["ID", "STATUS", "TYPE", "PRIORITY", "TITLE"]
PRD = "# Add a thing\n\n## Problem\n\nIt is missing.\n\n## Solution\n\nAdd it.\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    place = new_repository(tmp_path / "shop", {"a.txt": "a\n"})
    git(place, "remote", "add", "origin", "https://github.com/acme/shop.git")
    return place


@pytest.fixture
def mason(tmp_path: Path, repository: Path, database: str) -> Run:
    def run(*words: str, **more: Any) -> Result:
        environment = {"MASON_DSN": database, "MASON_STATE_DIR": str(tmp_path / "state")} | more.pop("env", {})
        options = [*words, "--repository", str(repository)]
        return CliRunner().invoke(main, options, env=environment, **more)

    return run


@pytest.fixture
def given(database: str, backlog: SqlBacklog) -> Iterator[Given]:
    with psycopg.connect(database, autocommit=True, row_factory=dict_row) as sql:
        yield Given(sql, backlog)


def lines(done: Result) -> list[str]:
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_add__what_is_new_is_listed_and_approved_by_its_id(mason: Run, given: Given) -> None:
    item = mason("add", "-", "--new", input=PRD).stdout.strip()
    head, line = lines(mason("list"))
    assert head.split() == HEAD
    assert line.split(maxsplit=4) == [item, "new", "feature", "5", "Add a thing"]
    assert lines(mason("approve", item)) == [f"{item} is approved: Add a thing"]
    assert lines(mason("list", "--status", "approved"))[1].split()[:2] == [item, "approved"]
    assert given.row(UUID(item))["approved_digest"]


# mason list


def test_list__an_empty_backlog_says_what_to_do(mason: Run) -> None:
    assert lines(mason("list")) == [
        "The backlog has no item for this repository: `mason add FILE` adds one, a PRD in Markdown."
    ]
    assert json.loads(mason("list", "--json").stdout) == {"items": [], "more": {}}


def test_list__where_no_backlog_was_ever_made_none_is_made(mason: Run, tmp_path: Path) -> None:
    alone = {"MASON_DSN": ""}
    assert lines(mason("list", env=alone)) == lines(mason("list"))
    for words in (["approve"], ["defer", "--reason", "Later"]):
        done = mason(*words, str(uuid4()), env=alone)
        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr == "mason: There is no backlog yet: `mason add FILE` makes one\n"
    assert not (tmp_path / "state" / "postgres").exists()


def test_list__says_below_an_item_what_helps_most(mason: Run, given: Given, backlog: SqlBacklog) -> None:
    given.item("Waits", failed_base="d" * 40)
    given.item("Not now", status="deferred", skip_reason="No\nPRD")
    given.item("Failed", status="rejected", failure_reason="The tests\x1b[2J fail " + "x" * 1000)
    given.item("Refused", status="rejected", updated_at="2020-01-01")
    url = "https://github.com/acme/shop/pull/7"
    done = given.claimed("Done").claim
    assert backlog.settle(done, Outcome(verdict=Verdict.COMPLETED, branch="mason/done", pull_request=url))
    local = given.claimed("Done here").claim
    assert backlog.settle(local, Outcome(verdict=Verdict.COMPLETED, branch="mason/done-here"))
    gone = given.claimed("Gone").claim
    assert backlog.settle(gone, Outcome(verdict=Verdict.ALREADY_RESOLVED, reason="It is there"))
    given.claimed("Under way")
    told = [line if line.startswith(" ") else line.split(maxsplit=4)[4] for line in lines(mason("list"))[1:]]
    reason = "    The tests\ufffd[2J fail " + "x" * (300 - len("The tests\ufffd[2J fail ") - 1) + "…"
    assert told[:6] == [
        "Under way",
        "    attempt 1 of 3 on mason/x",
        "Waits",
        "    waits until the base branch moves: it failed its own checks at dddddddddd",
        "Not now",
        "    No PRD",
    ]
    ended = {"Gone": "    already resolved: It is there", "Done here": "    mason/done-here", "Done": f"    {url}"}
    assert told[6:12] == [line for pair in ended.items() for line in pair]
    assert told[12:] == ["Failed", reason, "Refused"]


def test_list__nothing_in_a_row_does_anything_to_a_terminal(mason: Run, given: Given) -> None:
    title = "A\x1b[31m\u202e title\r\nover 3 lines\x9b \u2028" + "x" * 500
    given.item(title, status="deferred", skip_reason="\x1b]0;gone\x07")
    given.sql.execute("alter table mason_pm_backlog_items drop constraint mason_pm_backlog_items_type_check")
    given.sql.execute("update mason_pm_backlog_items set type = %s", ("\x1b[2J" + "wide" * 50,))
    shown = mason("list").stdout
    assert all(line.isprintable() for line in shown.splitlines())
    assert len(shown.splitlines()) == 3
    assert max(map(len, shown.splitlines())) < 250
    as_json = mason("list", "--json").stdout
    assert as_json.isascii()
    assert all(line.isprintable() for line in as_json.splitlines())
    (item,) = json.loads(as_json)["items"]
    assert item["title"] == title


def test_list__of_everything_shows_the_last_that_have_ended(mason: Run, given: Given) -> None:
    for number in range(12):
        given.item(f"ended {number}", status=("completed", "rejected")[number % 2], updated_at=f"{2000 + number}-01-01")
    given.item("still open", status="new")
    shown = lines(mason("list"))
    assert [line.split(maxsplit=4)[4] for line in shown[1:-1]] == [
        "still open",
        *(f"ended {number}" for number in range(11, 1, -1)),
    ]
    assert shown[-1] == "… 2 more: 1 completed, 1 rejected (--status and --limit show them)"
    assert len(lines(mason("list", "--status", "completed", "--status", "rejected"))) == 1 + 12
    few = lines(mason("list", "--status", "completed", "--limit", "2"))
    assert few[-1] == "… 4 more: 4 completed (--status and --limit show them)"
    assert json.loads(mason("list", "--limit", "2", "--json").stdout)["more"] == {"completed": 6, "rejected": 5}


def test_list__says_what_there_is_where_nothing_is_in_the_state(mason: Run, given: Given) -> None:
    given.item(status="new")
    given.item(status="new")
    given.item(status="deferred")
    assert lines(mason("list", "--status", "approved")) == ["No such item. There are: 2 new, 1 deferred."]


@pytest.mark.parametrize(
    "words", [["--status", "open"], ["--limit", "0"], ["--limit", "10001"], ["--limit", "many"], ["word"]]
)
def test_list__what_cannot_be_asked_is_refused(mason: Run, words: list[str]) -> None:
    done = mason("list", *words)
    assert (done.exit_code, done.stdout) == (2, "")


def test_list__json_has_what_programs_need(mason: Run, given: Given, backlog: SqlBacklog) -> None:
    claimed = given.claimed("Gone", type="ui")
    done = Outcome(verdict=Verdict.ALREADY_RESOLVED, reason="It is there")
    assert backlog.settle(claimed.claim, done)
    assert json.loads(mason("list", "--json").stdout) == {
        "items": [
            {
                "id": str(claimed.claim.item_id),
                "title": "Gone",
                "type": "ui",
                "area": "frontend",
                "priority": 7,
                "status": "completed",
                "reason": "It is there",
                "attempt": 1,
                "run": str(claimed.claim.run_id),
                "branch": None,
                "pull_request": None,
            }
        ],
        "more": {},
    }


def test_list__a_database_that_is_not_migrated_is_told(mason: Run, empty_database: str) -> None:
    done = mason("list", "--dsn", empty_database)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "run `mason migrate`" in done.stderr


@pytest.mark.parametrize("words", [["add", "-"], ["list"], ["approve", str(uuid4())], ["defer", str(uuid4())]])
@pytest.mark.parametrize("there", [True, False])
def test_list__outside_of_a_repository_is_refused_as_by_every_command(
    tmp_path: Path, database: str, words: list[str], there: bool
) -> None:
    """Whether there is a backlog or not."""
    environment = {"MASON_STATE_DIR": str(tmp_path / "state"), "MASON_DSN": database if there else ""}
    done = CliRunner().invoke(main, [*words, "--repository", str(tmp_path)], env=environment, input=PRD)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == f"mason: {tmp_path} is not in a git repository\n"


def test_list__what_the_dashboard_put_in_progress_has_no_attempt(mason: Run, given: Given) -> None:
    given.item("Theirs", status="in_progress", impact_score=9)
    given.item("Theirs too", status="in_progress", impact_score=1, branch_name="their/branch")
    shown = lines(mason("list"))[1:]
    assert [line if line[0] == " " else line.split(maxsplit=4)[4] for line in shown] == [
        "Theirs",
        "Theirs too",
        "    on their/branch",
    ]


def test_list__rows_that_cannot_be_used_are_not_denied(mason: Run, given: Given) -> None:
    blank = given.item(" ", status="new")
    done = mason("list")
    assert (done.exit_code, done.stdout) == (
        0,
        "No item that can be shown. What is wrong with the others (1 new) is in the warnings.\n",
    )
    assert str(blank) in done.stderr
    given.item(status="deferred")
    assert lines(mason("list", "--status", "approved")) == ["No such item. There are: 1 new, 1 deferred."]


# mason approve, mason defer


def statuses(given: Given, ids: list[UUID]) -> list[str]:
    return [given.row(item)["status"] for item in ids]


def test_approve__each_item_has_a_line_and_one_that_cannot_keeps_nothing_from_the_others(
    mason: Run, given: Given
) -> None:
    ids = [given.item(state.value, status=state.value) for state in ItemStatus]
    new, approved, going, completed, deferred, rejected = ids
    nobody = uuid4()
    done = mason("approve", *map(str, [new, completed, nobody, approved, going, deferred, rejected, new]))
    assert done.exit_code == 2
    assert done.stdout.splitlines() == [
        f"{new} is approved: new",
        f"{approved} is approved already: approved",
        f"{going} is in_progress already: in_progress",
        f"{deferred} is approved: deferred",
        f"{rejected} is approved: rejected",
    ]
    assert done.stderr.splitlines() == [
        f"mason: Item {completed} is completed, not new, deferred or rejected",
        f"mason: There is no item {nobody} in this repository's backlog (`mason list` shows it)",
    ]
    assert statuses(given, ids) == ["approved", "approved", "in_progress", "completed", "approved", "approved"]


def test_approve__one_that_waits_for_another_base_waits_no_longer(mason: Run, given: Given) -> None:
    item = given.item("Waits", failed_base="d" * 40)
    assert lines(mason("approve", str(item))) == [f"{item} is approved: Waits"]
    assert given.row(item)["failed_base"] is None


@pytest.mark.parametrize(("verb", "state"), [("approve", "in_progress"), ("defer", "deferred")])
def test_decisions__what_is_so_already_is_so_whatever_base_it_failed_on(
    mason: Run, given: Given, verb: str, state: str
) -> None:
    item = given.item("Stays", status=state, failed_base="d" * 40)
    assert lines(mason(verb, str(item))) == [f"{item} is {state} already: Stays"]


def test_defer__each_item_has_a_line_and_the_reason_is_kept(mason: Run, given: Given) -> None:
    ids = [given.item(state.value, status=state.value, skip_reason="Of before") for state in ItemStatus]
    new, approved, going, completed, deferred, rejected = ids
    done = mason("defer", *map(str, ids), "--reason", "Not in\nthis quarter")
    assert done.exit_code == 2
    assert done.stdout.splitlines() == [
        f"{new} is deferred: new",
        f"{approved} is deferred: approved",
        f"{deferred} is deferred already: deferred",
        f"{rejected} is deferred: rejected",
    ]
    assert done.stderr.splitlines() == [
        f"mason: Item {going} is in_progress, not new, approved or rejected",
        f"mason: Item {completed} is completed, not new, approved or rejected",
    ]
    assert [given.row(item)["skip_reason"] for item in (new, deferred)] == ["Not in\nthis quarter", "Of before"]


def test_defer__without_a_reason_says_where_it_was_done(mason: Run, given: Given) -> None:
    item = given.item("Later\x1b[31m")
    assert lines(mason("defer", str(item))) == [f"{item} is deferred: Later\ufffd[31m"]
    assert given.row(item)["skip_reason"] == "Deferred at a terminal"


def test_defer__a_reason_is_as_long_as_in_a_comment(mason: Run, given: Given) -> None:
    item = given.item(status="new")
    done = mason("defer", str(item), "--reason", "x" * (REASON_LIMIT + 1))
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "mason: --reason has 501 characters: 500 are the most that are kept\n"
    assert lines(mason("defer", str(item), "--reason", "x" * REASON_LIMIT))
    assert given.row(item)["skip_reason"] == "x" * REASON_LIMIT


@pytest.mark.parametrize("verb", ["approve", "defer"])
def test_decisions__reach_no_item_of_another_repository(mason: Run, given: Given, verb: str) -> None:
    ours, theirs = given.repository("Acme/Shop"), given.repository("acme/site")
    own = given.item("ours", status="new", repository_id=ours)
    others = [given.item("theirs", status="new", repository_id=theirs), given.item("nobody's", status="new")]
    done = mason(verb, *map(str, [*others, own]))
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 2)
    assert done.stdout.startswith(str(own))
    assert statuses(given, others) == ["new", "new"]
    assert [line.split()[-1] for line in lines(mason("list"))[1:] if line[0] != " "] == ["ours"]


@pytest.mark.parametrize("words", [[], ["3f2504e0"], ["x'; --"], ["3f2504e0-4f89-41d3-9a0c-0305e82c3301", "\x1b"]])
@pytest.mark.parametrize("verb", ["approve", "defer"])
def test_decisions__about_what_is_no_id_are_refused_as_a_whole(mason: Run, verb: str, words: list[str]) -> None:
    done = mason(verb, *words)
    assert (done.exit_code, done.stdout) == (2, "")
