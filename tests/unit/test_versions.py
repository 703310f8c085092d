"""Version enforcement: a local server publishes manifests, small programs stand for pip, pipx and uv."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from app import versions
from app.cli import main

NEWER = {"version": "7.1.0", "required_minimum": "7.0", "breaking_reason": "the schema\n changed"}
HERE = Path(__file__).parents[2]


@dataclass
class Publisher:
    """A server whose paths answer as they are told; ``asked`` are the paths that were asked for."""

    url: str
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    silence: threading.Event = field(default_factory=threading.Event)

    def publish(self, manifest: object, *, path: str = "/versions.json") -> str:
        body = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
        self.answers[path] = (200, {}, body)
        return self.url + path

    def redirect(self, path: str, to: str) -> str:
        self.answers[path] = (302, {"Location": to}, b"")
        return self.url + path


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            published.asked.append(self.path)
            if self.path == "/silence":
                published.silence.wait(30)
                return
            status, headers, body = published.answers.get(self.path, (404, {}, b"<html>"))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing on the terminal."""

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionError:
                """The reader had enough."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    published = Publisher(url=f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield published
    published.silence.set()
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass(frozen=True)
class Installed:
    """A virtual environment in which Mason 0.1.0 seems to be installed, with a log of every start and installer."""

    root: Path
    log: Path

    def mason(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.root / "bin" / "python", "-c", "from app.cli import main; main()", *arguments],
            env={
                "PATH": f"{self.root / 'programs'}:{os.environ['PATH']}",
                "HOME": str(self.root),
                "MASON_STATE_DIR": str(self.root / "state"),
                **environ,
            },
            cwd=self.root,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def logged(self, kind: str) -> list[Any]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line[kind] for line in lines if kind in line]


INSTALLER = """#!{python} -I
import json, os, pathlib, sys
log, metadata = pathlib.Path({log!r}), pathlib.Path({metadata!r})
with log.open("a") as stream:
    print(json.dumps({{"installer": [pathlib.Path(sys.argv[0]).name, *sys.argv[1:]]}}), file=stream)
    print(json.dumps({{"saw": sorted(os.environ)}}), file=stream)
if {becomes!r}:
    metadata.write_text(metadata.read_text().replace("Version: 0.1.0", "Version: " + {becomes!r}))
