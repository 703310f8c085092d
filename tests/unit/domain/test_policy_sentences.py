"""What is wrong with `.github/mason.yml`, in a sentence that a person can act on."""

from __future__ import annotations

import pytest

from app.domain.policy import ROLES, parse_policy
from app.errors import UsageError
from app.ports.agent import Role


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("agnet: {}", "there is no key agnet; did you mean agent?"),
        ("agent: {modle: x}", "there is no key agent.modle; did you mean model?"),
        ("xyzzy: 1", "there is no key xyzzy"),
        ("layers: {core: {path: [a]}}", "layers.core.paths is missing"),
        ("agent: {idle_timeout: 10 parsecs}", "agent.idle_timeout must be a time such as 90s, 10m or 1h, or a number"),
        ("layers: {ui: {paths: [a], may_import: [b]}}", "layers.ui.may_import names 'b', which is no layer"),
        ("limits: {max_cost_usd: .inf}", "limits.max_cost_usd: Input should be a finite number"),
        ("limits: {cost_per_day_usd: .nan}", "limits.cost_per_day_usd: Input should be "),
        ("agent: {roles: {reviewer: {model: x}}}", "agent.roles.reviewer: there is no such role; choose among explore"),
    ],
)
def test_policy__what_is_wrong_is_said(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_policy(text.encode())
    assert said in str(caught.value)
    assert str(caught.value).startswith(".github/mason.yml: ")


def test_roles__are_those_of_agents() -> None:
    assert set(ROLES) == {role.value for role in Role}
