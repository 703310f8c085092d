"""The ingress' benchmarks: ``python -m tests.benchmarks.webhooks [NAME …] [--json]``, a table as engine's.

They need npm (probot and @octokit/webhooks are installed from `webhook_peers/`) and wrk. All servers run one after the
other on this machine, under the same load: 16 connections, a payload of 12 KB with a valid signature, `SECONDS` each.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psycopg
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from psycopg.conninfo import make_conninfo

from app.backlog.embedded import EmbeddedPostgres
from app.database import schema
from tests.benchmarks import engine
from tests.benchmarks.bench import Row
from tests.conftest import open_directory
from tests.peers.kit import install_packages
from tests.peers.supabase import free_port

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SECRET = "the-secret-of-the-benchmark"
PATH = "/webhooks/github"
CONNECTIONS, SECONDS, WARM_UP, ROUNDS = 16, 6, 2, 3
WORKERS, THREADS = "2", "8"
SIZE = 12 * 1024

_LUA = """
local file = io.open(os.getenv("BENCHMARK_BODY"), "rb")
local body = file:read("*a")
file:close()
local number, thread = 0, 0
local threads = {}
function setup(one) thread = thread + 1; one:set("id", thread); table.insert(threads, one) end
function init() bad = 0 end
function request()
  number = number + 1
  wrk.headers["X-GitHub-Delivery"] = string.format("%s-%d-%d", os.getenv("BENCHMARK_NAME"), id, number)
  return wrk.format("POST", nil, wrk.headers, body)
end
function response(status) if status ~= tonumber(os.getenv("BENCHMARK_STATUS")) then bad = bad + 1 end end
function done(summary, latency)
  local wrong = 0
  for _, one in ipairs(threads) do wrong = wrong + one:get("bad") end
  local e = summary.errors
  print(string.format('JSON {"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "bad": %d}', summary.requests,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    wrong + e.connect + e.read + e.write + e.timeout))
end
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What wrk saw: requests a second, and milliseconds."""

    rate: float
    p50: float
    p99: float
    requests: int


def payload(**more: object) -> bytes:
    """A delivery of `SIZE` bytes, made of what GitHub's are made of: objects full of addresses."""
    person = {"id": 7, "login": "ada", "type": "User"}
    address = "https://api.example.com/repos/octo/app/"
    places = {f"{name}_url": f"{address}{name}{{/number}}" for name in map("part{}".format, range(110))}
    repository = {"id": 3, "full_name": "octo/app", "default_branch": "main", "private": True, **places}
    whole = {**more, "repository": repository, "sender": person, "padding": ""}
    return json.dumps({**whole, "padding": "x" * max(0, SIZE - len(json.dumps(whole)))}).encode()


IRRELEVANT = ("star", payload(action="created", starred_at="2026-01-01T00:00:00Z"))
PRESSED = (
    "check_run",
    payload(action="rerequested", check_run={"external_id": f"mason:{'1' * 8}-{'1111-' * 3}{'1' * 12}:-:5"}),
)


