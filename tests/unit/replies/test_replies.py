"""Every text that the web app writes for people: as it should read, and harmless whatever stands in it."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from app import replies
from app.commands.comment import parse_comment
from app.domain.check_runs import Button, item_check_name
from app.domain.commands import OPTIONS, USAGES, Line, Mistake
from app.domain.dispatches import Dispatch, DispatchState, Work, WorkflowRun
from app.domain.items import Item, ItemStatus
from app.replies.checks import queued_check
from app.replies.progress import PROGRESS, progress
from app.replies.records import ItemLine, LineResult
from app.replies.rendering import COMMENT_LIMIT

RUN_ID = UUID("12345678-0000-0000-0000-000000000007")
URL = "https://github.example/ada/shop/actions/runs/12"
RUN = f"[run {RUN_ID}]({URL})"
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HELP = "`/mason help` shows the commands."


def item(number: int = 1, title: str = "Add avatars", status: ItemStatus = ItemStatus.APPROVED) -> Item:
    return Item(id=UUID(int=number), title=title, status=status)


def dispatch(**fields: object) -> Dispatch:
    plain = Dispatch(id=RUN_ID, work=Work.RUN, repository="ada/shop", number=3, url=URL, created_at=AT)
    return replace(plain, **fields)


def line(body: str) -> Line:
    (found,) = parse_comment(body)
    return found


ITEMS = [item(1), item(2, "Fix the clock")]
LEFT = [(item(3, "Move house"), "items of complexity 5 are started by a person")]
MANY = [item(number, f"Item {number}") for number in range(1, 24)]

SENTENCES: dict[str, tuple[str, str]] = {
    "run-started": (
        replies.run_started(ITEMS, dispatch()),
        f"2 items will run in {RUN}:\n\n- Add avatars\n- Fix the clock",
    ),
    "run-started-without-a-link": (
        replies.run_started(ITEMS[:1], dispatch(url="")),
        f"1 item will run in run {RUN_ID}:\n\n- Add avatars",
    ),
    "dry-run": (
        replies.dry_run(ITEMS[:1], LEFT),
        "1 item would run; nothing was started:\n\n- Add avatars\n\n"
        "Waiting:\n\n- Move house: items of complexity 5 are started by a person",
    ),
    "dry-run-of-nothing": (replies.dry_run([], []), "Nothing would run."),
    "nothing-to-run": (
        replies.nothing_to_run([]),
        "There is nothing to run: no approved item of this repository is free.",
    ),
    "nothing-to-run-now": (
        replies.nothing_to_run(LEFT),
        "There is nothing to run now. Waiting:\n\n- Move house: items of complexity 5 are started by a person",
    ),
    "fix": (
        replies.work_started(dispatch(work=Work.FIX)),
        f"A runner will change this pull request until its checks pass: {RUN}.",
    ),
    "validate": (
        replies.work_started(dispatch(work=Work.VALIDATE, url="")),
        f"A runner will check this pull request: run {RUN_ID}.",
    ),
    "cancelled": (
        replies.cancelled([dispatch(), dispatch(work=Work.FIX, url="")]),
        f"Cancelled: {RUN}, fix {RUN_ID}. Items of it that had not ended are put off.",
    ),
    "nothing-to-cancel": (replies.nothing_to_cancel(), "There is nothing to cancel: nothing runs or waits here."),
    "nothing-to-retry": (
        replies.nothing_to_retry(),
        "There is nothing to retry: this belongs to no item that could be approved again.",
    ),
    "approved": (replies.approved(item()), "Approved: Add avatars."),
    "deferred": (replies.deferred(item()), "Put off: Add avatars."),
    "deferred-reason": (replies.deferred(item(), "not this week"), "Put off: Add avatars. Reason: not this week."),
    "unknown-item": (
        replies.unknown_item(UUID(int=1)),
        "This repository has no item 00000000-0000-0000-0000-000000000001.",
    ),
    "wrong-state": (
        replies.wrong_state(item(status=ItemStatus.IN_PROGRESS), "new, deferred or rejected"),
        "“Add avatars” is in progress, not new, deferred or rejected.",
    ),
    "only-on-a-pull-request": (
        replies.only_on_a_pull_request("fix"),
        "`/mason fix` works on a pull request only.",
    ),
    "not-permitted": (
        replies.not_permitted("ada", "read"),
        "ada may not do this here: it takes permission to write to this repository, and theirs is read.",
    ),
    "not-a-person": (
        replies.not_a_person("deploy[bot]"),
        "deploy\\[bot\\] is not a person's account. Commands are taken from people only.",
    ),
    "sentence": (replies.sentence("There is no pull request 3"), "There is no pull request 3."),
    "status-of-nothing": (replies.status_table([], []), "Nothing has run here yet."),
    "status": (
        replies.status_table(
            [
                dispatch(state=DispatchState.DISPATCHED),
                dispatch(state=DispatchState.ENDED, outcome="failed", reason="No runner took it", url=""),
            ],
            [item(status=ItemStatus.IN_PROGRESS)],
        ),
        "The newest runs:\n\n| Run | Since | State |\n| --- | --- | --- |\n"
        f"| [run 12345678]({URL}) | 2026-01-02 03:04 UTC | With a runner or waiting for one |\n"
        "| run 12345678 | 2026-01-02 03:04 UTC | It failed: No runner took it |\n\n"
        "| Item | Status | Reason |\n| --- | --- | --- |\n| Add avatars | in progress |  |",
    ),
}
PROGRESS_TEXTS: dict[str, tuple[str, str]] = {
    "prepared": (
        progress(dispatch(items=(UUID(int=1),), url=""), None, []),
        f"**Mason takes 1 item to pull requests**\n\nBeing prepared since 2026-01-02 03:04 UTC · run {RUN_ID}",
    ),
    "queued": (
        progress(
            dispatch(work=Work.VALIDATE, state=DispatchState.DISPATCHED, url=""),
            WorkflowRun(id="12", status="queued", url=URL),
            [],
        ),
        f"**Mason checks this pull request**\n\nWaiting for a runner since 2026-01-02 03:04 UTC · {RUN}",
    ),
    "under-way": (
        progress(
            dispatch(state=DispatchState.DISPATCHED, items=(UUID(int=1), UUID(int=2))),
            WorkflowRun(id="12", status="in_progress"),
            [
                ItemLine(title="Add avatars", status="completed", url="https://github.example/Ada/Shop/pull/4"),
                ItemLine(title="Fix the clock", status="in_progress", url="https://evil.example/x/y/pull/5"),
                ItemLine(title="Move house", status="rejected", reason="tests failed"),
            ],
        ),
        f"**Mason takes 2 items to pull requests**\n\nUnder way since 2026-01-02 03:04 UTC · {RUN}\n\n"
        "- Add avatars: completed, #4\n"
        "- Fix the clock: in progress, https:&#8203;//evil.example/x/y/pull/5\n"
        "- Move house: rejected – tests failed",
    ),
    "being-cancelled": (
        progress(dispatch(state=DispatchState.DISPATCHED, cancelled_by="ada", items=(UUID(int=1),)), None, []),
        f"**Mason takes 1 item to pull requests**\n\nBeing cancelled since 2026-01-02 03:04 UTC · {RUN}",
    ),
    "ended": (
        progress(
            dispatch(
                work=Work.FIX,
                instructions="rename x\nand y",
                state=DispatchState.ENDED,
                outcome="failed",
                reason="Its workflow run failed",
                ended_at=AT,
            ),
            None,
            [],
        ),
        f"**Mason changes this pull request until its checks pass**\n\nEnded 2026-01-02 03:04 UTC · {RUN}\n\n"
        "Asked for: “rename x and y”\n\n**It failed.** Its workflow run failed.",
    ),
    "ended-says-it-once": (
        progress(
            dispatch(state=DispatchState.ENDED, outcome="cancelled", reason="It was cancelled", items=(UUID(int=1),)),
            None,
            [],
        ),
        f"**Mason takes 1 item to pull requests**\n\nEnded 2026-01-02 03:04 UTC · {RUN}\n\n**It was cancelled.**",
    ),
}


@pytest.mark.parametrize(
    ("text", "golden"), [pytest.param(*case, id=name) for name, case in (SENTENCES | PROGRESS_TEXTS).items()]
)
def test_replies__golden(text: str, golden: str) -> None:
    assert text == golden


def test_replies__long_lists_are_cut() -> None:
    text = replies.run_started(MANY, dispatch())
    assert text.count("\n- ") == 21 and text.endswith("- Item 20\n- and 3 more")
    assert replies.nothing_to_run([(one, "later") for one in MANY]).endswith("- and 3 more")


def test_help__shows_the_parsers_own_table() -> None:
    text = replies.help_table()
    for verb, usage in USAGES.items():
        assert f"| `{f'/mason {verb.value} {usage.arguments}'.strip()}` | {usage.sentence} |" in text
    for name, option in OPTIONS.items():
        assert f"| `{f'{name} {option.value}'.strip()}` | " in text


def test_reply__one_line_is_its_sentence() -> None:
    text = replies.approved(item())
    assert replies.reply([LineResult(line=line(f"/mason approve {UUID(int=1)}"), well=True, text=text)]) == text


def test_reply__several_lines_are_a_list() -> None:
    lines = parse_comment("/mason stauts\n\n/mason run\n\n/mason cancel")
    texts = ["", replies.run_started(ITEMS, dispatch()), replies.nothing_to_cancel()]
    results = [LineResult(line=one, well=bool(text), text=text) for one, text in zip(lines, texts, strict=True)]
    assert replies.reply(results) == (
        "- Line 1, “/mason stauts”: I do not know “stauts”. Did you mean `/mason status`?\n"
        f"- Line 3, “/mason run”: 2 items will run in {RUN}:\n\n  - Add avatars\n  - Fix the clock\n"
        "- Line 5, “/mason cancel”: There is nothing to cancel: nothing runs or waits here.\n\n" + HELP
    )


def test_reply__a_mistake_is_told_from_the_line() -> None:
    result = LineResult(line=line("/mason approve"), well=False, text="not read")
    assert replies.reply([result]) == f"/mason approve needs the id of an item.\n\n{HELP}"


def test_reply__fits_into_a_comment() -> None:
    hostile = [item(number, "@" * 500) for number in range(1, 200)]
    many = [dispatch(reason="@" * 999)] * 20
    text = replies.status_table(many, hostile)
    result = LineResult(line=line("/mason status"), well=True, text=text)
    reply = replies.reply([result] * 10)
    assert len(reply) <= COMMENT_LIMIT and "… The rest is left out" in reply


def test_progress__links_the_run_page() -> None:
    page = "https://mason.example/runs/1?key=17.a-b_c"
    assert f"· [what happens]({page})" in progress(dispatch(items=(UUID(int=1),)), None, [], page=page)
    assert "what happens" not in progress(dispatch(items=(UUID(int=1),)), None, [])


@pytest.mark.parametrize(
    "page", ["https://mason.example/runs/1?next=/", "javascript:alert(1)", "https://a.example/?key=1)"]
)
def test_progress__other_addresses_are_no_links(page: str) -> None:
    assert "](" not in progress(dispatch(items=(UUID(int=1),), url=""), None, [], page=page)


def test_queued_check__has_the_name_that_the_runner_uses() -> None:
    check = queued_check(item(), "c" * 40, RUN_ID)
    assert (check.name, check.commit, check.title) == (item_check_name(item()), "c" * 40, "Waiting for a runner")
    assert str(check.subject) == f"mason:{RUN_ID}:{UUID(int=1)}:0"
    assert check.conclusion is None and check.buttons == (Button.CANCEL,)
    assert check.summary == (
        f"Add avatars\n\nThe item is claimed for run `{RUN_ID}`. Its check run goes on as soon as a runner begins."
    )


def test_progress__stays_the_same_while_nothing_happens() -> None:
    before = progress(dispatch(tries=1, tried_at=AT), None, [])
    assert before == progress(dispatch(tries=2, tried_at=datetime(2026, 1, 3, tzinfo=UTC)), None, [])
    assert PROGRESS == "mason:progress"


def mistake(text: str) -> str:
    wrong = Line(number=1, text=text, asked=Mistake(reason=text))
    fine = Line(number=2, text=text, asked=Mistake(reason="x"))
    return replies.reply([LineResult(line=one, well=False, text="") for one in (wrong, fine)])


STRANGERS: dict[str, Callable[[str], str]] = {
    "run_started": lambda text: replies.run_started([item(title=text)], dispatch(url=text)),
    "dry_run": lambda text: replies.dry_run([item(title=text)], [(item(title=text), text)]),
    "nothing_to_run": lambda text: replies.nothing_to_run([(item(title=text), text)]),
    "work_started": lambda text: replies.work_started(dispatch(work=Work.FIX, url=text)),
    "cancelled": lambda text: replies.cancelled([dispatch(url=text)]),
    "approved": lambda text: replies.approved(item(title=text)),
    "deferred": lambda text: replies.deferred(item(title=text), text),
    "wrong_state": lambda text: replies.wrong_state(item(title=text), "new"),
    "not_permitted": lambda text: replies.not_permitted(text, text),
    "not_a_person": replies.not_a_person,
    "sentence": replies.sentence,
    "status": lambda text: replies.status_table(
        [dispatch(url=text, reason=text, outcome=text, state=DispatchState.ENDED)], [item(title=text)]
    ),
    "progress": lambda text: progress(
        dispatch(url=text, reason=text, outcome=text, instructions=text, state=DispatchState.ENDED),
        WorkflowRun(id="1", status="queued", url=text),
        [ItemLine(title=text, status=text, url=text, reason=text)],
    ),
    "queued_check": lambda text: queued_check(item(title=text), "c" * 40, RUN_ID).summary,
    "reply": mistake,
}
PIECES = (
    *(
        "@ada",
        "@org/team",
        "<!-- mason:progress -->",
        "<!--",
        "-->",
        "<script>",
        "<",
        ">",
        "`",
        "``",
        "```\n",
        "|",
        "\\",
    ),
    *(
        "[a](https://evil.example)",
        "![a](b)",
        "[",
        "]",
        "(",
        ")",
        "https://evil.example",
        "http://x/)",
        "www.x.example",
    ),
    *(
        "javascript:x",
        "#12",
        "GH-12",
        "ada/shop#1",
        "\n",
        "\r",
        "\u2028",
        "\x85",
        "\x0b",
        "\u202e",
        "\u200b",
        "\ud800",
        "\0",
    ),
    *(
        "**",
        "_",
        "~~",
        "$x$",
        "# ",
        "- ",
        "1. ",
        "> ",
        "---",
        "    ",
        "&lt;",
        "&#64;ada",
        "word",
        " ",
        "{{ x }}",
        "{% x %}",
    ),
)
hostile = st.lists(st.sampled_from(PIECES), max_size=10).map("".join) | st.text(st.characters(), max_size=60)
MARKDOWN = MarkdownIt("gfm-like", {"linkify": False, "html": True})


@pytest.mark.parametrize("name", STRANGERS)
@settings(max_examples=60, deadline=None)
@given(text=hostile)
def test_replies__whatever_a_stranger_wrote_is_inert(name: str, text: str) -> None:
    made = STRANGERS[name](text)
    assert "<" not in made and not re.search(r"@\w", made)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x85\u2028\u2029\u202a-\u202e]", made)
    assert made.count("\n") == STRANGERS[name]("plain").count("\n") or not text.strip()
    made.encode()
    tokens = [child for token in MARKDOWN.parse(made) for child in [token, *(token.children or [])]]
    assert not {"html_inline", "html_block", "image", "fence", "code_block"} & {token.type for token in tokens}
    links = {str(token.attrs["href"]) for token in tokens if token.type == "link_open"}
    assert links <= {text}  # a run's own address, where it is a plain one
    spans = [token.content for token in tokens if token.type == "code_inline"]
    assert all(span.startswith("/mason ") or span == str(RUN_ID) for span in spans)
    shown = html.unescape("".join(token.content for token in tokens if token.type == "text"))
    assert not re.search(r"@\w|(?<!\w)#\d|\bGH-\d|://|\bwww\.\w", shown)
