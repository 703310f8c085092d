"""Sources of GitHub tokens: given, exchanged at the web app."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from app.errors import ForgeRefused, ForgeUnreachable, MasonError, UsageError
from app.forge import github
from app.forge.github.app_tokens import AppTokens
from app.forge.github.exchanged_tokens import ExchangedTokens
from app.forge.github.limits import Pace
from app.forge.github.tokens import PlainToken
from app.forge.github.transport import AppJwts
from tests.unit.forge.github_kit import Clock, pace

APP = "https://mason.example"
OIDC = "https://actions.example/token?api-version=2.0"
IDENTITY = "eyJ.identity.jwt"


class WebApp:
    """Actions' identity service and Mason's web app; ``answers`` are given before the good ones."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.requests: list[httpx.Request] = []
        self.answers: list[httpx.Response | Exception] = []
        self.given = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if request.url.host == "actions.example":
            assert request.headers["authorization"] == "Bearer request-token"
            assert dict(request.url.params) == {"api-version": "2.0", "audience": APP}
            return httpx.Response(200, json={"count": 1, "value": IDENTITY})
        assert request.headers["authorization"] == f"Bearer {IDENTITY}"
        assert str(request.url) == f"{APP}/api/runs/run-1/token" and request.method == "POST"
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        self.given += 1
        ends = datetime.fromtimestamp(self.clock.now + 3600, UTC).isoformat().replace("+00:00", "Z")
        return httpx.Response(200, json={"token": f"ghs_number{self.given}", "expires_at": ends})


def exchanged(app: WebApp, learned: Callable[[str], None] = lambda _: None, patience: float = 600.0) -> ExchangedTokens:
    return ExchangedTokens(
        app_url=APP + "/",
        run_id="run-1",
        request_url=OIDC,
        request_token="request-token",
        learned=learned,
        pace=pace(app.clock, patience),
        http=httpx.Client(transport=httpx.MockTransport(app)),
    )


def test_exchanged__renews_five_minutes_early() -> None:
    app = WebApp(Clock())
    learned: list[str] = []
    tokens = exchanged(app, learned.append)
    assert tokens.token() == tokens.token() == "ghs_number1"
    app.clock.now += 3299
    assert tokens.token() == "ghs_number1"
    app.clock.now += 2
    assert tokens.token() == "ghs_number2"
    assert learned == ["request-token", IDENTITY, "ghs_number1", IDENTITY, "ghs_number2"]


@pytest.mark.parametrize(
    ("said", "page"),
    [
        (f"{APP}/runs/run-1?key=17.mac", f"{APP}/runs/run-1?key=17.mac"),
        ("https://elsewhere.example/runs/run-1?key=17.mac", ""),
        (f"{APP}/runs/run-1?key=17.mac)[x](javascript:", ""),
        (5, ""),
        (None, ""),
    ],
)
def test_exchanged__learns_where_its_run_is_shown(said: object, page: str) -> None:
    app = WebApp(Clock())
    tokens = exchanged(app)
    assert tokens.page == ""
    app.answers = [httpx.Response(200, json={"token": "ghs_x", "expires_at": "2030-01-01T00:00:00Z", "page": said})]
    assert tokens.token() == "ghs_x"
    assert tokens.page == page


