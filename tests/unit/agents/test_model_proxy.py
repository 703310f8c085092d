"""The model proxy: the key stays here, streams pass through, every call is counted."""

from __future__ import annotations

import gzip
import json
import logging
import socket
import threading
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.agents.model_access import TroubleKind
from app.agents.model_apis import Provider
from app.agents.proxy import ModelProxy
from app.agents.proxy_relay import LARGEST_BODY
from app.agents.proxy_upstream import Upstream
from app.domain.policy import Price
from app.domain.results import Usage
from app.errors import UsageError
from tests.fakes.model_api import (
    Cut,
    ErrorInStream,
    Flood,
    Hang,
    Reason,
    Refusal,
    Tokens,
    ToolUse,
    Turn,
    in_order,
    script,
)
from tests.unit.agents.model_proxy_kit import (
    KEY,
    MODEL,
    RawUpstream,
    ask,
    chat,
    messages,
    opened,
    proxied,
    raw,
    responses,
    says,
    upstreams,
)

WORK = Turn(
    "I write.",
    ToolUse("T", {"a": 1}),
    tokens=Tokens(input=1000, output=100, cache_read=5000, cache_write=300, cache_write_1h=200),
)


@pytest.mark.parametrize(
    ("path", "body", "cost"),
    [
        ("/v1/messages", messages(), 0.0101),
        ("/v1/messages?beta=true", messages(stream=False), 0.0101),
        ("/v1/responses", responses(), (1500 * 1.25 + 5000 * 0.125 + 100 * 10) / 1e6),
        ("/v1/responses", responses(stream=False), (1500 * 1.25 + 5000 * 0.125 + 100 * 10) / 1e6),
        ("/v1/chat/completions", chat(), (1500 * 1.25 + 5000 * 0.125 + 100 * 10) / 1e6),
        ("/v1/chat/completions", chat(stream=False), (1500 * 1.25 + 5000 * 0.125 + 100 * 10) / 1e6),
    ],
)
def test_call__is_passed_on_with_the_real_key_and_counted(path: str, body: dict[str, Any], cost: float) -> None:
    with proxied(script(WORK)) as (api, proxy), opened(proxy) as access:
        answer = ask(access, body, path, headers={"Authorization": f"Bearer {access.token}", "Cookie": "a=b"})
        used = access.usage()
        totals, [served] = api.totals(KEY), api.served
    assert (answer.status_code, access.trouble) == (200, None)
    assert "I wr" in answer.text
    assert used == Usage(
        input_tokens=totals.input_tokens,
        output_tokens=totals.output_tokens,
        cost_usd=pytest.approx(cost),  # type: ignore[arg-type]
        turns=totals.turns,
        tool_calls=totals.tool_calls,
    )
    assert (used.input_tokens, used.output_tokens, used.turns, used.tool_calls) == (6500, 100, 1, 1)
    assert served.headers["accept-encoding"] == "identity"
    assert "cookie" not in served.headers
    assert access.token not in str(served.headers)


def test_usage__is_of_one_access_and_money_of_its_spender() -> None:
    spender = uuid4()
    with proxied(script(WORK)) as (_, proxy):
        with opened(proxy, spender=spender) as first:
            ask(first)
            ask(first)
        with opened(proxy, spender=spender) as second, opened(proxy) as other:
            ask(second)
            ask(other)
        assert [access.usage().turns for access in (first, second, other)] == [2, 1, 1]
        assert proxy.spent(spender) == pytest.approx(0.0303)
        assert proxy.spent() == pytest.approx(0.0404)


def test_token__of_nobody_or_of_a_closed_access_is_refused() -> None:
    with proxied(script(WORK)) as (api, proxy):
        with opened(proxy) as access:
            for token in ("", "x", KEY, access.token[:-1], access.token + "ä"):
                headers = {"x-api-key": token.encode(), "Authorization": b"Bearer"}
                with httpx.Client(trust_env=False) as client:
                    answer = client.post(f"{access.anthropic_url}/v1/messages", json=messages(), headers=headers)
                assert answer.status_code == 401
                assert answer.headers["x-should-retry"] == "false"
        assert ask(access).status_code == 401
        assert ask(access, chat(), "/v1/chat/completions").json()["error"]["type"] == "authentication_error"
        assert api.served == []


