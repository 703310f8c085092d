"""The database's webhook, on stand-ins for pg_net and pgcrypto that keep what they were given."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable

import psycopg
import pytest

from app.backlog import migrate, webhook
from app.errors import UsageError
from tests.unit.backlog.test_access import ITEM, as_role, run

URL = "https://mason.example.com/webhooks/supabase"
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()

STAND_INS = """
create schema net;
create table net.sent (url text, body jsonb, params jsonb, headers jsonb, timeout_milliseconds int);
create function net.http_post(url text, body jsonb default '{}', params jsonb default '{}',
  headers jsonb default '{"Content-Type": "application/json"}', timeout_milliseconds int default 1000)
returns bigint language sql as $$ insert into net.sent values ($1, $2, $3, $4, $5) returning 1 $$;

create schema extensions;
-- HMAC-SHA256 for keys of at most 64 bytes, as RFC 2104 has it.
create function extensions.hmac(data bytea, key bytea, type text) returns bytea language plpgsql as $$
declare
  inner_key bytea := key || decode(repeat('00', 64 - length(key)), 'hex');
  outer_key bytea := inner_key;
begin
  if type <> 'sha256' then
    raise exception 'only sha256';
  end if;
  for n in 0 .. 63 loop
    inner_key := set_byte(inner_key, n, get_byte(inner_key, n) # 54);
    outer_key := set_byte(outer_key, n, get_byte(outer_key, n) # 92);
  end loop;
  return sha256(outer_key || sha256(inner_key || data));
end $$;
create function extensions.hmac(text, text, text) returns bytea language sql as $$ select ''::bytea $$;
"""

APPROVE = "update mason_pm_backlog_items set status = 'approved'"


@pytest.fixture
def hooked(make_supabase: Callable[[], str]) -> str:
    dsn = make_supabase()
    run(dsn, STAND_INS)
    migrate.apply(dsn)
    assert webhook.install(dsn, URL, SECRET) is None
    return dsn


def sent(dsn: str) -> list[tuple[str, str, dict[str, str], int]]:
    with psycopg.connect(dsn) as connection:
        query = "select url, body::text, headers, timeout_milliseconds from net.sent"
        return [(url, body, headers, limit) for url, body, headers, limit in connection.execute(query)]


def signature(message: str, moment: str, body: str, secret: str = SECRET) -> str:
    """As Standard Webhooks has it."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message}.{moment}.{body}".encode()
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def test_webhook__an_approval_is_sent_once_and_signed(hooked: str) -> None:
    run(hooked, ITEM)
    assert sent(hooked) == []
    run(hooked, APPROVE)
    [(url, body, headers, limit)] = sent(hooked)
    assert (url, limit) == (URL, 5000)
    assert headers["Content-Type"] == "application/json"
    assert headers["webhook-signature"] == signature(headers["webhook-id"], headers["webhook-timestamp"], body)
    payload = json.loads(body)
    assert (payload["type"], payload["table"], payload["schema"]) == ("UPDATE", "mason_pm_backlog_items", "public")
    assert (payload["record"]["status"], payload["old_record"]["status"]) == ("approved", "new")
    assert set(payload["record"]) == {"id", "status"}
    with psycopg.connect(hooked) as connection:
        query = "select abs(extract(epoch from clock_timestamp()) - %s) < 300"
        assert connection.execute(query, (int(headers["webhook-timestamp"]),)).fetchone() == (True,)


def test_webhook__an_item_that_stays_approved_is_not_told_again(hooked: str) -> None:
    run(hooked, f"{ITEM}; {APPROVE}; {APPROVE}; update mason_pm_backlog_items set title = 'other'")
    assert len(sent(hooked)) == 1
    run(hooked, f"update mason_pm_backlog_items set status = 'in_progress'; {APPROVE}")
    assert len(sent(hooked)) == 2


def test_webhook__a_row_born_approved_has_no_old_record(hooked: str) -> None:
    run(hooked, ITEM.replace("effort_score)", "effort_score, status)").replace("1)", "1, 'approved')"))
    [(_, body, headers, _)] = sent(hooked)
    assert json.loads(body)["type"] == "INSERT"
    assert json.loads(body)["old_record"] is None
    assert headers["webhook-id"].startswith("msg_")


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
def test_webhook__works_for_everybody_and_shows_its_secret_to_nobody(hooked: str, role: str) -> None:
    run(hooked, ITEM + f"; grant usage on schema net, extensions to {role}")
    with psycopg.connect(hooked, autocommit=True) as connection:
        connection.execute(f"set role {role}".encode())
        connection.execute(APPROVE.encode())
    assert len(sent(hooked)) == 1
    for attempt in ("select * from mason_private.webhook", "select mason_private.announce_approval()"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            as_role(hooked, role, attempt)
    for place in ("pg_proc", "pg_trigger"):  # what every role may read of the catalog
        key = base64.b64decode(SECRET.removeprefix("whsec_"))
        text = str(as_role(hooked, role, f"select {place}::text from {place} where {place}::text ~ 'mason'"))
        assert SECRET.removeprefix("whsec_") not in text
        assert key.hex() not in text


def test_webhook__that_cannot_be_sent_never_stops_an_approval(hooked: str) -> None:
    run(hooked, "drop function net.http_post")
    run(hooked, f"{ITEM}; {APPROVE}")
    with psycopg.connect(hooked) as connection:
        assert connection.execute("select status from mason_pm_backlog_items").fetchall() == [("approved",)]


def test_webhook__installed_again_takes_the_new_url_and_secret(hooked: str) -> None:
    other = webhook.new_secret()
    assert webhook.install(hooked, URL + "/2", other) is None
    run(hooked, f"{ITEM}; {APPROVE}")
    [(url, body, headers, _)] = sent(hooked)
    assert url == URL + "/2"
    assert headers["webhook-signature"] == signature(headers["webhook-id"], headers["webhook-timestamp"], body, other)


def test_webhook__without_pg_net_says_what_to_click(database: str) -> None:
    text = webhook.install(database, URL, SECRET)
    assert text is not None
    assert "pg_net and pgcrypto" in text
    assert URL in text
    assert SECRET not in text
    with psycopg.connect(database) as connection:
        assert connection.execute("select to_regnamespace('mason_private')").fetchone() == (None,)


@pytest.mark.parametrize(
    "url",
    (
        *("", "mason.example.com", "http://mason.example.com/x", "https://", "ftp://x.org", "https://a:b@x.org"),
        *("https://[::1", "https://x.org/a b", "https://x.org/\n", "https://x.org:99999/", "https://x.org/#a"),
    ),
)
def test_check_url__refuses(url: str) -> None:
    with pytest.raises(UsageError, match="The webhook URL"):
        webhook.check_url(url)


@pytest.mark.parametrize("url", [URL, "http://127.0.0.1:8000/x", "http://localhost/x", "http://[::1]:1/"])
def test_check_url__accepts(url: str) -> None:
    webhook.check_url(url)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!!!", "short", "whsec_" + "A" * 400, "ä" * 40])
def test_secret_key__refuses_without_repeating_it(secret: str) -> None:
    with pytest.raises(UsageError, match="webhook secret must be") as caught:
        webhook.secret_key(secret)
    assert len(secret) < 10 or secret not in str(caught.value)


def test_new_secret__is_a_usable_one_and_never_the_same() -> None:
    first, second = webhook.new_secret(), webhook.new_secret()
    assert first != second
    assert len(webhook.secret_key(first)) == 32