def test_exchanged__threads_get_one_token() -> None:
    app = WebApp(Clock())
    tokens = exchanged(app)
    got: list[str] = []
    threads = [threading.Thread(target=lambda: got.append(tokens.token())) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == ["ghs_number1"] * 16


def test_exchanged__insists_on_what_may_pass() -> None:
    app = WebApp(Clock())
    app.answers = [
        httpx.ConnectError("refused"),
        httpx.Response(502),
        httpx.Response(429, headers={"retry-after": "7"}),
    ]
    assert exchanged(app).token() == "ghs_number1"
    assert app.clock.slept[2] == 7.0


def test_exchanged__gives_up() -> None:
    app = WebApp(Clock())
    app.answers = [httpx.ReadTimeout("slow") for _ in range(100)]
    with pytest.raises(ForgeUnreachable, match=r"Mason's web app did not answer as it should for 20 seconds"):
        exchanged(app, patience=20).token()


def test_exchanged__an_old_token_serves_until_it_ends() -> None:
    app = WebApp(Clock())
    tokens = exchanged(app, patience=20)
    assert tokens.token() == "ghs_number1"
    app.clock.now += 3400
    app.answers = [httpx.Response(503) for _ in range(100)]
    assert tokens.token() == "ghs_number1"
    app.clock.now += 3600
    with pytest.raises(ForgeUnreachable):
        tokens.token()


@pytest.mark.parametrize(
    ("answer", "error", "sentence"),
    [
        (httpx.Response(401), UsageError, "did not accept this job's identity"),
        (httpx.Response(403), UsageError, "install its GitHub App there"),
        (httpx.Response(404), UsageError, "does not know this run"),
        (httpx.Response(409), UsageError, "run has ended"),
        (httpx.Response(418), ForgeRefused, r"\(418\)"),
        (httpx.Response(302, headers={"location": "https://evil.example"}), ForgeRefused, r"\(302\)"),
        (httpx.Response(200, text="<html>"), ForgeRefused, "another shape"),
        (httpx.Response(200, json={"token": "ghs_secret\n", "expires_at": "x"}), ForgeRefused, "another shape"),
        (httpx.Response(200, json={"token": 7, "expires_at": "x"}), ForgeRefused, "another shape"),
        (httpx.Response(200, json={"token": "ghs_secret", "expires_at": "soon"}), ForgeRefused, "when it ends"),
    ],
)
def test_exchanged__refusals_are_sentences(answer: httpx.Response, error: type[MasonError], sentence: str) -> None:
    app = WebApp(Clock())
    app.answers = [answer]
    with pytest.raises(error, match=sentence) as raised:
        exchanged(app).token()
    assert "ghs_" not in str(raised.value) and IDENTITY not in str(raised.value)


@pytest.mark.parametrize(
    "change",
    [
        {"app_url": "http://mason.example"},
        {"app_url": "https://user:password@mason.example"},
        {"request_url": "http://actions.example/token?x=1"},
        {"request_url": ""},
        {"request_token": ""},
        {"request_token": "a\nb"},
        {"run_id": "../x"},
    ],
)
def test_exchanged__bad_parameters(change: dict[str, str]) -> None:
    good = {"app_url": APP, "request_url": OIDC, "request_token": "t", "run_id": "r"}
    with pytest.raises(UsageError):
        ExchangedTokens(**(good | change), learned=lambda _: None)


def test_tokens__never_show() -> None:
    app = WebApp(Clock())
    tokens = exchanged(app)
    tokens.token()
    assert "ghs_" not in repr(tokens) + repr(vars(tokens)["_grant"])
    assert "ghp_x" not in repr(PlainToken("ghp_x", lambda _: None))


@pytest.mark.parametrize("token", ["", " ", "ghp_a b", "ghp_\x00", "ghp_é"])
def test_plain__no_token(token: str) -> None:
    with pytest.raises(UsageError):
        PlainToken(token, lambda _: None)


def test_plain__is_learned_at_once() -> None:
    learned: list[str] = []
    assert PlainToken(" ghp_x\n", learned.append).token() == "ghp_x"
    assert learned == ["ghp_x"]


@pytest.mark.parametrize("key", ["", "no key", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----"])
def test_app__no_key(key: str) -> None:
    with pytest.raises(UsageError, match="not a PEM key"):
        AppJwts("1", key)
    with pytest.raises(UsageError):
        AppTokens("https://api.example", "ada/engine", "1", key, lambda _: None, pace=Pace())


def test_package__does_not_read_the_environment() -> None:
    package = Path(github.__file__).parent
    assert not [
        path.name for path in package.glob("*.py") if "environ[" in path.read_text() or "getenv" in path.read_text()
    ]
