"""Tier 4, secrets: which are found, which are made up, and that nobody is told one."""

from __future__ import annotations

import base64
import json
import random
import string

import pytest

from app.domain.results import Severity
from app.validator.domain import check_domain
from tests.unit.validator.file_sets import subject

_LETTERS = string.ascii_letters + string.digits


def secret(prefix: str, length: int, alphabet: str = _LETTERS) -> str:
    """Put together here, so that nothing in this file has the form of a secret."""
    return prefix + "".join(random.Random(f"{prefix}{length}").choices(alphabet, k=length))


def jwt(**claims: str) -> str:
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({"alg": "x"}, claims)
    ]
    return ".".join([*parts, secret("", 43)])


SECRETS = [
    secret("AK" + "IA", 16, string.ascii_uppercase + "234567"),
    secret("gh" + "p_", 36),
    secret("github_" + "pat_", 82),
    secret("gl" + "pat-", 20),
    secret("xox" + "b-730194826155-918273645001-", 24),
    "https://hooks.slack.com/" + secret("services/T", 8) + "/" + secret("B", 8) + "/" + secret("", 24),
    secret("sk_" + "live_", 24),
    secret("rk_" + "live_", 30),
    secret("sk-" + "ant-api03-", 90),
    secret("sk-" + "proj-", 60),
    secret("sk-" + "", 48),
    secret("np" + "m_", 36),
    secret("sb_" + "secret_", 30),
    secret("SG" + ".", 22) + "." + secret("", 43),
    jwt(role="service_role", iss="supabase"),
]


@pytest.mark.parametrize("value", SECRETS)
@pytest.mark.parametrize("path", ["src/a.ts", "config.yml", ".env.local", "docs/x.md"])
def test_secrets__a_providers_key_is_an_error_for_every_domain(path: str, value: str) -> None:
    for domain in ("general", "ui", "performance"):
        result = check_domain(subject({}, {path: f"key: x\nkey = '{value}'\n"}, domain=domain))
        assert [f.severity for f in result.findings if "real secret" in f.message] == [Severity.ERROR]
        assert f"{path}: line 2:" in result.findings[0].message
        assert all(value not in f.message + f.recommendation + f.path for f in result.findings)


def test_secrets__a_private_key_is_found_across_its_lines() -> None:
    body = "\n".join(secret(f"{n}", 63) for n in range(9))
    text = "x = 1\n-----BEGIN RSA " + f"PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----\n"
    (finding,) = check_domain(subject({}, {"deploy/id": text})).findings
    assert "line 2" in finding.message
    assert finding.severity is Severity.ERROR


def test_secrets__a_connection_string_with_a_password() -> None:
    password = secret("", 20)
    text = f'url = "postgresql://app:{password}@db.abcdefg.supabase.co:5432/postgres"\n'
    (finding,) = check_domain(subject({}, {"a.py": text})).findings
    assert finding.severity is Severity.ERROR
    assert password not in repr(finding)


def test_secrets__a_password_as_a_literal_is_a_warning() -> None:
    password = secret("x9!", 16)
    (finding,) = check_domain(subject({}, {"a.py": f'DB_PASSWORD = "{password}"\n'})).findings
    assert finding.severity is Severity.WARNING
    assert password not in repr(finding)


@pytest.mark.parametrize(
    "text",
    [
        "key = 'AKIA" + "IOSFODNN7EXAMPLE'",
        "key = 'ghp_" + "x" * 36 + "'",
        "url = 'postgres://postgres:postgres@localhost:5432/app'",
        "url = 'postgres://user:${PASSWORD}@db.prod.net/app'",
        "url = f'postgres://user:{password}@db.prod.net/app'",
        "url = 'https://user:password@prod.net/'",
        "password = os.environ['PASSWORD']",
        "password: 'Your new password'",
        "secret: 'my-secret-name'",
        "token = 'NEXT_PUBLIC_TOKEN_NAME'",
        "API_KEY=your-api-key-here",
        "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
        "sha: '" + "0123456789abcdef" * 4 + "'",
        "const header = 'eyJhbGciOi';",
    ],
)
def test_secrets__what_is_made_up_or_refers_to_one_is_none(text: str) -> None:
    assert check_domain(subject({}, {"src/a.txt": text})).findings == ()


def test_secrets__supabases_anonymous_key_is_public() -> None:
    assert check_domain(subject({}, {"a.ts": f"const k = '{jwt(role='anon')}';"})).findings == ()


@pytest.mark.parametrize(
    "path", ["tests/test_a.py", "src/a.test.ts", "tests/fixtures/key", ".env.example", "yarn.lock"]
)
def test_secrets__tests_fixtures_and_examples_may_hold_what_looks_like_one(path: str) -> None:
    assert check_domain(subject({}, {path: f"key = '{SECRETS[1]}'\n"})).findings == ()


def test_secrets__one_that_was_there_before_is_not_new_wherever_it_stands() -> None:
    before = {"a.py": f"k = '{SECRETS[1]}'\n"}
    assert check_domain(subject(before, {"a.py": f"import os\nif x:\n    k = '{SECRETS[1]}'\n"})).findings == ()
    assert check_domain(subject(before, {"a.py": f"k = '{SECRETS[2]}'\n"})).findings != ()


def test_secrets__one_deep_inside_a_long_line_is_found() -> None:
    line = "x " * 5_000 + SECRETS[1] + " y" * 5_000
    assert len(check_domain(subject({}, {"a.json": line})).findings) == 1
