"""Signatures of deliveries."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.backlog import webhook
from app.web import signatures
from app.web.signatures import bearer, github_signed, supabase_signed

BODY = b'{"a": "\xc3\xa4"}'
OLD, NEW = b"old secret", b"new secret"
STANDARD = b"whsec_" + base64.b64encode(bytes(range(32)))
NOW = 1_700_000_000.0


def of_github(body: bytes, secret: bytes, kind: str = "sha256") -> str:
    return f"{kind}={hmac.new(secret, body, kind).hexdigest()}"


def standard(body: bytes = BODY, secret: bytes = STANDARD, at: float = NOW, **more: str) -> dict[str, str]:
    """Headers as the trigger of `mason migrate --webhook-url` makes them."""
    key = base64.b64decode(secret.removeprefix(b"whsec_"))
    signed = f"msg_1.{at:.0f}.".encode() + body
    made = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {"webhook-id": "msg_1", "webhook-timestamp": f"{at:.0f}", "webhook-signature": made} | more


def test_github_signed__the_example_of_githubs_documentation() -> None:
    header = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert github_signed(b"Hello, World!", header, [b"It's a Secret to Everybody"])


def test_github_signed__each_of_several_secrets_counts() -> None:
    for secret in (OLD, NEW):
        assert github_signed(BODY, of_github(BODY, secret), [OLD, NEW])
    assert not github_signed(BODY, of_github(BODY, b"a third"), [OLD, NEW])


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "sha256=",
        of_github(BODY, OLD, "sha1"),
        of_github(BODY, OLD).replace("sha256=", "sha1="),
        of_github(BODY, OLD).removeprefix("sha256="),
        of_github(BODY, OLD)[:-1],
        of_github(BODY, OLD) + "0",
        of_github(BODY, OLD) + "\n",
        of_github(BODY, OLD).replace("=", "=\xe4"),
        "sha256=" + "z" * 64,
        "sha256=\u20ac",
        "sha256=\ud800",
    ],
)
def test_github_signed__anything_else_is_no_signature(header: str | None) -> None:
    assert not github_signed(BODY, header, [OLD])


def test_github_signed__without_a_secret_nothing_is_signed() -> None:
    assert not github_signed(BODY, of_github(BODY, b""), [])
    assert not github_signed(BODY, of_github(BODY, b""), [b""])


@given(body=st.binary(max_size=200), header=st.text(max_size=100))
def test_github_signed__never_raises(body: bytes, header: str) -> None:
    assert not github_signed(body, header, [OLD])
    assert github_signed(body, of_github(body, OLD), [OLD])


@pytest.mark.parametrize(
    "headers",
    [
        {"x-mason-secret": STANDARD.decode()},
        {"authorization": f"Bearer {STANDARD.decode()}"},
        {"authorization": f"bearer  {STANDARD.decode()}"},
        standard(),
        standard(at=NOW - 300),
        standard(at=NOW + 300),
    ],
)
def test_supabase_signed__the_secret_itself_or_its_signature(headers: dict[str, str]) -> None:
    assert supabase_signed(BODY, headers, [b"another", STANDARD], NOW)
    assert not supabase_signed(BODY, headers, [b"another"], NOW)


def test_supabase_signed__one_of_several_signatures_is_enough_while_keys_change() -> None:
    made = standard()
    made["webhook-signature"] = f"v1,AAAA v1a,BBBB {made['webhook-signature']} nonsense"
    assert supabase_signed(BODY, made, [STANDARD], NOW)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-mason-secret": ""},
        {"x-mason-secret": "\u20ac"},
        {"authorization": STANDARD.decode()},
        {"authorization": "Bearer"},
        {"authorization": f"Basic {STANDARD.decode()}"},
        standard(at=NOW - 301),
        standard(at=NOW + 301),
        standard(body=b"another"),
        standard(**{"webhook-id": "msg_2"}),
        standard(**{"webhook-id": ""}),
        standard(**{"webhook-timestamp": "1e9"}),
        standard(**{"webhook-timestamp": "9" * 5000}),
        standard(**{"webhook-timestamp": "-1"}),
        standard(**{"webhook-signature": ""}),
        standard(**{"webhook-signature": "v1,\xe4"}),
        {"webhook-signature": standard()["webhook-signature"]},
    ],
)
def test_supabase_signed__anything_else_is_not(headers: dict[str, str]) -> None:
    assert not supabase_signed(BODY, headers, [STANDARD], NOW)


def test_supabase_signed__a_secret_of_another_form_cannot_sign_but_is_one() -> None:
    assert supabase_signed(
        BODY, {"x-mason-secret": "päss word".encode().decode("latin-1")}, ["päss word".encode()], NOW
    )
    forged = standard(secret=b"whsec_")
    assert not supabase_signed(BODY, forged, [b"not base64 !", b"", b"whsec_"], NOW)


def test_supabase_signed__an_empty_secret_lets_nobody_in() -> None:
    assert not supabase_signed(BODY, {"x-mason-secret": "", "authorization": "Bearer "}, [b""], NOW)


def test_supabase_signed__is_what_the_migration_installs() -> None:
    assert signatures.STATIC_HEADER == webhook.STATIC_HEADER
    made = webhook.new_secret()
    assert supabase_signed(BODY, standard(secret=made.encode()), [made.encode()], NOW)
    assert webhook.secret_key(made) == base64.b64decode(made.removeprefix("whsec_"))


def test_bearer__nothing_without_a_scheme() -> None:
    assert [bearer(each) for each in (None, "", "abc", "Bearer abc", "BEARER abc ")] == ["", "", "", "abc", "abc"]
