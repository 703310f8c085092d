"""Supabase's deliveries: a hint, or nothing."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.jobs import ReconcileBacklog
from tests.unit.web.ingress_kit import Door, error_of

ROW = {"id": "1", "status": "approved"}
CHANGE: dict[str, Any] = {"type": "UPDATE", "table": "mason_pm_backlog_items", "schema": "public", "record": ROW}


@pytest.mark.parametrize(
    "payload",
    [
        CHANGE,
        CHANGE | {"type": "INSERT", "old_record": None},
        CHANGE | {"something": {"new": [1]}, "old_record": {"status": "approved"}},
        CHANGE | {"record": {"id": "1"}},
        CHANGE | {"record": {"status": 5}},
        CHANGE | {"record": None},
        {"type": "UPDATE", "table": "mason_pm_backlog_items"},
    ],
)
def test_supabase__an_item_that_may_be_approved_is_a_hint(payload: dict[str, Any]) -> None:
    door = Door(more={"debounce": 7.0})
    answer = door.supabase(payload)
    assert (answer.status_code, answer.data) == (202, b"")
    assert door.queue.jobs == [(ReconcileBacklog(), 7.0)]


@pytest.mark.parametrize(
    "payload",
    [
        CHANGE | {"table": "mason_execution_progress"},
        CHANGE | {"type": "DELETE", "record": None},
        CHANGE | {"record": {"status": "in_progress"}},
        CHANGE | {"record": {"status": "new"}},
    ],
)
def test_supabase__everything_else_is_nothing(payload: dict[str, Any]) -> None:
    door = Door()
    assert door.supabase(payload).status_code == 204
    assert door.queue.stored == 0


@pytest.mark.parametrize(
    "body",
    [
        b" ",
        b"[]",
        b"{}",
        b"\xff",
        b'{"type": "UPSERT", "table": "mason_pm_backlog_items"}',
        b'{"type": "INSERT", "table": 5}',
        b'{"type": "INSERT", "table": "mason_pm_backlog_items", "record": 5}',
        b'{"type": "INSERT", "table": "mason_pm_backlog_items", "record": ' + b"[" * 100_000,
        b'{"type": "INSERT", "table": "mason_pm_backlog_items", "record": {"a": ' + b"9" * 5_000 + b"}}",
    ],
    ids=lambda body: repr(body[:60]),
)
def test_supabase__what_no_webhook_sends_is_refused(body: bytes) -> None:
    door = Door()
    assert error_of(door.supabase(body))[0] == 400
    assert door.queue.stored == 0


def test_supabase__only_with_the_secret() -> None:
    door = Door()
    assert error_of(door.supabase(CHANGE, **{"X-Mason-Secret": "wrong"}))[0] == 401
    assert error_of(door.supabase(CHANGE, **{"X-Mason-Secret": "w\xe4hr"}))[0] == 401
    assert door.queue.stored == 0


def test_supabase__must_be_json() -> None:
    assert error_of(Door().supabase(CHANGE, **{"Content-Type": "text/plain"}))[0] == 415


def test_supabase__a_body_that_is_too_large_is_not_read() -> None:
    door = Door()
    assert error_of(door.supabase(b"a" * (10 * 1024 * 1024 + 1)))[0] == 413
    assert door.queue.stored == 0


def test_supabase__not_configured_has_no_endpoint() -> None:
    assert error_of(Door(more={"supabase_secrets": ()}).supabase(CHANGE))[0] == 404


def test_supabase__the_database_away_is_no_success() -> None:
    door = Door()
    door.queue.away = True
    answer = door.supabase(CHANGE)
    assert error_of(answer)[0] == 503
    assert int(answer.headers["Retry-After"]) > 0
