"""Setting up: what the App is asked to be, the way to GitHub and back, the backlog, and the end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.domain.setup import APP, BACKLOG, SetupRecord, StoredApp, StoredBacklog, as_text, read
from app.errors import BadCode, Busy, ForgeUnreachable, SetupClosed, SetupMistake, UsageError
from app.flows import setup
from app.flows.doctor import Status
from app.flows.setup import AskedApp, Given
from app.ports.backlog_setup import NewBacklog, Way
from tests.fakes.setup import CODE, EVENTS, HOOK_SECRET, KEY, PEM, TABLE_SECRET, MemorySetup

HERE = "http://127.0.0.1:8000"
ASKED = AskedApp(name="My Mason", organisation="", app_url="https://mason.example.com")
PROJECT = NewBacklog(url="https://abcdefghijklmnopqrst.supabase.co/", key=KEY, way=Way.PASSWORD, secret=TABLE_SECRET)


def test_manifest__is_exactly_what_is_in_use() -> None:
    assert setup.manifest(ASKED, HERE, {"contents": "write"}, EVENTS) == {
        "name": "My Mason",
        "url": "https://mason.example.com",
        "description": "Mason turns approved backlog items into validated pull requests.",
        "hook_attributes": {"url": "https://mason.example.com/webhooks/github", "active": True},
        "redirect_url": "http://127.0.0.1:8000/setup/github",
        "public": False,
        "default_permissions": {"contents": "write"},
        "default_events": ["issue_comment", "push"],
    }


@pytest.mark.parametrize(
    "url",
    [
        "https://mason.example.com",
        "https://mason.example.com:8443/below",
        "http://127.0.0.1:8000",
        "http://localhost",
        "http://[::1]:80",
    ],
)
def test_address__may_be_https_or_of_this_machine(url: str) -> None:
    assert setup.checked(replace(ASKED, app_url=f" {url}/ ")).app_url == url


@pytest.mark.parametrize(
    "url",
    [
        *("", "mason.example.com", "http://mason.example.com", "ftp://mason.example.com", "https://", "https://[::1"),
        *("https://ada:word@mason.example.com", "https://mason.example.com/?a=b", "https://mason.example.com/#x"),
        *(
            "https://mason.example.com:99999",
            "https://mason.exa mple.com",
            "https://x/\ny",
            "https://mäson.example.com",
        ),
        *("javascript:alert(1)", "https://" + "x" * 300, "http://localhost.evil.example.com"),
    ],
)
def test_address__anything_else_is_refused(url: str) -> None:
    with pytest.raises(SetupMistake):
        setup.checked(replace(ASKED, app_url=url))


@pytest.mark.parametrize("name", ["", "  ", "x" * 35, "two\nlines", "null\0"])
def test_app__a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(SetupMistake, match="name"):
        setup.checked(replace(ASKED, name=name))


@pytest.mark.parametrize("organisation", ["-octo", "oc to", "octo/app", "../settings", "o" * 101, "octo?x"])
def test_app__a_bad_organisation_is_refused(organisation: str) -> None:
    with pytest.raises(SetupMistake, match="organisation"):
        setup.checked(replace(ASKED, organisation=organisation))


def test_app__from_the_form_to_what_is_stored() -> None:
    there = MemorySetup()
    asked = setup.ask_for_app(there.ports, replace(ASKED, organisation="octo"), HERE)
    assert asked.page == "https://github.com/organizations/octo/settings/apps/new"
    taken = setup.take_app(there.ports, asked.nonce, CODE)
    assert read(StoredApp, there.sealed.kept[APP]) == taken
    assert (taken.id, taken.slug, taken.owner, taken.organisation) == (4711, "my-mason", "ada", "octo")
    assert (taken.app_url, taken.private_key) == ("https://mason.example.com", PEM)
    assert PEM not in repr(taken) and taken.webhook_secret not in repr(taken)


def test_way_back__is_good_once() -> None:
    there = MemorySetup()
    asked = setup.ask_for_app(there.ports, ASKED, HERE)
    setup.take_app(there.ports, asked.nonce, CODE)
    with pytest.raises(SetupMistake, match="used already"):
        setup.take_app(there.ports, asked.nonce, CODE)
    assert there.github.asked == [CODE]


def test_way_back__of_an_older_form_or_of_none_is_refused() -> None:
    there = MemorySetup()
    for nonce in ("", "forged"):
        with pytest.raises(SetupMistake):
            setup.take_app(there.ports, nonce, CODE)
    older = setup.ask_for_app(there.ports, ASKED, HERE)
    setup.ask_for_app(there.ports, ASKED, HERE)
    with pytest.raises(SetupMistake):
        setup.take_app(there.ports, older.nonce, CODE)
    assert there.github.asked == [] and APP not in there.sealed.kept


@pytest.mark.parametrize(
    "code", ["", "short", "x" * 129, "a180b1a3d263c81b/../../user", "a180b1a3d263c81b\n", "ä" * 20]
)
def test_code__of_another_form_is_never_sent(code: str) -> None:
    there = MemorySetup()
    asked = setup.ask_for_app(there.ports, ASKED, HERE)
    with pytest.raises(SetupMistake, match="code"):
        setup.take_app(there.ports, asked.nonce, code)
    assert there.github.asked == []
    assert setup.take_app(there.ports, asked.nonce, CODE).id == 4711


def test_code__while_github_is_away_it_stays_good() -> None:
    there = MemorySetup()
    asked = setup.ask_for_app(there.ports, ASKED, HERE)
    there.github.fails = ForgeUnreachable("GitHub did not answer (ConnectError)")
    with pytest.raises(ForgeUnreachable):
        setup.take_app(there.ports, asked.nonce, CODE)
    assert setup.take_app(there.ports, asked.nonce, CODE).id == 4711


def test_code__that_github_does_not_know_ends_the_way_back() -> None:
    there = MemorySetup()
    asked = setup.ask_for_app(there.ports, ASKED, HERE)
    with pytest.raises(BadCode):
        setup.take_app(there.ports, asked.nonce, "0" * 40)
    with pytest.raises(SetupMistake):
        setup.take_app(there.ports, asked.nonce, CODE)


def test_backlog__is_stored_with_the_secret_of_its_webhook_and_nothing_that_is_used_once() -> None:
    there = MemorySetup(given=Given(app_url="https://mason.example.com/"))
    done = setup.connect_backlog(there.ports, PROJECT)
    assert there.backlog.prepared == [
        ("https://abcdefghijklmnopqrst.supabase.co", "https://mason.example.com/webhooks/supabase")
    ]
    stored = read(StoredBacklog, there.sealed.kept[BACKLOG])
    assert stored == StoredBacklog(
        url="https://abcdefghijklmnopqrst.supabase.co", key=KEY, webhook_secret=HOOK_SECRET, announced=done.announced
    )
    assert TABLE_SECRET not in there.sealed.kept[BACKLOG] and KEY not in repr(stored)


def test_backlog__announces_to_the_address_that_the_app_was_made_with() -> None:
    there = MemorySetup()
    setup.connect_backlog(there.ports, PROJECT)
    setup.ask_for_app(there.ports, ASKED, HERE)
    setup.connect_backlog(there.ports, PROJECT)
    assert [url for _, url in there.backlog.prepared] == ["", "https://mason.example.com/webhooks/supabase"]


def test_backlog__what_fails_stores_nothing() -> None:
    there = MemorySetup()
    for bad in (replace(PROJECT, key="sb_publishable_x"), replace(PROJECT, secret="wrong")):
        with pytest.raises(UsageError):
            setup.connect_backlog(there.ports, bad)
    assert BACKLOG not in there.sealed.kept


def test_setup__finished_it_is_closed_and_an_older_token_opens_nothing() -> None:
    there = MemorySetup()
    first = there.ports.token(1)
    assert setup.admitted(there.ports, first) and not setup.admitted(there.ports, "")
    setup.finish(there.ports)
    assert not setup.admitted(there.ports, first)
    for step in (
        lambda: setup.ask_for_app(there.ports, ASKED, HERE),
        lambda: setup.take_app(there.ports, "x", CODE),
        lambda: setup.connect_backlog(there.ports, PROJECT),
        lambda: setup.finish(there.ports),
    ):
        with pytest.raises(SetupClosed):
            step()
    again = setup.open_again(there.ports)
    assert again != first
    assert setup.admitted(there.ports, again) and not setup.admitted(there.ports, first)


def test_setup__is_closed_where_the_environment_names_github_until_it_is_opened() -> None:
    there = MemorySetup(given=Given(github="MASON_GITHUB_APP_ID"))
    assert not setup.admitted(there.ports, there.ports.token(1))
    assert setup.admitted(there.ports, setup.open_again(there.ports))


def test_setup__two_at_a_time_are_refused() -> None:
    there = MemorySetup()
    with there.alone(), pytest.raises(Busy):
        setup.finish(there.ports)


def test_checks__tell_whether_the_app_is_installed() -> None:
    there = MemorySetup()
    assert setup.check_everything(there.ports) == there.findings
    setup.take_app(there.ports, setup.ask_for_app(there.ports, ASKED, HERE).nonce, CODE)
    assert setup.check_everything(there.ports)[-1].status is Status.FAIL
    there.github.installed = ("octo",)
    assert setup.check_everything(there.ports)[-1].detail == "installed at octo"
    there.github.installed = ForgeUnreachable("GitHub did not answer")
    assert setup.check_everything(there.ports)[-1].detail == "GitHub did not answer"


def test_stored__what_another_mason_stored_is_refused_in_words() -> None:
    with pytest.raises(UsageError, match="another Mason"):
        read(SetupRecord, '{"number": "many"}')
    assert read(SetupRecord, as_text(SetupRecord(number=3))) == SetupRecord(number=3)
