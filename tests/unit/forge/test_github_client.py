"""The one door to GitHub's API, against a server that answers by script."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import BaseModel

from app.errors import ForgeRefused, ForgeUnreachable, MasonError, MissingPermission, UsageError
from app.forge.github.client import Client
from app.forge.github.refusals import Refusal
from app.forge.github.tokens import Grant, PlainToken, RenewedTokens
from tests.unit.forge.github_kit import Clock, pace


class Thing(BaseModel):
    name: str


@dataclass
class Answer:
    """``cut``: promise the whole body, send half of it. ``hang``: send nothing, hold the connection."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    hang: bool = False


@dataclass
class Seen:
    verb: str
    path: str
    token: str
    body: Any


class Server:
    def __init__(self) -> None:
        self.script: list[Answer] = []
        self.seen: list[Seen] = []
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        self.closing = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one packet an answer

            def log_message(self, *_: object) -> None:
                pass

            def do(self) -> None:
                server.handle(self)

            do_GET = do_POST = do_PATCH = do  # noqa: N815

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}/api/v3"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        sent = request.rfile.read(int(request.headers.get("content-length", 0)))
        body = json.loads(sent) if sent else None
        token = request.headers["authorization"].removeprefix("Bearer ")
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self.seen.append(Seen(request.command, request.path, token, body))
            answer = self.script.pop(0) if self.script else Answer(body={"name": (body or {}).get("name", "x")})
        try:
            self._send(request, answer)
        finally:
            with self._lock:
                self._at_once -= 1

    def _send(self, request: BaseHTTPRequestHandler, answer: Answer) -> None:
        if answer.hang:
            self.closing.wait(10)
            request.close_connection = True
            return
        data = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        request.send_response(answer.status)
        for name, value in (answer.headers | {"content-length": str(len(data))}).items():
            request.send_header(name, value)
        request.end_headers()
        if answer.cut:
            request.wfile.write(data[: len(data) // 2])
            request.wfile.flush()
            request.connection.shutdown(socket.SHUT_RDWR)
            request.close_connection = True
            return
        request.wfile.write(data)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.closing.set()
    server.http.shutdown()
    server.http.server_close()


def client(server: Server, clock: Clock | None = None, **more: Any) -> Client:
    tokens = PlainToken("ghp_secret", lambda _: None)
    options = {"pace": pace(clock or Clock()), "writes_per_minute": 72, "timeout": 1} | more
    return Client(server.url, tokens, **options)


def test_call__sends_the_token_and_parses(server: Server) -> None:
    one = client(server)
    assert one.call("POST", "/things", Thing, doing="make a thing", body={"name": "n"}) == Thing(name="n")
    assert (server.seen[0].verb, server.seen[0].path, server.seen[0].token) == ("POST", "/api/v3/things", "ghp_secret")
    assert one.calls == {"POST": 1}


LOSSES = [
    Answer(cut=True, body={"name": "n" * 500}),
    Answer(500),
    Answer(502, b"<html>"),
    Answer(200, b'{"name": "'),
    Answer(hang=True),
]


@pytest.mark.parametrize("loss", LOSSES, ids=["cut", "500", "502", "half JSON", "timeout"])
def test_call__repeats_what_was_lost(server: Server, loss: Answer) -> None:
    clock = Clock()
    server.script = [loss, loss]
    assert client(server, clock).call("GET", "/things", Thing, doing="read") == Thing(name="x")
    assert clock.slept == [0.5, 1.0]


@pytest.mark.parametrize("loss", LOSSES, ids=["cut", "500", "502", "half JSON", "timeout"])
@pytest.mark.parametrize("made", [True, False])
def test_call__a_create_looks_before_it_repeats(server: Server, loss: Answer, made: bool) -> None:
    looked: list[int] = []

    def found() -> Thing | None:
        looked.append(len(server.seen))
        return Thing(name="there") if made else None

    server.script = [loss]
    made_one = client(server).call("POST", "/things", Thing, doing="make", body={"name": "n"}, found=found)
    assert made_one == Thing(name="there" if made else "n")
    assert looked == [1]
    assert len(server.seen) == (1 if made else 2)


def test_call__a_limit_is_waited_for_as_long_as_it_says(server: Server) -> None:
    clock = Clock()
    server.script = [Answer(403, {"message": "You have exceeded a secondary rate limit"}, {"retry-after": "37"})]
    client(server, clock).call("POST", "/things", Thing, doing="make", body={"name": "n"}, found=lambda: None)
    assert clock.slept == [37.0]


def test_call__a_limit_holds_up_everybody(server: Server) -> None:
    clock = Clock()
    one = client(server, clock, pace=pace(clock, patience=20))
    server.script = [Answer(429, {}, {"retry-after": "37"})]
    with pytest.raises(ForgeUnreachable, match="asks to wait until"):
        one.call("GET", "/things", Thing, doing="read")
    with pytest.raises(ForgeUnreachable, match="asks to wait until"):
        one.call("GET", "/things", Thing, doing="read")
    assert len(server.seen) == 1
    clock.now += 37
    one.call("GET", "/things", Thing, doing="read")


def test_call__refused_connection_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    one = Client(url, PlainToken("ghp_secret", lambda _: None), pace=pace(Clock()), writes_per_minute=72)
    with pytest.raises(ForgeUnreachable, match="did not answer as it should for 600 seconds: no answer") as raised:
        one.call("GET", "/things", Thing, doing="read")
    assert "ghp_secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("answer", "error", "sentence"),
    [
        (Answer(401, {"message": "Bad credentials"}), MissingPermission, "GitHub refused the token"),
        (
            Answer(
                403,
                {"message": "Resource not accessible by integration"},
                {"X-Accepted-GitHub-Permissions": "pull_requests=write; contents=read"},
            ),
            MissingPermission,
            "pull-requests: write or contents: read; grant it in the workflow's `permissions:`",
        ),
        (
            Answer(403, {"message": "Resource not accessible by personal access token"}),
            MissingPermission,
            "lacks the permission checks: write",
        ),
        (Answer(403, {"message": "Repository was archived so is read-only."}), Refusal, "is archived"),
        (Answer(404, {"message": "Not Found"}), Refusal, r"Not Found \(404\)"),
        (Answer(410, b""), Refusal, r"without a reason \(410\)"),
        (
            Answer(422, {"message": "Validation Failed", "errors": [{"message": "no\x1b[2J\ncommits"}, "x", 7, None]}),
            Refusal,
            r"refused to make: Validation Failed; no.\[2J commits; x \(422\)",
        ),
        (
            Answer(422, {"message": "m" * 9999, "errors": {"field": "base"}}),
            Refusal,
            r"m{200,299}… \(422\)",
        ),
        (Answer(307, {"url": "https://elsewhere.example"}), Refusal, "was the repository renamed"),
        (Answer(301, b"", {"location": "http://elsewhere.example/x"}), ForgeRefused, "another server"),
        (Answer(200, {}, {"x-ratelimit-remaining": "many", "x-ratelimit-limit": "inf"}), ForgeRefused, "another shape"),
        (Answer(200, [1, 2]), ForgeRefused, "another shape"),
        (Answer(200, {"name": None}), ForgeRefused, r"another shape .*\(name\)"),
        (Answer(200, b""), ForgeRefused, "another shape"),
    ],
)
def test_call__errors_are_sentences(server: Server, answer: Answer, error: type[MasonError], sentence: str) -> None:
    server.script = [answer]
    with pytest.raises(error, match=sentence) as raised:
        client(server).call("POST", "/things", Thing, doing="make", body={}, needs="checks: write")
    assert len(server.seen) == 1
    assert "\n" not in str(raised.value) and "ghp_secret" not in str(raised.value)


def test_call__half_an_answer_for_ever(server: Server) -> None:
    clock = Clock()
    server.script = [Answer(200, b"<html>Sign in</html>")] * 100
    with pytest.raises(ForgeUnreachable, match="half an answer when Mason tried to read"):
        client(server, clock).call("GET", "/things", Thing, doing="read")


def test_call__writes_keep_to_the_limit(server: Server) -> None:
    clock = Clock()
    one = client(server, clock, writes_per_minute=5)
    at = []
    for _ in range(14):
        one.call("POST", "/things", Thing, doing="make", body={"name": "n"})
        at.append(clock.now)
        one.call("GET", "/things", Thing, doing="read")
    assert all(after - before >= 60 for before, after in zip(at, at[5:], strict=False))
    assert not one.roomy


def test_call__sixteen_threads_never_mix_their_requests(server: Server) -> None:
    """PyGithub's connection holds the request it is about to send: without the lock, names would be swapped."""
    clock = Clock()
    one = client(server, clock, writes_per_minute=10_000)
    wrong: list[str] = []

    def work(number: int) -> None:
        for turn in range(20):
            name = f"{number}-{turn}"
            answer = one.call("POST", f"/things/{name}", Thing, doing="make", body={"name": name})
            if answer.name != name:
                wrong.append(name)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert {seen.path.removeprefix("/api/v3/things/") for seen in server.seen} == {
        f"{number}-{turn}" for number in range(16) for turn in range(20)
    }
    assert all(seen.path.endswith("/" + seen.body["name"]) for seen in server.seen)
    assert server.most_at_once == 1


def test_call__a_new_token_is_used_at_once(server: Server) -> None:
    numbers = iter(range(100))

    class Fresh:
        def token(self) -> str:
            return f"ghs_{next(numbers)}"

        def forget(self, _: str, /) -> bool:
            return False

    one = Client(server.url, Fresh(), pace=pace(Clock()), writes_per_minute=72)
    for _ in range(3):
        one.call("GET", "/things", Thing, doing="read")
    assert len({seen.token for seen in server.seen}) == 3


class Granted(RenewedTokens):
    """Each one that is fetched is another."""

    fetched = 0

    def fetch(self) -> Grant:
        self.fetched += 1
        return Grant(token=f"ghs_{self.fetched}", ends=2_000_000.0)


@pytest.mark.parametrize("once", [False, True])
def test_call__a_token_that_is_revoked_early_is_replaced_once(server: Server, once: bool) -> None:
    one = Client(server.url, Granted(lambda _: None, pace(Clock())), pace=pace(Clock()))
    server.script = [Answer(401, {"message": "Bad credentials"}), Answer(200, {"name": "made"})]
    assert one.call("POST", "/things", Thing, doing="make", body={}, once=once).name == "made"
    assert [seen.token for seen in server.seen] == ["ghs_1", "ghs_2"]
    server.script = [Answer(401, {"message": "Bad credentials"})] * 2
    with pytest.raises(MissingPermission, match="refused the token"):
        one.call("POST", "/things", Thing, doing="make", body={}, once=once)
    assert [seen.token for seen in server.seen][2:] == ["ghs_2", "ghs_3"]


@pytest.mark.parametrize(
    "url",
    ["http://api.example", "ftp://127.0.0.1", "https://", "https://u:p@api.example", "https://api.example/?q", ""],
)
def test_client__bad_addresses(url: str) -> None:
    with pytest.raises(UsageError, match="address of GitHub's API"):
        Client(url, PlainToken("t", lambda _: None), pace=pace(Clock()), writes_per_minute=72)