print("https://name:hunter2@example.org said: enough")
sys.exit({code})
"""


def install(
    root: Path,
    *,
    installer: str = "pip",
    direct_url: object = None,
    marker: str | None = None,
    becomes: str = "7.1.0",
    code: int = 0,
) -> Installed:
    packages = root / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    about, log = packages / "mason_bot-0.1.0.dist-info", root / "log"
    for directory in (about, packages / "pip", root / "bin", root / "programs"):
        directory.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: mason-bot\nVersion: 0.1.0\n")
    (about / "INSTALLER").write_text(installer + "\n")
    if direct_url:
        (about / "direct_url.json").write_text(json.dumps(direct_url))
    if marker:
        (root / marker).touch()
    ours = str(distribution("pytest").locate_file(""))
    (packages / "paths.pth").write_text(f"{HERE}\n{ours}\n")
    (packages / "sitecustomize.py").write_text(
        f"import json, sys\nprint(json.dumps({{'start': sys.orig_argv}}), file=open({str(log)!r}, 'a'))\n"
    )
    (root / "pyvenv.cfg").write_text(f"home = {Path(sys.base_prefix) / 'bin'}\n")
    python = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    (root / "bin" / "python").symlink_to(python)
    program = INSTALLER.format(
        python=python, log=str(log), metadata=str(about / "METADATA"), becomes=becomes, code=code
    )
    (packages / "pip" / "__init__.py").touch()
    (packages / "pip" / "__main__.py").write_text(program)
    for name in ("pipx", "uv"):
        (root / "programs" / name).write_text(program)
        (root / "programs" / name).chmod(0o755)
    return Installed(root=root, log=log)


RUN = ("run", "--dsn", "not a connection string", "--limit", "3")
GIT = {"url": "https://example.org/mason.git", "vcs_info": {"vcs": "git", "commit_id": "0" * 40}}


@pytest.mark.parametrize(
    ("how", "command"),
    [
        ({}, ["__main__.py", "install", "--upgrade", "mason-bot>=7.1.0"]),
        ({"direct_url": GIT}, ["__main__.py", "install", "--upgrade", f"mason-bot @ git+{GIT['url']}@v7.1.0"]),
        ({"marker": "pipx_metadata.json"}, ["pipx", "upgrade", "venv"]),
        ({"marker": "uv-receipt.toml", "installer": "uv"}, ["uv", "tool", "upgrade", "venv"]),
        (
            {"installer": "uv"},
            ["uv", "pip", "install", "--python", "PYTHON", "--upgrade", "mason-bot>=7.1.0"],
        ),
    ],
)
def test_run__outdated_updates_itself_and_starts_again_once(
    tmp_path: Path, publisher: Publisher, how: dict[str, Any], command: list[str]
) -> None:
    mason = install(tmp_path / "venv", **how)
    python = str(mason.root / "bin" / "python")

    done = mason.mason(
        *RUN, MASON_VERSION_URL=publisher.publish(NEWER), MASON_SUPABASE_KEY="hunter2", PIP_INDEX_URL="https://x"
    )

    assert "Mason 0.1.0 is older than 7.0, the oldest that may still run (the schema changed)" in done.stderr
    assert mason.logged("installer") == [[python if word == "PYTHON" else word for word in command]]
    runs = [start for start in mason.logged("start") if start[1:2] == ["-c"]]
    assert [start[1:] for start in runs] == 2 * [["-c", "from app.cli import main; main()", *RUN]]
    assert done.stderr.endswith("mason: The database's connection string cannot be read.\n")
    assert done.returncode == 2
    seen = mason.logged("saw")[0]
    assert "PIP_INDEX_URL" in seen
    assert "MASON_SUPABASE_KEY" not in seen


def test_run__an_update_in_vain_is_not_repeated(tmp_path: Path, publisher: Publisher) -> None:
    mason = install(tmp_path / "venv", marker="pipx_metadata.json", becomes="")

    done = mason.mason(*RUN, MASON_VERSION_URL=publisher.publish(NEWER))

    assert len(mason.logged("installer")) == 1
    assert done.returncode == 2
    assert "the update did not change that: run `pipx upgrade venv`." in done.stderr


def test_run__a_failing_installer_is_named(tmp_path: Path, publisher: Publisher) -> None:
    mason = install(tmp_path / "venv", marker="pipx_metadata.json", becomes="", code=1)

    done = mason.mason(*RUN, MASON_VERSION_URL=publisher.publish(NEWER))

    said = "mason: pipx could not update Mason (https://example.org said: enough): run `pipx upgrade venv`.\n"
    assert done.stderr.endswith(said)
    assert done.returncode == 2


def test_update__by_hand(tmp_path: Path, publisher: Publisher) -> None:
    mason = install(tmp_path / "venv", marker="pipx_metadata.json")

    assert mason.mason("update").stdout == "Mason 0.1.0 became 7.1.0.\n"
    url = publisher.publish(NEWER)
    assert mason.mason("update", MASON_VERSION_URL=url).stdout == "Mason 7.1.0 is up to date.\n"
    assert len(mason.logged("installer")) == 1


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"direct_url": {"url": "file:///src/mason", "dir_info": {"editable": True}}}, "from /src/mason; update that"),
        ({"installer": "conda"}, "installed by conda"),
        ({"direct_url": {"url": "https://example.org/m.whl", "archive_info": {}}}, "from https://example.org/m.whl"),
    ],
)
def test_update__what_cannot_be_updated_says_so(tmp_path: Path, how: dict[str, Any], said: str) -> None:
    mason = install(tmp_path / "venv", **how)

    done = mason.mason("update")

    assert done.returncode == 2
    assert said in done.stderr
    assert mason.logged("installer") == []


def run_mason(monkeypatch: pytest.MonkeyPatch, url: str, **environ: str) -> Result:
    """`mason run` in this process; it ends at its connection string unless the version stops it."""
    monkeypatch.setenv("MASON_VERSION_URL", url)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return CliRunner().invoke(main, [*RUN])


def test_run__a_container_fails_with_the_line_to_pin(monkeypatch: pytest.MonkeyPatch, publisher: Publisher) -> None:
    url = publisher.publish(NEWER)

    result = run_mason(monkeypatch, url, MASON_CONTAINER="1", GITHUB_ACTION_REPOSITORY="someone/mason")

    assert result.exit_code == 2
    assert "pin the Action with `uses: someone/mason@action/v7.1.0`." in result.stderr


@pytest.mark.parametrize(
    "body",
    [
        b"<html>sign in</html>",
        b"[]",
        b"{}",
        b"null",
        b"[" * 60_000,
        b"x" * 5_000_000,
        b"\xff\xfe",
        json.dumps({"version": 9, "required_minimum": 9}).encode(),
        json.dumps({"version": "9", "required_minimum": "9; rm -rf /"}).encode(),
        json.dumps({"version": "1", "required_minimum": "9"}).encode(),
        json.dumps({"version": "9" * 4000, "required_minimum": "9" * 4000}).encode(),
        json.dumps({"version": "٣", "required_minimum": ["9"]}).encode(),
    ],
)
def test_run__what_is_no_manifest_is_ignored_with_a_note(
    monkeypatch: pytest.MonkeyPatch, publisher: Publisher, caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    result = run_mason(monkeypatch, publisher.publish(body))

    assert "connection string" in result.stderr
    assert [record.message for record in caplog.records if "version manifest was not read" in record.message]


def test_run__an_unreachable_manifest_never_blocks(
    monkeypatch: pytest.MonkeyPatch, publisher: Publisher, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = "http://example.com/versions.json"
    urls = [
        publisher.url + "/nothing-there",
        publisher.redirect("/away", elsewhere),
        publisher.redirect("/file", "file:///etc/passwd"),
        publisher.redirect("/round", "/round"),
        elsewhere,
        "https://127.0.0.1:1/versions.json",
        "not a url",
        "http://[::1",
        "file:///etc/passwd",
    ]
    for url in urls:
        assert "connection string" in run_mason(monkeypatch, url).stderr
    assert len([record for record in caplog.records if "version manifest was not read" in record.message]) == len(urls)


def test_run__a_silent_server_has_its_time_limit(
    monkeypatch: pytest.MonkeyPatch, publisher: Publisher, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(versions, "TIME_LIMIT", 0.1)

    assert "connection string" in run_mason(monkeypatch, publisher.url + "/silence").stderr
    assert any("version manifest was not read" in record.message for record in caplog.records)


def test_run__redirects_are_followed_and_nothing_is_asked_without_a_url(
    monkeypatch: pytest.MonkeyPatch, publisher: Publisher, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    publisher.publish({"version": "0.1.0", "required_minimum": "0.1"})

    assert "connection string" in run_mason(monkeypatch, publisher.redirect("/moved", "/versions.json")).stderr
    assert publisher.asked == ["/moved", "/versions.json"]
    assert "connection string" in run_mason(monkeypatch, "").stderr
    assert len(publisher.asked) == 2
    assert not caplog.records


def test_versions__compare_by_number() -> None:
    assert versions.older("0.9", "0.10")
    assert not versions.older("1.0.0", "1")
    assert versions.older("0.1.0.dev3", "0.1.1")


def test_versions__our_own_manifest_is_one() -> None:
    manifest = versions.parse((files("app") / "versions.json").read_bytes())

    assert manifest.version == versions.current()
