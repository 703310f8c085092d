"""The pages of a change, in a real Chromium."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from app.domain.policy import FrontendPolicy
from app.domain.results import CheckKind, CheckResult, CheckStatus
from app.gate.checks import Gate
from app.gate.pages import SCREENSHOTS, pages_check
from app.gate.steps import Toolchain
from app.process import Stop
from app.workspace.images import keep_images

pytestmark = pytest.mark.peer

GOOD = "<html><body><h1>Good</h1></body></html>"
NOISY = "<html><body><script>console.error('boom'); null.x</script></body></html>"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def opened(tmp_path: Path, serve: str, *pages: str, port: int, wait: float = 60) -> CheckResult:
    tree = tmp_path / "tree"
    tree.mkdir(exist_ok=True)
    (tree / "index.html").write_text(GOOD)
    (tree / "noisy.html").write_text(NOISY)
    policy = FrontendPolicy(serve=serve, url=f"http://127.0.0.1:{port}", pages=pages or ("/",), wait=wait)
    toolchain = Toolchain(name="pages", install=None, checks=(pages_check(policy),))
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    gate = Gate(toolchain, environ, 4, tmp_path / "scratch", tmp_path / "installs")
    return gate.run(tree, [CheckKind.FRONTEND], Stop())[0]


def server(port: int) -> str:
    return f"{sys.executable} -m http.server {port} --bind 127.0.0.1"


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_pages__without_an_error_pass_and_leave_pictures(tmp_path: Path) -> None:
    port = free_port()
    result = opened(tmp_path, server(port), "/", "/index.html", port=port)
    assert result.status is CheckStatus.PASS, result.output
    assert len(keep_images(tmp_path / "tree" / SCREENSHOTS, tmp_path / "kept")) == 2
    assert not listens(port), "the dev server outlived its check"


def test_pages__console_errors_and_missing_pages_fail(tmp_path: Path) -> None:
    port = free_port()
    result = opened(tmp_path, server(port), "/", "/noisy.html", "/none", port=port)
    assert result.status is CheckStatus.FAIL
    lines = result.output.splitlines()
    assert "/noisy.html: console: boom" in lines
    assert any(line.startswith("/noisy.html: uncaught: ") for line in lines)
    assert "/none: answered with 404" in lines
    assert not any(line.startswith("/: ") for line in lines)


def test_pages__a_server_that_ends_or_never_answers_fails(tmp_path: Path) -> None:
    port = free_port()
    ended = opened(tmp_path, "echo no such module; exit 3", port=port)
    assert ended.status is CheckStatus.FAIL
    assert "ended with exit code 3" in ended.output
    assert "no such module" in ended.output
    silent = opened(tmp_path, "sleep 60", port=port, wait=0.5)
    assert "did not answer" in silent.output


def test_pages__somebody_else_on_the_port_is_not_the_change(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        result = opened(tmp_path, "true", port=int(other.getsockname()[1]), wait=1)
    assert result.status is CheckStatus.FAIL
    assert "something else answers there" in result.output
