"""Where the backlog is, and what is said when the configuration cannot be used."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.config_file import read_config_file
from app.errors import UsageError
from app.log import Redactor
from app.settings import Settings, checked_url, is_loopback, read_settings, user_ids

URL = "https://abcdefghijklmnopqrst.supabase.co"
KEY = "sb_secret_0123456789abcdef"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MASON_DSN", "MASON_SUPABASE_URL", "MASON_SUPABASE_KEY", "GITHUB_ACTIONS", "SUPABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("INPUT_SUPABASE-URL", "INPUT_SUPABASE-KEY", "SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_ANON_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()
    return tmp_path


def write(repository: Path, content: object) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    (repository / "mason.config.json").write_text(text, encoding="utf-8")


def project(settings: Settings) -> tuple[str | None, str | None]:
    return settings.supabase_url, settings.supabase_key.get_secret_value() if settings.supabase_key else None


@pytest.mark.parametrize(
    "content",
    [
        {"supabaseUrl": URL, "supabaseAnonKey": KEY, "version": "1.0", "domains": []},
        {"supabase": {"url": URL + "/", "anonKey": KEY}},
        {"supabaseUrl": URL, "supabase": {"anonKey": f" {KEY}\n"}},
        {"supabaseUrl": f"{URL}/rest/v1/", "supabaseAnonKey": KEY, "supabase": None},
        "\ufeff" + json.dumps({"supabaseUrl": URL, "supabaseAnonKey": KEY}),
    ],
)
def test_config_file__both_forms(repository: Path, content: object) -> None:
    write(repository, content)
    below = repository / "packages" / "web"
    below.mkdir(parents=True)

    assert project(read_settings(repository=below)) == (URL, KEY)


def test_config_file__absent_or_silent(repository: Path) -> None:
    assert project(read_settings(repository=repository)) == (None, None)
    write(repository, {"supabaseUrl": None, "supabaseAnonKey": ""})
    assert project(read_settings(repository=repository)) == (None, None)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"supabaseUrl": "secret-value" "x"}', "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"supabaseUrl": ' + "1" * 5000 + "}", "not valid JSON"),
        ("[]", "must hold a JSON object"),
        ({"supabaseUrl": 5}, "supabaseUrl in"),
        ({"supabase": "secret-value"}, "supabase in"),
        ({"supabase": {"url": ["secret-value"]}}, "supabase.url in"),
        ({"supabaseAnonKey": "secret-value", "supabase": {"anonKey": KEY}}, "supabaseAnonKey and supabase.anonKey in"),
        ({"supabaseUrl": URL}, "without its key"),
        ({"supabaseAnonKey": "secret-value"}, "without the project's URL"),
        ({"supabaseUrl": "http://example.com", "supabaseAnonKey": "secret-value"}, "must begin with https://"),
        (" " * 1_000_001, "is larger than"),
    ],
)
def test_config_file__cannot_be_used(repository: Path, content: object, said: str) -> None:
    write(repository, content)

    with pytest.raises(UsageError) as problem:
        read_settings(repository=repository)

    assert said in str(problem.value)
    assert "mason.config.json" in str(problem.value)
    assert "secret-value" not in str(problem.value)
    assert "\n" not in str(problem.value)


def test_config_file__is_a_directory_or_not_text(repository: Path) -> None:
    path = repository / "mason.config.json"
    path.mkdir()
    with pytest.raises(UsageError, match=r"mason\.config\.json cannot be read"):
        read_settings(repository=repository)
    path.rmdir()
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not valid JSON in UTF-8"):
        read_settings(repository=repository)


def test_supabase__order_of_origins(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_URL", "https://plain.supabase.co")
    monkeypatch.setenv("SUPABASE_ANON_KEY", "plain-anon")
    assert project(read_settings(repository=repository)) == ("https://plain.supabase.co", "plain-anon")
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", "plain-service")
    assert project(read_settings(repository=repository))[1] == "plain-service"

    write(repository, {"supabaseUrl": URL, "supabaseAnonKey": KEY})
    assert project(read_settings(repository=repository)) == (URL, KEY)

    monkeypatch.setenv("MASON_SUPABASE_KEY", "from-environment")
    assert project(read_settings(repository=repository)) == (URL, "from-environment")

    monkeypatch.setenv("INPUT_SUPABASE-URL", "https://input.supabase.co")
    monkeypatch.setenv("INPUT_SUPABASE-KEY", "from-input")
    assert project(read_settings(repository=repository)) == ("https://input.supabase.co", "from-input")


def test_supabase__plain_names_count_only_together(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_URL", "https://plain.supabase.co")

    assert project(read_settings(repository=repository)) == (None, None)


def test_supabase__workflow_secret_never_goes_to_a_committed_address(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(repository, {"supabaseUrl": "https://elsewhere.example.com"})
    monkeypatch.setenv("INPUT_SUPABASE-KEY", KEY)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")

    with pytest.raises(UsageError, match="give the workflow the supabase-url too"):
        read_settings(repository=repository)


def test_dsn__wins_over_supabase(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(repository, "{ not even JSON")

    assert read_settings(dsn="postgresql://localhost/x", repository=repository).dsn is not None
    monkeypatch.setenv("MASON_DSN", "postgresql://localhost/y")
    assert read_settings(repository=repository).supabase_url is None


def test_settings__keys_are_redacted(repository: Path) -> None:
    write(repository, {"supabaseUrl": URL, "supabaseAnonKey": KEY})
    settings = read_settings(repository=repository)

    assert KEY not in repr(settings)
    assert Redactor(settings.secrets).text(f"apikey: {KEY}") == "apikey: ***"


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://x", "example.com", "https://", "https://a b", "https://[::1", "https://x:port", "//x"),
        *("https://user:hunter2@x.supabase.co", "https://x.supabase.co?apikey=1", "http://127.0.0.1.example.com"),
    ],
)
def test_url__refused_without_being_shown(url: str) -> None:
    with pytest.raises(UsageError) as problem:
        checked_url(url, "MASON_SUPABASE_URL")
    assert "MASON_SUPABASE_URL" in str(problem.value)
    assert "hunter2" not in str(problem.value)


def test_url__http_on_loopback() -> None:
    assert checked_url("http://127.0.0.1:3000/", "x") == "http://127.0.0.1:3000"
    assert checked_url("http://[::1]:3000/rest/v1", "x") == "http://[::1]:3000"
    assert is_loopback("localhost")
    assert not is_loopback("10.0.0.1")


@pytest.mark.parametrize(
    ("dsn", "password"),
    [
        ("postgresql://u:p%40ss@host/db", "p@ss"),
        ("postgresql://u:p%40ss@host/db", "p%40ss"),
        ("postgresql://u@host/db?sslmode=require&password=hunter22", "hunter22"),
        ("host=h password='with a space' user=u", "with a space"),
        ("host=h password=plain user=u", "plain"),
    ],
)
def test_secrets__a_password_wherever_the_dsn_has_it(dsn: str, password: str) -> None:
    assert password in Settings(dsn=SecretStr(dsn)).secrets


@pytest.mark.parametrize(
    "said", ["61000", "61000-", "a-b", "61511-61000", "0-10", "-1-5", "1-99999999999", "1-4294967295"]
)
def test_users__malformed(said: str) -> None:
    with pytest.raises(UsageError, match="MASON_USERS must be a range"):
        user_ids(Settings(users=said))


def test_users__only_root_has_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UsageError, match="only root"):
        user_ids(Settings(users="61000-61511"))


def test_users__a_range(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert user_ids(Settings(users=" 61000 - 61511 ")) == range(61000, 61512)
    assert user_ids(Settings(users="7-7")) == range(7, 8)
    monkeypatch.setenv("MASON_USERS", "")
    assert user_ids(Settings()) is None


def test_config_file__a_slip_of_a_name_is_told(tmp_path: Path) -> None:
    (tmp_path / "mason.config.json").write_text('{"supabaseURL": "https://a.supabase.co", "supabaseAnonKey": "k"}')
    with pytest.raises(UsageError, match="'supabaseURL', which means nothing"):
        read_config_file(tmp_path)
