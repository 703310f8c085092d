"""Health, readiness and metrics."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from app.errors import ForgeUnreachable
from app.web.metrics import Latency, Samples, WebMetrics
from tests.unit.web.ingress_kit import Door, MemoryQueue, comment, error_of

ROOT = Path(__file__).parents[3]


class Hub:
    """GitHub, as a probe sees it."""

    def __init__(self) -> None:
        self.away = False
        self.asked = 0

    def __call__(self) -> None:
        self.asked += 1
        if self.away:
            raise ForgeUnreachable("GitHub at internal.example did not answer")


def test_healthz__the_process_is_alive_whatever_else_is_away() -> None:
    door = Door()
    door.queue.away = True
    assert (door.get("/healthz").status_code, door.get("/healthz").get_json()) == (200, {"ok": True})


def test_readyz__says_of_each_whether_it_is_there() -> None:
    answer = Door(probes={"github": Hub()}).get("/readyz")
    assert answer.status_code == 200
    assert answer.get_json() == {
        "database": {"ok": True},
        "queue": {"ok": True, "age": 3.0},
        "github": {"ok": True},
    }


def test_readyz__without_github_nobody_asks_for_it() -> None:
    assert set(Door().get("/readyz").get_json()) == {"database", "queue"}


def test_readyz__the_database_away() -> None:
    door = Door()
    door.queue.away = True
    answer = door.get("/readyz")
    assert (answer.status_code, answer.get_json()) == (503, {"database": {"ok": False}, "queue": {"ok": False}})


def test_readyz__nobody_does_the_jobs() -> None:
    door = Door()
    door.queue.state = replace(door.queue.state, age=600.0)
    answer = door.get("/readyz")
    assert (answer.status_code, answer.get_json()["queue"]) == (503, {"ok": False, "age": 600.0})


def test_readyz__github_is_not_asked_each_time() -> None:
    hub, now = Hub(), [0.0]
    door = Door(probes={"github": hub, "clock": lambda: now[0]})
    hub.away = True
    answers = [door.get("/readyz") for _ in range(5)]
    assert {answer.status_code for answer in answers} == {503}
    assert b"internal.example" not in answers[0].data
    assert hub.asked == 1
    hub.away, now[0] = False, 60.0
    assert door.get("/readyz").status_code == 200


def lines(door: Door, **headers: str) -> dict[str, float]:
    """The metrics by name and labels."""
    answer = door.get("/metrics", **headers)
    assert answer.status_code == 200
    assert answer.mimetype == "text/plain"
    found = (line.rpartition(" ") for line in answer.get_data(as_text=True).splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in found}


def test_metrics__deliveries_requests_queue_and_dispatches() -> None:
    queue = MemoryQueue()
    samples = Samples(
        queue=queue.state,
        dispatches={"preparing": 1, "dispatched": 2, "ended": 30},
        latency=Latency(at_most={0.5: 3, 2.0: 4, float("inf"): 5}, total=9.5),
        rate_limit_left=4_321,
        cost_usd=1.25,
    )
    door = Door(queue=queue, probes={"samples": lambda: samples})
    for _ in range(2):
        door.github("star", {})
    door.github("issue_comment", comment("/mason run"))
    door.github("issue_comment", comment("/mason run"))
    door.github("push", {}, **{"X-Hub-Signature-256": ""})
    door.get("/nowhere/that/is")
    found = lines(door)
    deliveries = "mason_deliveries_total"
    assert found[f'{deliveries}{{event="other",outcome="irrelevant",platform="github"}}'] == 2
    assert found[f'{deliveries}{{event="issue_comment",outcome="accepted",platform="github"}}'] == 1
    assert found[f'{deliveries}{{event="issue_comment",outcome="heard before",platform="github"}}'] == 1
    assert found[f'{deliveries}{{event="other",outcome="unsigned",platform="github"}}'] == 1
    assert found['mason_request_seconds_count{route="/webhooks/github",status="204"}'] == 2
    assert found['mason_request_seconds_count{route="other",status="404"}'] == 1
    assert found["mason_queue_age_seconds"] == 3
    assert found['mason_jobs_waiting{task="reconcile_run"}'] == 2
    assert found['mason_jobs_doing{task="reconcile_run"}'] == 1
    assert found['mason_jobs_parked{task="reconcile_run"}'] == 1
    assert found['mason_dispatches{state="ended"}'] == 30
    assert found['mason_dispatch_seconds_bucket{le="0.5"}'] == 3
    assert found['mason_dispatch_seconds_bucket{le="+Inf"}'] == found["mason_dispatch_seconds_count"] == 5
    assert found["mason_dispatch_seconds_sum"] == 9.5
    assert (found["mason_github_calls_left"], found["mason_agent_cost_usd"]) == (4_321, 1.25)
    assert found["mason_database_up"] == 1


def test_metrics__what_is_not_known_is_left_out() -> None:
    found = lines(Door())
    assert not [name for name in found if name.startswith(("mason_dispatch", "mason_github", "mason_agent"))]


def test_metrics__the_database_away_is_one_of_them() -> None:
    door = Door()
    door.queue.away = True
    door.github("push", {"ref": "refs/heads/main", "repository": {"default_branch": "main"}})
    found = lines(door)
    assert found["mason_database_up"] == 0
    assert found['mason_deliveries_total{event="push",outcome="unavailable",platform="github"}'] == 1
    assert "mason_queue_age_seconds" not in found


def test_metrics__strangers_make_no_new_labels() -> None:
    door = Door()
    before = len(lines(door))
    for number in range(20):
        door.get(f"/nowhere/{number}")
        door.github(f"event_{'a' * number}", {})
    assert len(lines(door)) - before < 60


def test_metrics__with_a_token_only_for_who_has_it() -> None:
    door = Door(probes={"metrics_token": b"m3trics"})
    for given in ("", "Bearer wrong", "m3trics", "Bearer \xe4"):
        assert error_of(door.get("/metrics", Authorization=given))[0] == 401
    assert lines(door, Authorization="Bearer m3trics")


COUNTING = """
import sys
from pathlib import Path
from app.web.metrics import WebMetrics, forget_process
import os
metrics = WebMetrics(Path(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    metrics.delivered(platform="github", event="push", outcome="accepted")
    metrics.answered(route="/r", status=202, seconds=0.003)
def none():
    from app.errors import DatabaseUnreachable
    raise DatabaseUnreachable
print(metrics.text(none).decode())
forget_process(Path(sys.argv[1]), os.getpid())
"""


def test_metrics__several_processes_count_together(tmp_path: Path) -> None:
    shown = ""
    for times in ("3", "4"):
        words = [sys.executable, "-c", COUNTING, str(tmp_path), times]
        environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
        done = subprocess.run(words, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=True)
        shown = done.stdout
    assert 'mason_deliveries_total{event="push",outcome="accepted",platform="github"} 7.0' in shown
    assert 'mason_request_seconds_count{route="/r",status="202"} 7.0' in shown
    assert "mason_database_up 0.0" in shown


@pytest.mark.parametrize("number", [1, 2])
def test_metrics__two_apps_in_one_process_do_not_mix(number: int) -> None:
    metrics = WebMetrics()
    for _ in range(number):
        metrics.delivered(platform="supabase", event="change", outcome="accepted")
    text = metrics.text(lambda: Samples(queue=MemoryQueue().state)).decode()
    assert f'platform="supabase"}} {number}.0' in text