def wrk(root: Path, port: int, event: str, body: bytes, *, status: int, seconds: int, name: str) -> Load:
    """Load on one server. Each delivery has an id of its own, so that none is a redelivery of another."""
    (root / "body").write_bytes(body)
    (root / "load.lua").write_text(_LUA)
    signature = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "X-GitHub-Event": event, "X-Hub-Signature-256": signature}
    words = ["wrk", "-t2", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s", "-s", str(root / "load.lua")]
    for header, value in headers.items():
        words += ["-H", f"{header}: {value}"]
    environ = {
        "PATH": os.environ["PATH"],
        "BENCHMARK_BODY": str(root / "body"),
        "BENCHMARK_STATUS": str(status),
        "BENCHMARK_NAME": name,
    }
    done = subprocess.run(
        [*words, f"http://127.0.0.1:{port}{PATH}"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    found = [line for line in done.stdout.splitlines() if line.startswith("JSON ")]
    if not found:
        raise SystemExit(f"wrk: {done.stdout}{done.stderr}")
    seen = json.loads(found[0].removeprefix("JSON "))
    if seen["bad"]:
        raise SystemExit(f"{name}: {seen['bad']} of {seen['requests']} answers were not {status}")
    return Load(rate=seen["requests"] / seen["seconds"], p50=seen["p50"], p99=seen["p99"], requests=seen["requests"])


@contextmanager
def served(words: Sequence[str], port: int, log: Path, **environ: str) -> Iterator[None]:
    """A server as a process of its own, once its port is open; ended with it."""
    with log.open("ab") as output:
        child = subprocess.Popen(
            words, cwd=ROOT, env={"PATH": os.environ["PATH"], **environ}, stdout=output, stderr=output
        )
    try:
        deadline = time.monotonic() + 30
        while not _is_open(port):
            if child.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{words[0]} did not start:\n{log.read_text()[-3000:]}")
            time.sleep(0.05)
        yield
    finally:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(15)
        child.kill()
        child.wait()


def _is_open(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def mason(root: Path, dsn: str) -> Iterator[int]:
    """Its port. A fresh directory for the metrics, as `mason web` has."""
    port, metrics = free_port(), root / f"metrics{time.monotonic_ns()}"
    metrics.mkdir()
    words = [sys.executable, "-m", "tests.benchmarks.webhook_server", str(port), dsn, SECRET, str(metrics)]
    with served([*words, WORKERS, THREADS], port, root / "mason.log"):
        yield port


@contextmanager
def peer(root: Path, kind: str) -> Iterator[int]:
    """Its port. probot writes a line for each request as it does by default."""
    port = free_port()
    words = ["node", str(root / "packages/server.mjs"), kind, str(port), SECRET, str(root / "key.pem")]
    with served(words, port, root / f"{kind}.log", NODE_ENV="production", LOG_LEVEL="info"):
        yield port


@contextmanager
def database(root: Path) -> Iterator[str]:
    """The DSN of an app database."""
    with EmbeddedPostgres(root / "postgres", throwaway=False) as server:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute("create database app")
        dsn = make_conninfo(server.dsn, dbname="app")
        schema.prepare(dsn)
        yield dsn


def packages(root: Path) -> None:
    (root / "packages").mkdir()
    install_packages(root / "packages", HERE / "webhook_peers")
    (root / "packages/server.mjs").write_bytes((HERE / "webhook_peers/server.mjs").read_bytes())
    pem = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (root / "key.pem").write_bytes(pem)


def irrelevant() -> list[Row]:
    """An event that means nothing, in turns: Mason, probot, @octokit/webhooks, and again."""
    seen: dict[str, list[Load]] = {"Mason": [], "probot": [], "octokit": []}
    with ExitStack() as stack:
        root = stack.enter_context(open_directory())
        packages(root)
        dsn = stack.enter_context(database(root))
        servers: Mapping[str, tuple[int, int]] = {
            "Mason": (stack.enter_context(mason(root, dsn)), 204),
            "probot": (stack.enter_context(peer(root, "probot")), 200),
            "octokit": (stack.enter_context(peer(root, "octokit")), 200),
        }
        event, body = IRRELEVANT
        for seconds in (WARM_UP, *[SECONDS] * ROUNDS):
            for name, (port, status) in servers.items():
                load = wrk(root, port, event, body, status=status, seconds=seconds, name=f"{name}{seconds}")
                if seconds == SECONDS:
                    seen[name].append(load)
    rate = {name: median(load.rate for load in loads) for name, loads in seen.items()}
    p99 = {name: median(load.p99 for load in loads) for name, loads in seen.items()}
    rows = [
        Row(
            name=f"irrelevant, {name}",
            figure=rate[name],
            bar=None,
            unit="/s",
            about=f"p99 {p99[name]:.1f} ms; median of {ROUNDS} × {SECONDS} s",
        )
        for name in seen
    ]
    for other, bar in (("probot", 1.0), ("octokit", None)):
        about = "time a request; 1 ÷ this is Mason's rate as a multiple"
        rows.append(
            Row(name=f"irrelevant, {other} ÷ Mason", figure=rate[other] / rate["Mason"], bar=bar, unit="×", about=about)
        )
    return rows


def relevant() -> list[Row]:
    """A press of Re-run: a request and its job are stored before the 202. Each is another one."""
    with ExitStack() as stack:
        root = stack.enter_context(open_directory())
        dsn = stack.enter_context(database(root))
        port = stack.enter_context(mason(root, dsn))
        event, body = PRESSED
        loads = []
        for number in range(ROUNDS + 1):
            seconds = SECONDS if number else WARM_UP
            loads.append(wrk(root, port, event, body, status=202, seconds=seconds, name=f"round{number}"))
        with psycopg.connect(dsn) as connection:
            (stored,) = connection.execute("select count(*) from mason_app.requests").fetchone() or (0,)
        if stored < sum(load.requests for load in loads):
            raise SystemExit(f"{stored} requests are stored, and more were accepted")
    rate = median(load.rate for load in loads[1:])
    p99 = median(load.p99 for load in loads[1:])
    return [
        Row(
            name="relevant, seconds for 300",
            figure=300 / rate,
            bar=1.0,
            unit="s",
            about=f"{rate:.0f}/s; {stored} stored",
        ),
        Row(name="relevant, p99", figure=p99, bar=150, unit="ms", about=f"{CONNECTIONS} connections, {SIZE} bytes"),
    ]


BENCHMARKS: dict[str, Callable[[], list[Row]]] = {"irrelevant": irrelevant, "relevant": relevant}

if __name__ == "__main__":
    sys.exit(engine.main(benchmarks=BENCHMARKS, command="webhooks", description=__doc__))
