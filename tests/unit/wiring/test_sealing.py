"""The master secret: the environment's, else a file's; what is made of it."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from app.errors import UsageError
from app.settings import Settings
from app.wiring.app_place import runner_environment
from app.wiring.sealing import KEY_FILE, key_of_file, master_keys

FIRST, SECOND = "first master secret with blanks in it", "second " * 6


def settings(text: str | None) -> Settings:
    return Settings(encryption_key=SecretStr(text) if text is not None else None)


def test_master__the_environments_first_one_seals_and_signs(tmp_path: Path) -> None:
    both = master_keys(settings(f"{FIRST}, {SECOND}"), tmp_path)
    one = master_keys(settings(FIRST), tmp_path)
    assert both.sealing[0] == one.sealing[0] and both.signing[0] == one.signing[0]
    assert len(both.sealing) == len(both.signing) == 2
    assert len({*both.sealing, *both.signing}) == 4
    Fernet(both.sealing[1])
    assert not (tmp_path / KEY_FILE).exists()


@pytest.mark.parametrize("text", ["short", f"{FIRST},short"])
def test_master__one_that_can_be_guessed_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="MASON_ENCRYPTION_KEY"):
        master_keys(settings(text), tmp_path)


def test_master__is_among_the_secrets() -> None:
    assert {FIRST, SECOND.strip()} <= set(settings(f"{FIRST},{SECOND}").secrets)


def test_master__no_runner_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASON_ENCRYPTION_KEY", FIRST)
    assert "MASON_ENCRYPTION_KEY" not in runner_environment(settings(FIRST))


def test_file__is_made_once_for_the_owner_alone(tmp_path: Path) -> None:
    state = tmp_path / "state"
    keys = master_keys(settings(None), state)
    assert master_keys(settings(None), state) == keys
    assert stat.S_IMODE((state / KEY_FILE).stat().st_mode) == 0o600
    assert [path.name for path in state.iterdir()] == [KEY_FILE]
    assert keys.masters[0] not in repr(keys)


def test_file__of_twenty_at_once_all_read_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(20) as pool:
        found = set(pool.map(lambda _: key_of_file(tmp_path / KEY_FILE), range(20)))
    assert len(found) == 1
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]


@pytest.mark.parametrize("content", [b"", b"short\n", b"\xff" * 64])
def test_file__that_is_no_secret_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / KEY_FILE).write_bytes(content)
    with pytest.raises(UsageError, match=KEY_FILE):
        key_of_file(tmp_path / KEY_FILE)


def test_file__a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("x" * 40)
    (tmp_path / KEY_FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError):
        key_of_file(tmp_path / KEY_FILE)