def test_stream__is_not_held_back() -> None:
    """The upstream sends the second half only once the client has read the first."""
    go = threading.Event()
    with proxied(script(Hang(WORK, until=go))) as (_, proxy), opened(proxy) as access:
        with httpx.Client(trust_env=False, timeout=20) as client:
            headers = {"x-api-key": access.token}
            with client.stream(
                "POST", f"{access.anthropic_url}/v1/messages", json=messages(), headers=headers
            ) as answer:
                lines = answer.iter_lines()
                assert next(lines) == "event: message_start"
                go.set()
                rest = list(lines)
        assert rest[-2].startswith("data:")
        assert '"message_stop"' in rest[-2]
        assert access.usage().turns == 1


def test_budget__of_an_item_is_enforced_in_a_way_that_nobody_tries_again() -> None:
    with proxied(script(WORK)) as (api, proxy), opened(proxy, 0.015) as access:
        assert [ask(access).status_code for _ in range(3)] == [200, 200, 402]
        refused = ask(access)
        assert refused.headers["x-should-retry"] == "false"
        assert refused.json() == {
            "type": "error",
            "error": {
                "type": "billing_error",
                "message": "Mason: The item's budget of $0.015 for the model is spent ($0.0202).",
            },
        }
        other = ask(access, responses(), "/v1/responses")
        assert (other.status_code, other.json()["error"]["type"]) == (400, "insufficient_quota")
        assert access.trouble
        assert access.trouble.kind is TroubleKind.BUDGET
        assert len(api.served) == 2
        assert ask(access, {"model": MODEL, "messages": []}, "/v1/messages/count_tokens").status_code == 200


def test_budget__of_the_run_counts_what_all_spend() -> None:
    with (
        proxied(script(WORK), run_budget_usd=0.015) as (_, proxy),
        opened(proxy, 1) as one,
        opened(proxy, 1) as two,
        opened(proxy, None) as three,
    ):
        assert [ask(access).status_code for access in (one, two, three)] == [200, 200, 402]
        assert three.trouble
        assert three.trouble.sentence.startswith("The run's budget")


def test_budget__of_a_spender_counts_parallel_accesses_together() -> None:
    spender = uuid4()
    with (
        proxied(script(WORK)) as (_, proxy),
        opened(proxy, 0.01, spender) as one,
        opened(proxy, 0.01, spender) as two,
    ):
        assert ask(one).status_code == 200
        assert ask(two).status_code == 402


def test_budget__a_call_waits_while_another_may_spend_the_rest() -> None:
    """Eight at once with money for one: the one that is let in holds its reserve, the others wait, and are refused."""
    long = "x" * 400_000
    body = messages(messages=[{"role": "user", "content": long}])
    go, statuses = threading.Event(), []
    turn = Turn("Done.", tokens=Tokens(input=100_000, output=10))
    with proxied(script(Hang(turn, until=go))) as (api, proxy), opened(proxy, 0.3) as access:
        threads = [threading.Thread(target=lambda: statuses.append(ask(access, body).status_code)) for _ in range(8)]
        for thread in threads:
            thread.start()
        assert api.hung.wait(20)
        go.set()
        for thread in threads:
            thread.join(20)
        assert sorted(statuses) == [200] + [402] * 7
        assert len(api.served) == 1


def test_price__an_unknown_model_costs_as_the_dearest_and_own_prices_go_first(caplog: pytest.LogCaptureFixture) -> None:
    turn = Turn("x", tokens=Tokens(input=1_000, output=1_000))
    with proxied(script(turn), prices={"made-up": Price(input=1, output=2)}) as (_, proxy):
        with caplog.at_level(logging.WARNING), opened(proxy) as access:
            ask(access, messages(model="claude-opus-99\x1b[31m"))
            ask(access, messages(model="claude-opus-99\x1b[31m"))
        assert access.usage().cost_usd == pytest.approx(2 * (30 + 180) / 1000)
        assert caplog.text.count("No price is known") == 1
        assert "\x1b" not in caplog.text
        with opened(proxy) as access:
            ask(access, messages(model="made-up"))
        assert access.usage().cost_usd == pytest.approx(0.003)
        with proxy.open(spender=uuid4(), budget_usd=None, prices={"made-up": Price(input=5, output=5)}) as access:
            ask(access, messages(model="made-up"))
        assert access.usage().cost_usd == pytest.approx(0.01)


def test_request__cannot_ask_for_what_costs_more() -> None:
    with proxied(script(WORK)) as (api, proxy), opened(proxy) as access:
        ask(access, messages(speed="fast", service_tier="priority"))
        ask(access, chat(service_tier="priority", stream_options={"x": 1}), "/v1/chat/completions")
        bodies = [served.conversation.body for served in api.served]
    assert all("speed" not in body and "service_tier" not in body for body in bodies)
    assert bodies[1]["stream_options"] == {"x": 1, "include_usage": True}


