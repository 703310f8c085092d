"""The run page: what it shows, that nothing of it is markup, who may look, and what a look costs."""

from __future__ import annotations

import gzip
from dataclasses import fields, replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from werkzeug.test import TestResponse

from app.domain.api_keys import Scope
from app.domain.events import Level, TaskStatus
from app.domain.results import CheckKind
from app.domain.run_views import CheckView, ItemView, IterationView, RunView
from app.domain.runs import RunStatus
from app.web.pages.rendering import POLICY
from tests.unit.web.run_kit import (
    OTHER,
    RUN,
    MemoryRuns,
    Site,
    a_run,
    at,
    done_item,
    failed_item,
    going_item,
    item_id,
    log_line,
    task,
)

HOSTILE = "\"'><img src=x onerror=alert(1)><script>alert(2)</script>{{ 7 * 7 }}\x1b[31m\x00\u202e"
BAD_URLS = [
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    " https://x.example",
    "data:text/html,x",
    "//evil.example",
    "https://user:secret@evil.example/",
    'https://x.example/"onmouseover="alert(1)',
    "https://",
    "https://x.example:99999999/",
    "https://x.example/\nSet-Cookie: a",
    "https://[::1",
    "https://x.example/" + "x" * 5_000,
]


class Elements(HTMLParser):
    """What a browser makes of a page: its elements with their attributes, ids, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def site(*views: RunView, **more: Any) -> Site:
    return Site(MemoryRuns(*views, **more))


def hostile_item() -> ItemView:
    return failed_item(
        title=HOSTILE,
        type=HOSTILE,
        reason=HOSTILE + "x" * 400,
        branch=HOSTILE,
        commit=HOSTILE,
        pull_request_url=HOSTILE,
        kept=HOSTILE,
        current_task=HOSTILE,
        current_file=HOSTILE,
        tasks=(task(1, 1, 6, 30, description=HOSTILE, agent=HOSTILE, error=HOSTILE, status=TaskStatus.FAILED),),
        checks=(
            CheckView(
                kind=CheckKind.TEST,
                status=HOSTILE,
                command=HOSTILE,
                reason=HOSTILE,
                output=HOSTILE,
                findings=(HOSTILE,),
            ),
        ),
        iterations=(
            IterationView(
                number=1,
                passed=False,
                failed=(HOSTILE,),
                tried=HOSTILE,
                changed=f"+{HOSTILE}",
                created_at=at(40),
                still_failing=(HOSTILE,),
            ),
        ),
        findings=(HOSTILE,),
        diff=f"-{HOSTILE}\n@@ {HOSTILE}",
    )


def hostile_site() -> Site:
    view = a_run(
        hostile_item(),
        replace(hostile_item(), id=item_id(4), verdict=None, status=going_item().status),
        repository=HOSTILE,
        base_branch=HOSTILE,
        base_commit=HOSTILE,
        reason=HOSTILE,
    )
    made = site(view, log=(log_line(1, HOSTILE, Level.ERROR, item_id(3)),))
    made.workflow = HOSTILE
    return made


@pytest.mark.parametrize("below", ["", "/live", "/log", f"/items/{item_id(3)}"])
def test_page__nothing_that_rows_say_is_markup(below: str) -> None:
    html = hostile_site().text(hostile_site().signed(below=below))
    page = Elements(html)
    assert not page.of("img")
    assert all(one.get("src", "").startswith("/static/") for one in page.of("script"))  # type: ignore[union-attr]
    assert "onerror" not in {name for _, attributes in page.found for name in attributes}
    assert not any(name.startswith("on") or name == "style" for _, attributes in page.found for name in attributes)
    assert "<script>alert(2)</script>{{ 7 * 7 }}" in page.text
    assert not {"\x1b", "\x00", "\u202e"} & set(html)


def test_list__nothing_that_rows_say_is_markup() -> None:
    made = hostile_site()
    page = Elements(made.text(made.signed("/runs")))
    assert not page.of("img") and len(page.of("script")) == 1
    assert "<img src=x onerror=alert(1)>" in page.text


def test_page__every_text_of_every_record_is_hostile_here() -> None:
    """A field that is added later is thought of here."""
    item = hostile_item()
    for record in (item, item.tasks[0], item.checks[0], item.iterations[0]):
        for one in fields(record):
            value = getattr(record, one.name)
            if type(value) is str:
                assert HOSTILE in value, one.name


@pytest.mark.parametrize("url", BAD_URLS)
def test_page__an_address_that_is_no_plain_one_is_no_link(url: str) -> None:
    made = site(a_run(done_item(pull_request_url=url)))
    made.workflow = url
    page = Elements(made.text(made.signed()))
    for one in page.of("a"):
        assert (one["href"] or "").startswith(("#", "/"))


def test_page__other_links_tell_nobody_where_they_were_followed() -> None:
    made = site(a_run(done_item()))
    made.workflow = "https://github.com/octo/app/actions/runs/5"
    away = [one for one in Elements(made.text(made.signed())).of("a") if "://" in (one["href"] or "")]
    assert {one["href"] for one in away} == {made.workflow, "https://github.com/octo/app/pull/1"}
    assert all(one["rel"] == "noopener noreferrer" for one in away)


def test_page__shows_what_is_known_of_each_item() -> None:
    made = site(a_run(done_item(1), going_item(2), failed_item(3)), log=(log_line(1, "Something was said"),))
    text = " ".join(Elements(made.text(made.signed())).text.split())
    for words in (
        "3 items in octo/app",
        "1 completed, 1 running, 1 failed",
        "main bbbbbbbbbb",
        "1 min 40 s",
        "$0.12",
        "1,540 tokens",
        "Wave 1",
        "wave 1 of 2 · 40 %",
        "Building Writing the route app/routes.py",
        "It broke",
        "The checks still fail after five fixes: test",
        "/var/lib/mason/artifacts/item.bundle",
        "x.py:1 error boom",
        "scope: x.py is not part of the plan",
        "Failed before: lint",
        "Removed an import",
        "-import os",
        "+three",
        "12 passed",
        "pytest",
        "Something was said",
    ):
        assert words in text, words


def test_page__one_item_gives_the_run_its_name() -> None:
    made = site(a_run(done_item(title="Give a discount"), ended=90))
    assert '<h1 dir="auto">Give a discount</h1>' in made.text(made.signed())


def test_page__ids_are_unique_and_headings_in_order() -> None:
    made = site(a_run(done_item(1), going_item(2), failed_item(3)), log=tuple(map(log_line, range(5))))
    page = Elements(made.text(made.signed()))
    ids = [attributes["id"] for _, attributes in page.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    levels = [int(tag[1]) for tag, _ in page.found if tag in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert [one.get("aria-live") for _, one in page.found if one.get("aria-live")] == ["polite"]
    assert {"main", "header"} <= {tag for tag, _ in page.found}


def test_page__done_items_are_closed_and_failed_ones_open() -> None:
    made = site(a_run(done_item(1), going_item(2), failed_item(3)))
    found = {one["id"]: "open" in one for one in Elements(made.text(made.signed())).of("details")}
    assert [found[f"item-{item_id(number)}"] for number in (1, 2, 3)] == [False, True, True]


def test_page__of_fifty_failed_items_opens_a_few() -> None:
    made = site(a_run(*(failed_item(number) for number in range(1, 51)), ended=100))
    opened = [one for one in Elements(made.text(made.signed())).of("details") if "open" in one]
    assert len(opened) == 8


def test_page__of_many_items_leaves_outputs_to_their_own_pages() -> None:
    diff = "+a line of a diff\n" * 3_000
    made = site(a_run(*(done_item(number, diff=diff) for number in range(1, 21)), failed_item(30, diff=diff)))
    text = made.text(made.signed())
    assert len(text) < 500_000
    assert f'id="diff-{item_id(30)}"' in text, "what is open has room first"
    assert f'id="diff-{item_id(1)}"' in text
    assert f'id="diff-{item_id(20)}"' not in text
    assert text.count("are left out here") == 19
    assert f'id="diff-{item_id(20)}"' in made.text(made.signed(below=f"/items/{item_id(20)}"))


def test_page__a_run_without_anything_is_a_page() -> None:
    view = a_run(started_at=None, status=RunStatus.PENDING, repository="", base_branch="", base_commit="")
    made = site(view)
    assert "No item has been taken yet" in made.text(made.signed())


# Who may look


def html(made: Site, address: str, **headers: str) -> TestResponse:
    return made.client.get(address, headers={"Accept": "text/html"} | headers)


@pytest.mark.parametrize("path", ["/runs", f"/runs/{RUN}", f"/runs/{RUN}/live", f"/runs/{RUN}/log", "/runs/nonsense"])
def test_viewer__without_any_proof_sees_nothing(path: str) -> None:
    made = site(a_run(done_item()))
    answer = html(made, path)
    assert answer.status_code == 401
    assert f"/sign-in?next={path}" in answer.text
    assert "octo" not in answer.text
    assert made.client.get(path).get_json()["statusCode"] == 401
    assert made.runs.asked == {}


def test_viewer__a_key_of_any_scope_may_look() -> None:
    made = site(a_run(done_item()))
    for scope in Scope:
        _, text = made.keys.create("ci", scope)
        assert html(made, f"/runs/{RUN}", Authorization=f"Bearer {text}").status_code == 200
    key, text = made.keys.create("gone", Scope.READ)
    made.keys.revoke(key.prefix)
    assert html(made, f"/runs/{RUN}", Authorization=f"Bearer {text}").status_code == 401


def test_viewer__a_link_leads_on_with_its_key() -> None:
    made = site(a_run(done_item()), log=tuple(map(log_line, range(700))))
    address = made.signed()
    key = address.partition("key=")[2]
    page = Elements(made.text(address))
    ours = [one["href"] or "" for one in page.of("a") if (one["href"] or "").startswith("/")]
    assert ours and all(f"key={key}" in href for href in ours)
    assert key in (next(one["data-live"] for _, one in page.found if "data-live" in one) or "")
    for href in ours:
        assert html(made, href).status_code == 200
    assert "All runs" not in page.text


def test_viewer__a_link_to_all_runs_opens_each() -> None:
    made = site(a_run(done_item()), a_run(done_item(), run_id=OTHER))
    page = Elements(made.text(made.signed("/runs")))
    for href in [one["href"] or "" for one in page.of("a") if f"{RUN}" in (one["href"] or "")]:
        assert "All runs" in made.text(href)


def test_viewer__a_link_to_another_run_opens_nothing() -> None:
    made = site(a_run(done_item()), a_run(done_item(), run_id=OTHER))
    address = made.signed().replace(str(RUN), str(OTHER))
    assert html(made, address).status_code == 401


def test_viewer__is_told_that_a_link_is_over() -> None:
    made = site(a_run(done_item()))
    address = made.signed()
    made.clock.now += 40 * 86_400
    answer = html(made, address)
    assert answer.status_code == 401
    assert "time of this link is over" in answer.text


def test_viewer__the_address_of_a_link_is_told_to_nobody() -> None:
    made = site(a_run(done_item()))
    assert html(made, made.signed()).headers["Referrer-Policy"] == "no-referrer"


# What it costs


def test_live__what_has_not_changed_is_not_sent_or_made_again() -> None:
    made = site(a_run(going_item()))
    first = html(made, made.signed(below="/live"))
    assert first.status_code == 200
    tag = first.headers["ETag"]
    again = html(made, made.signed(below="/live"), **{"If-None-Match": tag})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == tag
    assert made.runs.asked == {"run_version": 1, "run_view": 1, "last_log_page": 1}


def test_live__two_hundred_viewers_cost_one_question_a_second() -> None:
    made = site(a_run(going_item()))
    for _ in range(200):
        assert html(made, made.signed(below="/live")).status_code == 200
    assert made.runs.asked["run_version"] == 1
    made.clock.now += 1
    for _ in range(200):
        html(made, made.signed(below="/live"))
    assert made.runs.asked["run_version"] == 2
    assert made.runs.asked["run_view"] == 1


def test_live__a_change_is_seen_within_a_second() -> None:
    made = site(a_run(going_item()))
    tag = html(made, made.signed(below="/live")).headers["ETag"]
    made.runs.change(a_run(done_item(2), ended=95))
    made.clock.now += 1
    after = html(made, made.signed(below="/live"), **{"If-None-Match": tag})
    assert after.status_code == 200
    assert "data-ended" in after.text and "Succeeded" in after.text


def test_live__bars_of_a_run_that_goes_on_grow() -> None:
    made = site(a_run(going_item()))
    tag = html(made, made.signed(below="/live")).headers["ETag"]
    made.clock.now += 10
    assert html(made, made.signed(below="/live"), **{"If-None-Match": tag}).status_code == 200
    made.runs.change(a_run(done_item(), ended=90))
    made.clock.now += 10
    tag = html(made, made.signed(below="/live")).headers["ETag"]
    made.clock.now += 1_000
    assert html(made, made.signed(below="/live"), **{"If-None-Match": tag}).status_code == 304


def test_live__who_sees_more_gets_pages_of_their_own() -> None:
    made = site(a_run(done_item()))
    _, text = made.keys.create("ci", Scope.READ)
    assert "All runs" not in html(made, made.signed()).text
    assert "All runs" in html(made, f"/runs/{RUN}", Authorization=f"Bearer {text}").text
    assert "key=" not in html(made, f"/runs/{RUN}", Authorization=f"Bearer {text}").text


def test_page__is_packed_for_who_takes_it() -> None:
    made = site(a_run(done_item()))
    plain = html(made, made.signed())
    packed = html(made, made.signed(), **{"Accept-Encoding": "gzip, br"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data
    assert "Accept-Encoding" in packed.headers["Vary"]
    assert "Content-Encoding" not in html(made, made.signed(), **{"Accept-Encoding": "gzip;q=0"}).headers


def test_page__its_policy_lets_nothing_in() -> None:
    made = site(a_run(done_item()))
    for address in (made.signed(), made.signed("/runs"), "/sign-in", f"/runs/{RUN}"):
        headers = html(made, address).headers
        assert headers["Content-Security-Policy"] == POLICY
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] in ("private, no-cache", "no-store")


def test_static__files_are_kept_for_ever_under_the_names_of_their_contents() -> None:
    made = site(a_run(done_item()))
    page = Elements(made.text(made.signed()))
    names = [one["href"] for one in page.of("link")] + [one["src"] for one in page.of("script")]
    assert len(names) == 3
    for name in names:
        answer = made.client.get(name or "")
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.data == gzip.decompress(made.client.get(name or "", headers={"Accept-Encoding": "gzip"}).data)
    for name in ("/static/mason.css", "/static/../app.py", "/static/%2e%2e%2fapp.py", "/static/"):
        assert made.client.get(name).status_code == 404


# Bad input


@pytest.mark.parametrize(
    "below", ["", "/live", "/log", f"/items/{item_id(1)}", "/log?after=5", "/items/nonsense", "/other"]
)
def test_page__of_an_unknown_run_is_404(below: str) -> None:
    made = site()
    address = made.links.to("/runs").replace("/runs?", f"/runs/{RUN}{below}{'&' if '?' in below else '?'}")
    assert html(made, address).status_code == 404


@pytest.mark.parametrize(
    "name", ["nonsense", "7f1c4a5290b14a0e8a8e0d6a8f6c2b11", "{" + str(RUN) + "}", "%00", "x" * 900]
)
def test_page__an_id_that_is_none_is_404(name: str) -> None:
    made = site(a_run(done_item()))
    address = made.links.to("/runs").replace("/runs?", f"/runs/{name}?")
    assert html(made, address).status_code == 404


def test_item__of_another_run_is_404() -> None:
    made = site(a_run(done_item(1)), a_run(done_item(2), run_id=OTHER))
    assert html(made, made.signed(below=f"/items/{item_id(2)}")).status_code == 404
    assert html(made, made.signed(below=f"/items/{item_id(1)}")).status_code == 200


@pytest.mark.parametrize(
    "query", ["level=nonsense", "level=", "level=warn&level=error", "after=&item=", "x=" + "y" * 2_000]
)
@pytest.mark.parametrize("below", ["", "/live", "/log"])
def test_page__a_query_that_means_nothing_is_none(below: str, query: str) -> None:
    made = site(a_run(done_item()), log=tuple(map(log_line, range(5))))
    assert html(made, made.signed(below=below) + "&" + query).status_code == 200


@pytest.mark.parametrize(
    ("query", "status"),
    [("after=nonsense", 400), ("after=%00", 400), ("after=" + "x" * 900, 400), ("item=nonsense", 404)],
)
def test_log__a_cursor_that_nobody_gave_is_refused(query: str, status: int) -> None:
    made = site(a_run(done_item()), log=tuple(map(log_line, range(5))))
    assert html(made, made.signed(below="/log") + "&" + query).status_code == status


def test_page__while_the_database_is_away_says_so() -> None:
    made = site(a_run(done_item()))
    made.runs.away = True
    answer = html(made, made.signed())
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
    assert "db.internal" not in answer.text
    assert "Try again" in answer.text
    made.runs.away = False
    assert html(made, made.signed()).status_code == 200


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_page__is_only_read(method: str) -> None:
    made = site(a_run(done_item()))
    assert getattr(made.client, method)(made.signed()).status_code == 405


# The log


def test_log__a_hundred_thousand_lines_are_read_page_by_page() -> None:
    made = site(a_run(done_item()), log=tuple(map(log_line, range(1_200))))
    seen: list[str] = []
    address: str | None = made.signed(below="/log")
    while address:
        page = Elements(made.text(address))
        seen += [one["id"] or "" for one in page.of("li") if (one.get("id") or "").startswith("line-")]
        later = [one["href"] for one in page.of("a") if one.get("class") == "button"]
        address = later[0] if "Later lines" in page.text else None
    assert seen == [f"line-{UUID(int=10**6 + number)}" for number in range(1_200)]


def test_log__by_level() -> None:
    lines = tuple(log_line(number, level=Level.ERROR if number % 400 == 0 else Level.INFO) for number in range(1_200))
    made = site(a_run(done_item()), log=lines)
    page = Elements(made.text(made.signed(below="/log") + "&level=error"))
    assert sum((one.get("id") or "").startswith("line-") for one in page.of("li")) == 3
    assert next(one for one in page.of("a") if one.get("aria-current"))["href"].count("level=error") == 1  # type: ignore[union-attr]
    newest = Elements(made.text(made.signed(level="error")))
    assert sum((one.get("id") or "").startswith("line-") for one in newest.of("li")) == 2


def test_log__the_newest_lines_are_on_the_page() -> None:
    made = site(a_run(done_item()), log=tuple(map(log_line, range(1_200))))
    text = made.text(made.signed())
    assert "Line 1199" in text and "Line 1100" in text and "Line 1099" not in text
    assert "Load earlier ones" in text


def test_log__a_line_without_an_end_is_cut() -> None:
    made = site(a_run(done_item()), log=(log_line(1, "x" * 1_000_000),))
    assert len(made.text(made.signed())) < 100_000


def test_list__leads_to_earlier_runs() -> None:
    views = [a_run(done_item(), run_id=UUID(int=number), ended=5) for number in range(1, 71)]
    made = site(*views)
    address, seen = made.signed("/runs"), 0
    while address:
        page = Elements(made.text(address))
        seen += len([one for one in page.of("a") if (one["href"] or "").startswith("/runs/")])
        address = next((one["href"] or "" for one in page.of("a") if "before=" in (one["href"] or "")), "")
    assert seen == 70
    assert "Nothing has run yet" in site().text(site().signed("/runs"))
    assert html(made, made.signed("/runs", before="nonsense")).status_code == 404
