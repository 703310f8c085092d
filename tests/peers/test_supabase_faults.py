"""What the Supabase adapter does when the way to the database is bad, and what it says then: on real PostgREST."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import formatdate
from uuid import uuid4

import psycopg
import pytest

from app.backlog.postgrest import PostgrestSession, supabase_backlog
from app.backlog.store import SqlBacklog
from app.domain.events import Level
from app.domain.items import Item, NewItem
from app.domain.results import Outcome, Verdict
from app.domain.runs import Base, Run
from app.errors import DatabaseRefused, DatabaseUnreachable, MasonError, NotMigrated
from app.ports.backlog import Claimed, LogRow
from tests.contracts.test_backlog_outages import ITEM, add_item, count
from tests.peers.gateway import Fault, Gateway
from tests.peers.supabase import (
    ANON,
    PUBLISHABLE_KEY,
    SECRET_KEY,
    SERVICE_ROLE,
    database,
    gateway,
    jwt,
    project,
)

__all__ = ["database", "gateway", "project"]

pytestmark = pytest.mark.peer

BASE = Base(commit="c" * 40, branch="main")
NEW = NewItem(title="Add a header", problem="It is missing", solution="Add it")
PAGE = "<!DOCTYPE html><html><body>Sign in to the hotel's network</body></html>"


@pytest.fixture
def store(gateway: Gateway, database: str) -> Iterator[SqlBacklog]:
    store = supabase_backlog(gateway.url, SERVICE_ROLE, patience=30)
    yield store
    store.close()


def claim(store: SqlBacklog, item: Item) -> Claimed | None:
    run = Run(id=uuid4(), base=BASE, item_ids=(item.id,))
    store.open_run(run, repository=None)
    return store.claim(item, run_id=run.id, claimed_by="me", branch="mason/x")


def claimed(store: SqlBacklog, database: str) -> Claimed:
    add_item(database)
    got = claim(store, store.approved_items(repository=None)[0])
    assert got
    return got


def impatient(url: str, key: str = SERVICE_ROLE, **seconds: float) -> SqlBacklog:
    return SqlBacklog(PostgrestSession(url, key, **({"patience": 0.0} | seconds)))


def refusal(store: SqlBacklog) -> MasonError:
    """The one sentence of a store that cannot be used; no key of any test is in it."""
    with pytest.raises(MasonError) as caught:
        store.require_ready()
    store.close()
    said = str(caught.value)
    assert said.count("\n") == 0 and len(said) < 600
    assert not any(key in said for key in (SERVICE_ROLE, ANON, SECRET_KEY, SERVICE_ROLE.split(".")[2]))
    return caught.value


# -- answers that get lost -------------------------------------------------------------------------------------------

LOST = {
    "no answer": Fault(forward=True),
    "half an answer": Fault(forward=True, part=0.5),
    "the proxy's 502": Fault(forward=True, status=502, body=PAGE),
    "a 200 without its body": Fault(forward=True, status=200),
    "a 200 with half a document": Fault(forward=True, status=200, body='[{"held": tr'),
}


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
def test_lost_answer__a_claim_is_still_ours(store: SqlBacklog, gateway: Gateway, database: str, fault: Fault) -> None:
    add_item(database)
    (item,) = store.approved_items(repository=None)
    gateway.order("claim", fault, fault)
    got = claim(store, item)
    assert gateway.calls("claim") == 3
    assert got and got.claim.attempt == 1
    assert store.heartbeat([got.claim]) == [got.claim]
    assert count(database, "mason_item_events") == 1


@pytest.mark.parametrize("verdict", [Verdict.COMPLETED, Verdict.RELEASED, Verdict.REJECTED])
@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
def test_lost_answer__a_settled_item_stays_settled_once(
    store: SqlBacklog, gateway: Gateway, database: str, fault: Fault, verdict: Verdict
) -> None:
    got = claimed(store, database)
    gateway.order("settle", fault)
    assert store.settle(got.claim, Outcome(verdict=verdict, reason="r"))
    assert gateway.calls("settle") == 2
    assert count(database, "mason_item_events where event_type = 'status_changed'") == 2


def test_lost_answer__nothing_else_is_written_twice(store: SqlBacklog, gateway: Gateway, database: str) -> None:
    got = claimed(store, database)
    for function in ("open_run", "append_logs", "create_follow_up", "store_prd", "add_item"):
        gateway.order(function, Fault(forward=True, part=0.9), Fault(forward=True))
    run = Run(id=uuid4(), base=BASE, item_ids=())
    store.open_run(run, repository=None)
    at = datetime.now(UTC)
    store.append_logs([LogRow(id=uuid4(), run_id=run.id, level=Level.INFO, message="m", metadata={}, created_at=at)])
    assert store.create_follow_up(got.claim, got.item, Outcome(verdict=Verdict.REJECTED))
    assert store.store_prd(got.claim, "# PRD")
    store.add_item(NEW, repository=None)
    assert count(database, f"mason_remote_execution_runs where id = '{run.id}'") == 1
    assert count(database, "mason_execution_logs") == 1
    assert count(database, "mason_item_events where event_type = 'prd_generated'") == 1
    assert count(database, "mason_pm_backlog_items") == 3


# -- servers that are busy, broken, slow or gone ---------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 520])
def test_outage__what_may_pass_is_tried_again(store: SqlBacklog, gateway: Gateway, database: str, status: int) -> None:
    add_item(database)
    gateway.order("approved_items", Fault(status=status, body=PAGE), Fault(status=status, body="{}"), Fault())
    assert len(store.approved_items(repository=None)) == 1
    assert gateway.calls("approved_items") == 4


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_outage__retry_after_is_obeyed(store: SqlBacklog, gateway: Gateway, form: str) -> None:
    begun = time.time()
    asked = "1" if form == "seconds" else formatdate(begun + 2, usegmt=True)
    gateway.order("approved_items", Fault(status=429, headers={"Retry-After": asked}))
    assert store.approved_items(repository=None) == []
    assert time.time() - begun >= 1


def test_outage__a_pause_longer_than_our_patience_is_not_waited_for(gateway: Gateway, database: str) -> None:
    gateway.order("ready", Fault(status=503, headers={"Retry-After": "3600"}, body='{"message": "maintenance"}'))
    error = refusal(impatient(gateway.url, patience=30))
    assert isinstance(error, DatabaseUnreachable)
    assert str(error) == "The database did not answer: maintenance."
    assert gateway.calls("ready") == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422])
def test_refused__a_4xx_is_not_tried_again(gateway: Gateway, database: str, status: int) -> None:
    gateway.order("ready", Fault(status=status, body='{"message": "no"}'))
    assert isinstance(refusal(impatient(gateway.url, patience=30)), DatabaseRefused)
    assert gateway.calls("ready") == 1


def test_outage__a_hang_ends(gateway: Gateway, database: str) -> None:
    gateway.order("ready", Fault(hang=True))
    error = refusal(impatient(gateway.url, read=0.3))
    assert isinstance(error, DatabaseUnreachable)
    assert "silent" in str(error)


def test_outage__after_a_hang_the_next_attempt_counts(gateway: Gateway, database: str) -> None:
    gateway.order("ready", Fault(hang=True))
    store = impatient(gateway.url, patience=30, read=2.0)
    store.require_ready()
    store.close()
    assert gateway.calls("ready") >= 2


def test_outage__a_slow_answer_is_an_answer(store: SqlBacklog, gateway: Gateway, database: str) -> None:
    add_item(database)
    gateway.order("approved_items", Fault(pieces=200))
    assert len(store.approved_items(repository=None)) == 1
    assert gateway.calls("approved_items") == 1


def test_outage__a_server_that_is_gone_comes_back(project: object, database: str) -> None:
    gone = Gateway(port=1, keys={})
    gone.close()
    error = refusal(impatient(gone.url))
    assert isinstance(error, DatabaseUnreachable)
    assert "refused" in str(error) and gone.url in str(error)


def test_closed__a_store_that_was_closed_says_so(gateway: Gateway, database: str) -> None:
    store = impatient(gateway.url, patience=3600)
    store.require_ready()
    store.close()
    store.close()
    with pytest.raises(DatabaseUnreachable, match="given back"):
        store.require_ready()


# -- wrong addresses and keys ----------------------------------------------------------------------------------------


def test_wrong_url__a_name_that_nobody_has_is_said_at_once() -> None:
    error = refusal(impatient("https://no-such-project.invalid", patience=3600))
    assert "https://no-such-project.invalid" in str(error)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=200, body=PAGE),
        Fault(status=403, body=PAGE),
        Fault(status=404, body=PAGE),
        Fault(status=404, body='{"x": 1}'),
        Fault(status=301, headers={"Location": "https://example.com/"}),
        Fault(status=308, headers={"Location": "/elsewhere"}),
    ],
    ids=["page", "forbidden page", "no page", "another API", "moved", "moved for good"],
)
def test_wrong_url__what_is_no_project_is_said(gateway: Gateway, database: str, fault: Fault) -> None:
    gateway.order("ready", fault)
    error = refusal(impatient(gateway.url, patience=3600))
    assert isinstance(error, DatabaseRefused)
    assert "does not answer like a Supabase project" in str(error)
    assert gateway.calls("ready") == len(gateway.seen) == 1


def test_paused__is_said(gateway: Gateway, database: str) -> None:
    gateway.order("ready", Fault(status=540, body="{}"))
    assert "paused" in str(refusal(impatient(gateway.url, patience=3600)))


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        (jwt("service_role", secret="the secret of another project"), "does not accept the Supabase key"),
        (jwt("service_role", exp=1), "has expired"),
        ("not.a.jwt", "does not accept the Supabase key"),
        ("sb_secret_of_another_project", "does not accept the Supabase key"),
        ("k\u00e9y", "no key has"),
        ("two words", "no key has"),
        ("line\nbreak", "no key has"),
    ],
)
def test_wrong_key__is_one_sentence(gateway: Gateway, database: str, key: str, sentence: str) -> None:
    with pytest.raises(DatabaseRefused, match=sentence) as caught, ExitStack() as stack:
        store = impatient(gateway.url, key, patience=3600)
        stack.callback(store.close)
        store.require_ready()
    assert key not in str(caught.value)


def test_key__a_new_one_is_no_bearer_token(gateway: Gateway, database: str) -> None:
    for key in (SECRET_KEY, PUBLISHABLE_KEY, SERVICE_ROLE, ANON):
        store = impatient(gateway.url, key)
        store.require_ready()
        store.close()
        assert gateway.headers["apikey"] == key
        assert gateway.headers.get("authorization") == (None if key.startswith("sb_") else f"Bearer {key}")


# -- databases that are not as Mason needs them ----------------------------------------------------------------------


def sql(database: str, script: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(script.encode())


def test_not_migrated__no_function(gateway: Gateway, database: str) -> None:
    sql(database, "drop function mason_ready(jsonb)")
    store = impatient(gateway.url)
    with pytest.raises(NotMigrated, match=r"006_functions.*mason migrate.*POST /api/setup/migrations"):
        store.require_ready()
    store.close()


def test_not_migrated__functions_that_were_just_made_are_waited_for(gateway: Gateway, database: str) -> None:
    stale = Fault(status=404, body='{"code": "PGRST202", "message": "Could not find the function"}')
    gateway.order("ready", stale, stale)
    store = impatient(gateway.url, patience=30)
    store.require_ready()
    store.close()
    assert gateway.calls("ready") == 3


def test_not_migrated__a_missing_migration_is_named(store: SqlBacklog, database: str) -> None:
    sql(database, "delete from mason_migrations where name = '007_doctor'")
    with pytest.raises(NotMigrated, match=r"lacks 007_doctor: .*mason migrate"):
        store.require_ready()


@pytest.mark.parametrize(
    ("change", "migration"),
    [
        ("alter table mason_pm_backlog_items drop column failed_base", "002_columns"),
        ("drop table mason_execution_progress", "001_tables"),
    ],
)
def test_not_migrated__a_missing_table_or_column_names_its_migration(
    store: SqlBacklog, database: str, change: str, migration: str
) -> None:
    add_item(database)
    (item,) = store.approved_items(repository=None)
    sql(database, change)
    with pytest.raises(NotMigrated, match=rf"{migration}.*mason migrate"):
        claim(store, item)


@pytest.mark.parametrize(
    "change",
    [
        'drop policy "Allow all on mason_pm_backlog_items" on mason_pm_backlog_items',
        "revoke all on mason_pm_backlog_items from anon",
        "revoke execute on function mason_ready(jsonb) from anon, public",
    ],
    ids=["policies", "grants", "functions"],
)
def test_denied__the_anon_key_of_a_closed_database_is_told_so(gateway: Gateway, database: str, change: str) -> None:
    sql(database, change)
    error = refusal(impatient(gateway.url, ANON, patience=3600))
    assert isinstance(error, DatabaseRefused)
    assert "access rules forbid" in str(error) and "service_role" in str(error)


def test_denied__a_policy_that_refuses_a_row_is_told(gateway: Gateway, database: str) -> None:
    sql(
        database,
        'drop policy "Allow all on mason_pm_backlog_items" on mason_pm_backlog_items;'
        " create policy readers on mason_pm_backlog_items for select using (true)",
    )
    store = impatient(gateway.url, ANON)
    with pytest.raises(DatabaseRefused, match="access rules forbid"):
        store.add_item(NEW, repository=None)
    store.close()


def test_check_violated__says_which_column_and_value(store: SqlBacklog, database: str) -> None:
    item = replace(NEW, type="moonshot")
    with pytest.raises(DatabaseRefused, match=r"refused type = 'moonshot' in mason_pm_backlog_items: .*CHECK"):
        store.add_item(item, repository=None)


def test_rows__of_five_megabytes_come_and_go(store: SqlBacklog, database: str) -> None:
    large = "é" * 2_500_000
    item = store.add_item(replace(NEW, prd=large), repository=None)
    (found,) = store.items([item])
    assert found.prd == large


def test_rows__more_than_the_api_gives_at_once(store: SqlBacklog, database: str) -> None:
    values = "'t', 'p', 's', 'frontend', 'ui', 1, 1, 1, 'approved'"
    sql(database, f"{ITEM.partition(' values ')[0]} select {values} from generate_series(1, 1200)")
    assert len(store.approved_items(repository=None)) == 1200


# -- many at once ----------------------------------------------------------------------------------------------------


def test_claim__one_of_sixteen_runners_wins_a_hundred_times(gateway: Gateway, database: str) -> None:
    for _ in range(100):
        add_item(database)
    runners = [supabase_backlog(gateway.url, SERVICE_ROLE, patience=60) for _ in range(16)]
    items = runners[0].approved_items(repository=None)
    run = Run(id=uuid4(), base=BASE, item_ids=tuple(item.id for item in items))
    runners[0].open_run(run, repository=None)
    start = threading.Barrier(16)

    def race(number: int) -> list[Claimed]:
        won = []
        for item in items:
            start.wait(60)
            if got := runners[number].claim(item, run_id=run.id, claimed_by=f"runner {number}", branch="mason/x"):
                won.append(got)
        return won

    with ThreadPoolExecutor(16) as pool:
        wins = [got for won in pool.map(race, range(16)) for got in won]
    for runner in runners:
        runner.close()
    assert sorted(got.item.id for got in wins) == sorted(item.id for item in items)
    assert all(got.claim.attempt == 1 for got in wins)
    assert count(database, "mason_item_events") == 100


def test_connections__are_kept_open(store: SqlBacklog, gateway: Gateway) -> None:
    for _ in range(20):
        store.require_ready()
    assert gateway.connections == 1