@pytest.mark.parametrize(
    ("reason", "kind", "again"),
    [
        (Reason.RATE_LIMIT, TroubleKind.TRANSIENT, True),
        (Reason.OVERLOADED, TroubleKind.TRANSIENT, True),
        (Reason.SERVER_ERROR, TroubleKind.TRANSIENT, True),
        (Reason.BAD_KEY, TroubleKind.REFUSED, False),
        (Reason.FORBIDDEN, TroubleKind.REFUSED, False),
        (Reason.NO_CREDIT, TroubleKind.REFUSED, False),
        (Reason.UNKNOWN_MODEL, TroubleKind.REFUSED, False),
        (Reason.TOO_LONG, TroubleKind.TOO_LONG, True),
        (Reason.INVALID, TroubleKind.INVALID, True),
    ],
)
@pytest.mark.parametrize(("path", "body"), [("/v1/messages", messages()), ("/v1/responses", responses())])
def test_refusal__is_passed_on_and_remembered_as_trouble(
    reason: Reason, kind: TroubleKind, again: bool, path: str, body: dict[str, Any]
) -> None:
    with proxied(in_order(Refusal(reason, retry_after=7), WORK)) as (api, proxy), opened(proxy) as access:
        answer = ask(access, body, path)
        assert answer.status_code == api.served[0].status
        assert answer.headers["retry-after"] == "7"
        assert answer.headers.get("x-should-retry") == (None if again else "false")
        assert "message" in answer.json()["error"]
        trouble = access.trouble
        assert trouble
        assert (trouble.kind, trouble.retry_after, trouble.status) == (kind, 7.0, answer.status_code)
        assert access.usage() == Usage()
        ask(access, body, path)
        assert access.trouble is None


def test_cut_stream__reaches_the_client_as_one_and_is_counted() -> None:
    turn = Turn("x" * 4000, tokens=Tokens(input=1000, output=9999))
    with proxied(script(Cut(turn))) as (_, proxy), opened(proxy) as access:
        with pytest.raises(httpx.RemoteProtocolError):
            ask(access)
        used = access.usage()
        assert (used.turns, used.input_tokens) == (0, 1000)
        assert 1 <= used.output_tokens <= 1000
        assert used.cost_usd > 0.004
        assert access.trouble
        assert access.trouble.kind is TroubleKind.TRANSIENT


@pytest.mark.parametrize(("path", "body"), [("/v1/messages", messages()), ("/v1/responses", responses())])
def test_error_in_a_stream__is_trouble(path: str, body: dict[str, Any]) -> None:
    with proxied(script(ErrorInStream(reason=Reason.OVERLOADED))) as (_, proxy), opened(proxy) as access:
        assert "verloaded" in ask(access, body, path).text
        assert access.trouble
        assert access.trouble.kind is TroubleKind.TRANSIENT
        assert access.usage().turns == 0
        assert access.usage().cost_usd > 0


def test_client_that_leaves__ends_the_call_upstream_and_pays_for_it() -> None:
    with proxied(script(Hang(WORK))) as (api, proxy), opened(proxy) as access:
        with httpx.Client(trust_env=False, timeout=20) as client:
            headers = {"x-api-key": access.token}
            with client.stream(
                "POST", f"{access.anthropic_url}/v1/messages", json=messages(), headers=headers
            ) as answer:
                pieces = answer.iter_bytes()
                next(pieces)
                assert api.hung.wait(20)
        assert api.wait_until_ended(1)[0].ended == "client gone"
    assert access.usage().input_tokens == 6500
    assert access.usage().cost_usd > 0
    assert access.trouble is None


def test_client_that_leaves__before_the_usage_pays_for_what_it_did_not_see() -> None:
    """The reserve, what was written (4000 bytes), and a quarter of what was allowed: the model reasons."""
    chunk = {"model": "gpt-5", "choices": [{"index": 0, "delta": {"content": "x" * 4000}, "finish_reason": "stop"}]}
    left = threading.Event()

    def talk(connection: socket.socket) -> None:
        connection.sendall(says(b"data: " + json.dumps(chunk).encode() + b"\n\n"))
        left.wait(20)
        connection.settimeout(20)
        connection.recv(1)  # until it is hung up

    body = chat(max_completion_tokens=8000)
    with raw(talk) as (_, access):
        with httpx.Client(trust_env=False, timeout=20) as client:
            url = f"{access.openai_url}/chat/completions"
            with client.stream("POST", url, json=body, headers={"x-api-key": access.token}) as answer:
                next(answer.iter_bytes())
        left.set()
    used = access.usage()
    assert used.output_tokens == 1000 + 2000
    assert used.input_tokens == 1 + len(json.dumps(body, separators=(",", ":"))) // 4


