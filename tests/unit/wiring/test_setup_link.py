"""The link that starts a setup: printed while it is open, the same in every process, of no use elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.domain.setup import RECORD, SetupRecord, as_text
from app.errors import BadRepository, UsageError
from app.process import Stop
from app.serving.serve import Serving, local_url, serve
from app.settings import Settings
from app.wiring import setting_up
from app.wiring.stored_settings import Served, served_databases

MASTER = "a master secret of the tests which is long enough"


@contextmanager
def opened(app: str, backlog: str, state: Path, **more: object) -> Iterator[Served]:
    given = {"database_url": SecretStr(app), "dsn": SecretStr(backlog), "encryption_key": SecretStr(MASTER)}
    with served_databases(Settings(**{**given, **more}), state) as served:
        yield served


def note(served: Served, record: SetupRecord) -> None:
    with closing(served.sealed()) as sealed:
        sealed.put(RECORD, as_text(record))


def test_link__is_the_same_in_every_process_while_the_setup_is_open(
    empty_database: str, database: str, tmp_path: Path
) -> None:
    with opened(empty_database, database, tmp_path) as served, opened(empty_database, database, tmp_path) as other:
        link = setting_up.link(served)
        assert link.startswith("/setup?token=") and len(link) > 50
        assert setting_up.link(other) == link
        note(served, SetupRecord(nonce="x"))
        assert setting_up.link(other) == link
        note(served, SetupRecord(finished=True))
        assert setting_up.link(other) == ""
        note(served, SetupRecord(number=2))
        assert setting_up.link(other) not in ("", link)


def test_link__another_master_secret_makes_another(empty_database: str, database: str, tmp_path: Path) -> None:
    with opened(empty_database, database, tmp_path) as served:
        link = setting_up.link(served)
    both = SecretStr(f"{MASTER} and newer,{MASTER}")
    with opened(empty_database, database, tmp_path, encryption_key=both) as served:
        assert setting_up.link(served) not in ("", link)


def test_link__there_is_none_where_the_environment_names_github(
    empty_database: str, database: str, tmp_path: Path
) -> None:
    more = {"github_token": SecretStr("ghp_x"), "github_webhook_secret": SecretStr("own")}
    with opened(empty_database, database, tmp_path, **more) as served:
        assert setting_up.link(served) == ""
        note(served, SetupRecord(number=2))
        assert setting_up.link(served)


def test_serve__without_a_repository_is_refused_once_the_setup_is_closed(
    empty_database: str, database: str, tmp_path: Path
) -> None:
    (tmp_path / "nothing").mkdir()
    with opened(empty_database, database, tmp_path) as served:
        note(served, SetupRecord(finished=True))
        with pytest.raises(BadRepository):
            serve(served.given, Serving(repository=tmp_path / "nothing", port=0), Stop(), pytest.fail)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::1", "http://[::1]:8000"),
        ("::", "http://[::1]:8000"),
        ("mason.example.com", "http://mason.example.com:8000"),
    ],
)
def test_link__begins_with_an_address_that_can_be_opened(host: str, url: str) -> None:
    assert local_url(Serving(repository=Path("/"), host=host)) == url


def test_environment__a_master_secret_that_is_not_the_databases_is_refused(
    empty_database: str, database: str, tmp_path: Path
) -> None:
    with opened(empty_database, database, tmp_path):
        pass
    with (
        pytest.raises(UsageError, match="MASON_ENCRYPTION_KEY"),
        opened(empty_database, database, tmp_path, encryption_key=SecretStr("another " * 8)),
    ):
        pass
