"""Which projects a request may bring credentials for, and what the process of such a run inherits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from app.domain.credentials import Credentials
from app.domain.dispatches import Dispatch, Work
from app.errors import BadCredentials, NotNow, UsageError
from app.log import MASK, Redactor
from app.wiring.app_place import own_environment
from app.wiring.own_projects import Admission

CONFIGURED = "https://configuredconfigured.supabase.co"
OTHER = "https://abcdefghijklmnopqrst.supabase.co"
KEY = "eyJ-the-key-of-a-request"


def admitted(
    url: str, *, locally: bool = True, hosts: Sequence[str] = (), configured: str | None = CONFIGURED
) -> Credentials | None:
    rules = Admission(configured=configured, locally=locally, hosts=frozenset(hosts), learned=lambda _: None)
    return rules.admit(Credentials(url=url, key=KEY))


@pytest.mark.parametrize("url", [OTHER, f"{OTHER}/", f"{OTHER}/rest/v1/"])
def test_admit__another_project_has_its_own_credentials(url: str) -> None:
    assert admitted(url) == Credentials(url=OTHER, key=KEY)


@pytest.mark.parametrize("locally", [True, False])
@pytest.mark.parametrize(
    "url", [CONFIGURED, CONFIGURED.upper().replace("HTTPS", "https"), f"{CONFIGURED}:443/", f"{CONFIGURED}/rest/v1"]
)
def test_admit__the_configured_project_is_the_configured_backlog(url: str, locally: bool) -> None:
    assert admitted(url, locally=locally) is None


def test_admit__nothing_is_ever_sent_to_a_workflows_runner() -> None:
    with pytest.raises(NotNow, match="never sent"):
        admitted(OTHER, locally=False)


@pytest.mark.parametrize(
    "url",
    [
        "http://abcdefghijklmnopqrst.supabase.co",
        "https://evil.example",
        "https://abc.supabase.co.evil.example",
        "https://evilsupabase.co",
        "https://supabase.co",
        "https://169.254.169.254",
        "http://169.254.169.254/latest",
        "http://127.0.0.1:5432",
        "http://localhost:8000",
        "http://[::1]:8000",
        "https://user:hunter2@abc.supabase.co",
        "https://abc.supabase.co?x=1",
        "https://abc.supabase.co/elsewhere",
        "https://abc.supabase.co:99999",
        "https://evil.example%2f.supabase.co",
        "https://xn--a.supabase.co",
        f"https://{'a' * 64}.supabase.co",
        "https://.supabase.co",
        "https://a..supabase.co",
        "https://evil.example;.supabase.co",
        "https://abc.supabase.co\\@evil.example",
        "https://abc.supabase.co\n.evil.example",
        "file:///etc/passwd",
        "ftp://abc.supabase.co",
        "abc.supabase.co",
        "https://",
        "https://[",
    ],
)
def test_admit__what_leads_elsewhere_is_refused(url: str) -> None:
    with pytest.raises(BadCredentials) as told:
        admitted(url)
    assert KEY not in str(told.value) and "hunter2" not in str(told.value)


def test_admit__a_host_that_the_operator_allows() -> None:
    assert admitted("https://db.example.org", hosts=["db.example.org"]) is not None
    assert admitted("http://127.0.0.1:8000", hosts=["127.0.0.1"]) is not None
    with pytest.raises(BadCredentials):  # in the open
        admitted("http://db.example.org", hosts=["db.example.org"])


def test_admit__the_key_is_a_secret_before_anything_else() -> None:
    redactor = Redactor(())
    rules = Admission(configured=None, locally=True, hosts=frozenset(), learned=redactor.learn)
    with pytest.raises(BadCredentials):
        rules.admit(Credentials(url="https://evil.example", key=KEY))
    assert redactor.text(f"key {KEY}") == f"key {MASK}"
    assert KEY not in repr(Credentials(url=OTHER, key=KEY))


class Sealed:
    """One secret, or none."""

    def __init__(self, text: str | None) -> None:
        self.text = text

    def get(self, name: str) -> str | None:
        return self.text

    def put(self, name: str, text: str) -> None: ...

    def remove(self, name: str) -> None: ...

    def names(self, prefix: str, *, older: float = 0.0) -> Sequence[str]:
        return ()


INHERITED = {
    "PATH": "/bin",
    "MASON_DSN": "postgresql://ours",
    "MASON_SUPABASE_URL": CONFIGURED,
    "MASON_SUPABASE_KEY": "ours",
    "SUPABASE_SERVICE_ROLE_KEY": "ours",
    "MASON_DATABASE_PASSWORD": "ours",
}


def run(project: str) -> Dispatch:
    return Dispatch(id=uuid4(), work=Work.RUN, repository=None, project=project, created_at=datetime.now(UTC))


def test_environment__of_a_run_on_its_own_project_names_that_alone() -> None:
    redactor = Redactor(())
    sealed = Sealed(Credentials(url=OTHER, key=KEY).text())
    assert own_environment(INHERITED, run(OTHER), sealed, redactor) == {
        "PATH": "/bin",
        "MASON_SUPABASE_URL": OTHER,
        "MASON_SUPABASE_KEY": KEY,
    }
    assert redactor.text(KEY) == MASK


def test_environment__of_every_other_run_is_ours() -> None:
    assert own_environment(INHERITED, run(""), Sealed(None), Redactor(())) == INHERITED


def test_environment__without_the_credentials_there_is_none() -> None:
    with pytest.raises(UsageError):
        own_environment(INHERITED, run(OTHER), Sealed(None), Redactor(()))