def test_price__is_the_dearer_one_of_the_asked_and_the_answered_model() -> None:
    usage = {"input_tokens": 1000, "output_tokens": 0}
    for asked, answered in (("claude-haiku-4-5", "claude-opus-4-1"), ("claude-opus-4-1", "claude-haiku-4-5")):
        body = json.dumps({"model": answered, "usage": usage, "content": []}).encode()
        with raw(says(body, headers="Content-Type: application/json")) as (_, access):
            ask(access, messages(model=asked, stream=False))
            assert access.usage().cost_usd == pytest.approx(0.015)


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/responses", responses(background=True)), ("/v1/messages", messages(mcp_servers=[{"url": "https://x"}]))],
)
def test_request__that_cannot_be_priced_is_refused_in_the_apis_shape(path: str, body: dict[str, Any]) -> None:
    with proxied(script(WORK)) as (api, proxy), opened(proxy) as access:
        answer = ask(access, body, path)
        assert answer.status_code == 400
        assert answer.json()["error"]["type"] == "invalid_request_error"
        assert api.served == []


def test_closing_an_access__ends_what_is_under_way_and_counts_it() -> None:
    seen: list[object] = []

    def client(url: str, token: str) -> None:
        try:
            with httpx.Client(trust_env=False, timeout=20) as each:
                body = messages(stream=False)
                seen.append(each.post(f"{url}/v1/messages", json=body, headers={"x-api-key": token}))
        except httpx.TransportError as problem:
            seen.append(problem)

    with proxied(script(Hang(WORK))) as (api, proxy):
        with opened(proxy) as access:
            thread = threading.Thread(target=client, args=(access.anthropic_url, access.token))
            thread.start()
            assert api.hung.wait(20)
        thread.join(20)
        assert isinstance(seen[0], httpx.TransportError)
        assert api.wait_until_ended(1)[0].ended == "client gone"
        assert proxy.spent() > 0


def test_dead_upstream__is_an_error_that_clients_try_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}", "http://no-such-host.invalid"):
        with ModelProxy(upstreams(url)) as proxy, opened(proxy) as access:
            answer = ask(access)
            assert (answer.status_code, answer.json()["error"]["type"]) == (502, "api_error")
            assert "x-should-retry" not in answer.headers
            assert access.trouble
            assert access.trouble.kind is TroubleKind.TRANSIENT
            assert access.usage() == Usage()


def test_upstream_that_is_not_there__is_said() -> None:
    only = {Provider.ANTHROPIC: Upstream(base_url="http://127.0.0.1:9", key=KEY)}
    with ModelProxy(only) as proxy, opened(proxy) as access:
        answer = ask(access, chat(), "/v1/chat/completions")
        assert answer.status_code == 404
        assert "no key for the API of openai" in answer.json()["error"]["message"]
        assert access.trouble
        assert access.trouble.kind is TroubleKind.REFUSED


def test_upstream_that_is_not_there__is_no_trouble_where_the_own_one_works() -> None:
    body = json.dumps({"model": MODEL, "usage": {"input_tokens": 1, "output_tokens": 1}, "content": []}).encode()
    with RawUpstream(lambda connection: connection.sendall(says(body, headers="Content-Type: a/json"))) as upstream:
        only = {Provider.ANTHROPIC: Upstream(base_url=upstream.url, key=KEY)}
        with ModelProxy(only) as proxy, opened(proxy) as access:
            assert ask(access, messages(stream=False)).status_code == 200
            assert ask(access, chat(), "/v1/chat/completions").status_code == 404
            assert access.trouble is None


@pytest.mark.parametrize("path", ["/", "/v1/files", "/v1/messages/batches", "//evil.example/v1/messages", "/v1/models"])
def test_other_paths__are_not_passed_on(path: str) -> None:
    with proxied(script(WORK)) as (api, proxy), opened(proxy) as access:
        with httpx.Client(trust_env=False, base_url=access.anthropic_url) as client:
            for method in ("GET", "POST", "DELETE", "PUT"):
                url = httpx.URL(access.anthropic_url).copy_with(raw_path=path.encode())
                body = {"content": b"{}"} if method == "POST" else {}
                answer = client.request(method, url, headers={"x-api-key": access.token}, **body)  # type: ignore[arg-type]
                assert answer.status_code == 404
        assert (api.served, api.others) == ([], [])


