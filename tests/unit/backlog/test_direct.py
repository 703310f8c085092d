from __future__ import annotations

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from app.backlog.direct import check_dsn_target, connected, direct_dsn, required_ref
from app.errors import DatabaseRefused, DatabaseUnreachable, UsageError

REF = "abcdefghijklmnopqrst"
POOLER = "postgresql://postgres.ref:secret@aws-0-eu-central-1.pooler.supabase.com:5432/postgres"


@pytest.mark.parametrize("password", ["p@:/%#?& =w", "'", "\\", "ä😀", " ", "x" * 500])
def test_direct_dsn__takes_any_password(password: str) -> None:
    parameters = conninfo_to_dict(direct_dsn(REF, password))
    assert parameters["password"] == password
    assert (parameters["host"], parameters["port"]) == (f"db.{REF}.supabase.co", "5432")
    assert parameters["sslmode"] == "require"


@pytest.mark.parametrize("password", ["", "a\0b"])
def test_direct_dsn__refuses_what_no_password_can_be(password: str) -> None:
    with pytest.raises(UsageError, match="database password"):
        direct_dsn(REF, password)


@pytest.mark.parametrize(
    "url", [f"https://{REF}.supabase.co", f"https://{REF}.supabase.co/", f" https://{REF}.supabase.co"]
)
def test_required_ref__of_a_projects_url(url: str) -> None:
    assert required_ref(url.strip()) == REF


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (None, "Say which project"),
        ("", "Say which project"),
        (f"http://{REF}.supabase.co", "must begin with https://"),
        (REF, "must begin with https://"),
        ("https://short.supabase.co", "20 lower-case letters"),
        (f"https://{REF.upper()}1.supabase.co", "20 lower-case letters"),
        (f"https://{REF}.supabase.co.evil.example", "20 lower-case letters"),
        ("https://[::1", "Say which project"),
    ],
)
def test_required_ref__anything_else_is_one_sentence(url: str | None, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        required_ref(url)
    assert "\n" not in str(caught.value)


def test_connected__an_unreachable_project_is_shown_the_way_to_the_pooler() -> None:
    dsn = make_conninfo(direct_dsn(REF, "s3cret"), hostaddr="127.0.0.1", port=1)
    with pytest.raises(DatabaseUnreachable, match="session pooler") as caught, connected(dsn):
        pass
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_connected__a_refused_login_says_so(empty_database: str) -> None:
    with (
        pytest.raises(DatabaseRefused, match="refused the login"),
        connected(make_conninfo(empty_database, password="no")),
    ):
        pass


def test_check_dsn_target__adds_tls_and_pins_the_address() -> None:
    checked = conninfo_to_dict(check_dsn_target(POOLER, addresses=["3.3.3.3", "4.4.4.4"]))
    assert (checked["sslmode"], checked["hostaddr"], checked["password"]) == ("require", "3.3.3.3", "secret")
    weak = conninfo_to_dict(check_dsn_target(POOLER + "?sslmode=disable"))
    strong = conninfo_to_dict(check_dsn_target(POOLER + "?sslmode=verify-full"))
    assert (weak["sslmode"], strong["sslmode"]) == ("require", "verify-full")


@pytest.mark.parametrize(
    "host",
    (
        *("localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "[::1]", "10.0.0.1", "192.168.1.1", "172.16.0.1"),
        *(
            "169.254.169.254",
            "0.0.0.0",
            "[::ffff:127.0.0.1]",
            "[fd00::1]",
            "[fe80::1]",
            "2130706433",
            "127.1",
            "0x7f.1",
        ),
        *("0x7f000001", "db", "db.internal", "printer.local", "%2Ftmp", "100.64.0.1", "[::]", "224.0.0.1"),
    ),
)
def test_check_dsn_target__refuses_what_is_not_out_in_the_world(host: str) -> None:
    with pytest.raises(UsageError, match="private network") as caught:
        check_dsn_target(f"postgresql://u:s3cret@{host}/db", other_hosts=True)
    assert "s3cret" not in str(caught.value)
    assert check_dsn_target(f"postgresql://u:s3cret@{host}/db", private=True)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.1.2.3", "fd00::1", "not an address"])
def test_check_dsn_target__a_good_name_that_resolves_to_a_bad_address(address: str) -> None:
    with pytest.raises(UsageError, match="private network"):
        check_dsn_target(POOLER, addresses=["3.3.3.3", address])
    with pytest.raises(UsageError, match="private network"):
        check_dsn_target(make_conninfo(POOLER, hostaddr=address))


@pytest.mark.parametrize(
    ("dsn", "said"),
    [
        ("postgresql://u:s3cret@example.com/db", r"\*.supabase.co"),
        ("postgresql://u:s3cret@supabase.co.example.com/db", r"\*.supabase.co"),
        ("postgresql://u:s3cret@evilsupabase.co/db", r"\*.supabase.co"),
        ("host=db.x.supabase.co hostaddr=8.8.8.8 password=s3cret", r"\*.supabase.co"),
        ("postgresql://u:s3cret@a.supabase.co,127.0.0.1/db", "exactly one host"),
        ("dbname=x password=s3cret", "exactly one host"),
        ("service=x", "may not set service"),
        ("host=a.supabase.co passfile=/etc/passwd", "may not set passfile"),
        ("host=a.supabase.co sslkey=/root/key sslcert=/x", "may not set sslcert, sslkey"),
        ("host=a.supabase.co options='-c x=y'", "may not set options"),
        ("s3cret", "cannot be read"),
        ("postgresql://u:s3cr%et@a.supabase.co/db", "cannot be read"),
    ],
)
def test_check_dsn_target__other_refusals(dsn: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        check_dsn_target(dsn)
    assert "s3cr" not in str(caught.value)


def test_check_dsn_target__other_hosts_where_the_operator_allows_them() -> None:
    assert "example.com" in check_dsn_target("postgresql://u:x@example.com/db", other_hosts=True)
    assert "8.8.8.8" in check_dsn_target("postgresql://u:x@8.8.8.8/db", other_hosts=True)
