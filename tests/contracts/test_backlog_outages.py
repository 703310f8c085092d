"""What every adapter of the backlog port does while its database is away, and when an answer is lost on the way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from app.backlog import migrate
from app.backlog.embedded import EmbeddedPostgres
from app.backlog.postgres import postgres_backlog
from app.backlog.store import SqlBacklog
from app.domain.items import Item, NewItem
from app.domain.results import Outcome, Verdict
from app.domain.runs import Base, Run
from app.errors import DatabaseRefused, DatabaseUnreachable, NotMigrated
from app.ports.backlog import Claimed
from tests.contracts.lossy import LossyWire

ITEM = (
    "insert into mason_pm_backlog_items (title, problem, solution, area, type, complexity, impact_score, effort_score,"
    " status) values ('t', 'p', 's', 'frontend', 'ui', 1, 1, 1, 'approved')"
)


def add_item(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(ITEM)


def count(dsn: str, what: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(f"select count(*) from {what}").fetchone()
    assert row
    return int(row[0])


def claim(store: SqlBacklog, item: Item) -> Claimed | None:
    run = Run(id=uuid4(), base=Base(commit="c" * 40, branch="main"), item_ids=(item.id,))
    store.open_run(run, repository=None)
    return store.claim(item, run_id=run.id, claimed_by="me", branch="mason/x")


@pytest.fixture
def wire(database: str) -> Iterator[LossyWire]:
    wire = LossyWire(database)
    yield wire
    wire.close()


@pytest.fixture
def far(wire: LossyWire) -> Iterator[SqlBacklog]:
    """A store at the other end of the lossy wire."""
    store = postgres_backlog(wire.dsn, patience=30)
    yield store
    store.close()


def test_lost_answer__a_claim_is_still_ours(wire: LossyWire, far: SqlBacklog, database: str) -> None:
    add_item(database)
    (item,) = far.approved_items(repository=None)
    wire.lose_answer_to(b'"mason_claim"')
    claimed = claim(far, item)
    assert wire.lost == 1
    assert claimed is not None
    assert claimed.claim.attempt == 1
    assert far.heartbeat([claimed.claim]) == [claimed.claim]
    assert count(database, "mason_item_events") == 1


@pytest.mark.parametrize("verdict", [Verdict.COMPLETED, Verdict.RELEASED, Verdict.REJECTED])
def test_lost_answer__a_settled_item_stays_settled_once(
    wire: LossyWire, far: SqlBacklog, database: str, verdict: Verdict
) -> None:
    add_item(database)
    claimed = claim(far, far.approved_items(repository=None)[0])
    assert claimed
    wire.lose_answer_to(b'"mason_settle"')
    assert far.settle(claimed.claim, Outcome(verdict=verdict, reason="r"))
    assert wire.lost == 1
    assert count(database, "mason_item_events where event_type = 'status_changed'") == 2


def test_lost_answer__a_follow_up_is_made_once(wire: LossyWire, far: SqlBacklog, database: str) -> None:
    add_item(database)
    claimed = claim(far, far.approved_items(repository=None)[0])
    assert claimed
    wire.lose_answer_to(b'"mason_create_follow_up"')
    assert far.create_follow_up(claimed.claim, claimed.item, Outcome(verdict=Verdict.REJECTED))
    assert wire.lost == 1
    assert count(database, "mason_pm_backlog_items") == 2


def test_outage__a_call_waits_for_the_database_to_come_back(data_root: Path) -> None:
    server = EmbeddedPostgres(data_root, throwaway=True)
    server.start()
    migrate.apply(server.dsn)
    add_item(server.dsn)
    store = postgres_backlog(server.dsn, patience=60)
    try:
        (item,) = store.approved_items(repository=None)
        server.stop()
        found: list[Claimed | None] = []
        caller = threading.Thread(target=lambda: found.append(claim(store, item)))
        caller.start()
        server.start()
        caller.join()
        assert found[0] is not None
        assert store.heartbeat([found[0].claim]) == [found[0].claim]
    finally:
        store.close()
        server.stop()


def test_outage__cut_connections_are_replaced(database: str) -> None:
    store = postgres_backlog(database, patience=30)
    try:
        store.require_ready()
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                " where application_name = 'mason' and datname = current_database()"
            )
        assert store.approved_items(repository=None) == []
    finally:
        store.close()


def test_outage__patience_ends_with_a_sentence_without_the_password(caplog: pytest.LogCaptureFixture) -> None:
    store = postgres_backlog("postgresql://mason:s3cret@127.0.0.1:1/postgres", patience=0.3)
    with pytest.raises(DatabaseUnreachable) as caught:
        store.require_ready()
    store.close()
    assert str(caught.value).startswith("The database did not answer: ")
    assert "s3cret" not in str(caught.value) and "\n" not in str(caught.value)
    assert [record.message for record in caplog.records] == ["The database did not answer; trying again for 0 seconds."]


@pytest.mark.parametrize(
    "change", [{"password": "wr0ng"}, {"dbname": "nothing_here"}], ids=["wrong password", "no such database"]
)
def test_refused__a_login_that_can_never_work_is_not_tried_again(database: str, change: dict[str, str]) -> None:
    store = postgres_backlog(make_conninfo(database, **change), patience=3600)
    with pytest.raises(DatabaseRefused) as caught:
        store.approved_items(repository=None)
    store.close()
    assert "wr0ng" not in str(caught.value)


@pytest.mark.parametrize("tail", ["/x?nonsense=1", "/%zz", ":port:port/x", ":99999/x"])
def test_refused__a_connection_string_that_is_none(tail: str) -> None:
    with pytest.raises(DatabaseRefused) as caught:
        postgres_backlog("postgresql://mason:s3cret@127.0.0.1" + tail, patience=3600).require_ready()
    assert "s3cret" not in str(caught.value)


def test_refused__what_the_database_says_is_one_sentence(backlog: SqlBacklog, database: str) -> None:
    add_item(database)
    with psycopg.connect(database) as connection:
        connection.execute(
            "create function no() returns trigger language plpgsql as $$ begin raise 'not today'; end $$;"
            " create trigger a_no before update on mason_pm_backlog_items for each row execute function no()"
        )
    (item,) = backlog.approved_items(repository=None)
    with pytest.raises(DatabaseRefused, match=r"^The database refused: not today$"):
        claim(backlog, item)


def test_not_migrated__is_said_at_every_door(empty_database: str) -> None:
    store = postgres_backlog(empty_database, patience=1)
    for call in (store.require_ready, lambda: store.approved_items(repository=None)):
        with pytest.raises(NotMigrated, match="mason migrate"):
            call()
    migrate.apply(empty_database, migrate.packaged()[:-1])
    with pytest.raises(NotMigrated):
        store.require_ready()
    migrate.apply(empty_database)
    store.require_ready()
    store.close()


def test_closed__a_store_that_was_closed_says_so(database: str) -> None:
    store = postgres_backlog(database, patience=3600)
    store.require_ready()
    store.close()
    store.close()
    with pytest.raises(DatabaseUnreachable):
        store.require_ready()


def test_refused__a_broken_check_names_the_column_and_the_value(backlog: SqlBacklog) -> None:
    item = NewItem(title="t", problem="p", solution="s", type="moonshot")
    with pytest.raises(DatabaseRefused, match=r"refused type = 'moonshot' in mason_pm_backlog_items: .*CHECK"):
        backlog.add_item(item, repository=None)