def test_host__is_the_upstreams_whatever_the_client_says() -> None:
    with raw(says(b"{}", headers="Content-Type: application/json")) as (upstream, access):
        ask(access, headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example", "x-codex-a": "ü".encode()})
        [request] = upstream.requests
        assert f"host: {upstream.url[7:]}".encode() in request.lower()
    assert b"evil" not in request
    assert request.startswith(b"POST /v1/messages HTTP/1.1\r\n")


def test_requests_that_are_none__are_refused() -> None:
    with proxied(script(WORK)) as (api, proxy), opened(proxy) as access:
        with httpx.Client(trust_env=False, base_url=access.anthropic_url, timeout=30) as client:
            headers = {"x-api-key": access.token}

            def post(content: Any, **more: str) -> int:
                return client.post("/v1/messages", content=content, headers={**headers, **more}).status_code

            nested = b'{"model":"m","a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
            for body in (b"", b"nonsense", b"[]", b'{"model": 3}', nested, b'{"a": ' + b"9" * 5000 + b"}"):
                assert post(body) == 400
            assert post(gzip.compress(b"{}"), **{"Content-Encoding": "gzip"}) == 400
            assert post(iter([b"{}"])) == 411
            assert post(b" " * (LARGEST_BODY + 1)) == 413
        assert api.served == []


def test_flood__passes_through() -> None:
    with proxied(script(Flood(20_000_000))) as (_, proxy), opened(proxy) as access:
        assert len(ask(access).content) > 20_000_000
        assert access.usage().turns == 1


HOSTILE = {
    "not-json": says(b"data: nonsense\n\ndata: [1]\n\ndata: {\n\n"),
    "nothing": says(b""),
    "no-usage": says(b'data: {"type":"message_start","message":{}}\n\ndata: {"type":"message_stop"}\n\n'),
    "types": says(b'data: {"type":"message_start","message":[1]}\n\ndata: {"type":{"a":[]},"usage":3}\n\n'),
    "negative": says(b'data: {"type":"message_start","message":{"usage":{"input_tokens":-5,"output_tokens":-1}}}\n\n'),
    "huge": says(b'data: {"type":"message_start","message":{"usage":{"input_tokens":1' + b"0" * 400 + b"}}}\n\n"),
    "infinite": says(b'data: {"type":"message_start","message":{"usage":{"input_tokens":1e999}}}\n\n'),
    "huge-line": says(b"data: " + b"x" * 20_000_000 + b'\n\ndata: {"type":"message_stop"}\n\n'),
    "nested": says(b"data: " + b"[" * 200_000 + b"\n\n"),
    "json-for-a-stream": says(b"[]", headers="Content-Type: application/json"),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/messages", messages()), ("/v1/responses", responses()), ("/v1/chat/completions", chat())],
)
def test_hostile_answer__passes_and_is_never_free(name: str, path: str, body: dict[str, Any]) -> None:
    answer = HOSTILE[name]
    with raw(answer) as (_, access):
        assert ask(access, body, path).content == answer.partition(b"\r\n\r\n")[2]
        used = access.usage()
    assert 0 < used.cost_usd < 1
    assert 0 < used.input_tokens < 1000


def test_answer_that_is_compressed_all_the_same__is_understood() -> None:
    usage = {"input_tokens": 12, "output_tokens": 34}
    body = gzip.compress(json.dumps({"model": MODEL, "usage": usage, "content": []}).encode())
    head = f"Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}"
    with raw(says(body, headers=head)) as (_, access):
        assert ask(access, messages(stream=False)).json()["usage"] == usage
        assert (access.usage().input_tokens, access.usage().output_tokens) == (12, 34)


@pytest.mark.parametrize(
    ("answer", "status", "kind"),
    [
        (says(b"<html>", "502 Bad Gateway", "Content-Type: text/html"), 502, TroubleKind.TRANSIENT),
        (says(b"", "302 Found", "Location: http://127.0.0.1:1/"), 502, TroubleKind.INVALID),
        (says(b"[" * 50_000, "400 Bad Request"), 400, TroubleKind.INVALID),
        (says(b'{"error": "words"}', "429 Too Many", "Retry-After: soon"), 429, TroubleKind.TRANSIENT),
        (b"nonsense\r\n\r\n", 502, TroubleKind.TRANSIENT),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\nContent-Type: application/json\r\n\r\n{",
            502,
            TroubleKind.TRANSIENT,
        ),
        (b"", 502, TroubleKind.TRANSIENT),
    ],
)
def test_answer_that_is_none__is_trouble(answer: bytes, status: int, kind: TroubleKind) -> None:
    with raw(answer) as (_, access):
        got = ask(access)
        assert got.status_code == status
        assert "location" not in got.headers
        assert access.trouble
        assert (access.trouble.kind, access.trouble.retry_after) == (kind, None)
        assert "\n" not in access.trouble.sentence


def test_key__is_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    echo = json.dumps({"error": {"type": "x", "message": f"bad key {KEY}"}}).encode()
    answer = says(echo, "401 No", f"Content-Type: application/json\r\nX-Request-Id: {KEY}\r\nSet-Cookie: a={KEY}")
    with caplog.at_level(logging.DEBUG), raw(answer) as (upstream, access):
        got = ask(access)
        assert f"x-api-key: {KEY}".encode() in upstream.requests[0].lower()
    assert "***" in got.text
    logged = [str(record.getMessage()) for record in caplog.records if not record.name.startswith("httpcore")]
    shown = got.text + str(got.headers) + str(access.trouble) + repr(access) + "".join(logged)
    shown += repr(upstreams("http://127.0.0.1:1"))
    with ModelProxy(upstreams("http://127.0.0.1:1")) as proxy:
        shown += repr(proxy) + str(vars(proxy))
    assert KEY not in shown
    assert access.token not in repr(access)


@pytest.mark.parametrize("key", ["", "a b", "a\nb", "schlüssel"])
def test_key_that_is_none__is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(UsageError) as refused:
        Upstream(base_url="https://api.example.com", key=key)
    assert not key or key not in str(refused.value)


def test_key__is_stripped_and_the_sentence_says_whose_it_is() -> None:
    assert Upstream(base_url="https://api.example.com", key=f" {KEY}\n").key == KEY
    for key, what in ((" \n", "is empty"), ("ö", "has characters that no key has")):
        with pytest.raises(UsageError, match=f"The API key for openai {what}"):
            Upstream(base_url="https://api.example.com", key=key, provider=Provider.OPENAI)


@pytest.mark.parametrize(
    "url", ["proxy.example:3128", "proxy", "socks9://secret@x", "http://", "http://x:y", "http://[", "http://a b\nc"]
)
def test_outbound_that_is_none__is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError, match="HTTPS_PROXY") as refused:
        ModelProxy(upstreams("http://127.0.0.1:9"), outbound=url)
    assert "secret" not in str(refused.value)


def test_outbound__is_not_for_this_machine() -> None:
    with proxied(script(WORK), outbound="http://127.0.0.1:9") as (_, proxy), opened(proxy) as access:
        assert ask(access).status_code == 200
    for url in ("http://localhost:1", "http://127.1.2.3", "http://[::1]:1/v1"):
        assert Upstream(base_url=url, key=KEY).on_this_machine
    for url in ("http://localhost.example.com", "http://10.0.0.1", "https://api.example.com"):
        assert not Upstream(base_url=url, key=KEY).on_this_machine


def test_outbound__is_used_for_other_machines() -> None:
    answer = says(b"{}", headers="Content-Type: application/json")
    with RawUpstream(lambda connection: connection.sendall(answer)) as on_the_way:
        away = upstreams("http://api.invalid")
        with ModelProxy(away, outbound=f"{on_the_way.url}\n") as proxy, opened(proxy) as access:
            assert ask(access, messages(stream=False)).status_code == 200
        assert on_the_way.requests[0].startswith(b"POST http://api.invalid/v1/messages ")


@pytest.mark.parametrize(
    "url", ["", "api.example.com", "ftp://x", "https://u:p@x", "https://x/?a=b", "http://[", "http://x\n"]
)
def test_base_url_that_is_none__is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        Upstream(base_url=url, key=KEY)


def test_many_calls_at_once__are_all_counted() -> None:
    with proxied(script(WORK)) as (api, proxy), opened(proxy) as access:
        threads = [threading.Thread(target=lambda: [ask(access) for _ in range(5)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert access.usage().turns == api.totals().turns == 40
        assert proxy.spent() == pytest.approx(40 * 0.0101)
