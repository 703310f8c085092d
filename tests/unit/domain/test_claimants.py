"""Who a claim names: a process, a job, nobody yet; and when a job of a workflow run has outlived another one."""

from __future__ import annotations

import pytest

from app.domain.claims import DISPATCHED, Claimant, JobClaimant

FIRST = JobClaimant(workflow_run="4711", attempt=1, job="item", nonce="aaaa")
TWIN = JobClaimant(workflow_run="4711", attempt=1, job="item", nonce="bbbb")
RERUN = JobClaimant(workflow_run="4711", attempt=2, job="item", nonce="cccc")
ELSEWHERE = JobClaimant(workflow_run="4712", attempt=9, job="item", nonce="dddd")
PROCESS = Claimant(host="here", namespace="pid:[1]", pid=12, started="345")

HOSTILE = (
    "",
    "job",
    "job 4711",
    "job 4711 1 item",
    "job 4711 1 item aaaa more",
    "job 4711 one item aaaa",
    "job 4711 -1 item aaaa",
    "job 4711 ² item aaaa",
    "job 4711 1.0 item aaaa",
    f"job 4711 {'9' * 5000} item aaaa",
    "job  1 item aaaa",
    "process here x ² 1",
    f"process here x {'9' * 5000} 1",
    "process here x -1 1",
    "'; drop table x; --",
)
"""``claimed_by`` is a column that others can write."""


def test_claimant__comes_back_as_it_went() -> None:
    assert Claimant.parse(str(PROCESS)) == PROCESS


@pytest.mark.parametrize("text", [DISPATCHED, str(FIRST), *HOSTILE])
def test_claimant__anything_else_is_no_process(text: str) -> None:
    assert Claimant.parse(text) is None


def test_outlived__an_earlier_attempt_of_this_workflow_run_has_ended() -> None:
    assert RERUN.outlived(str(FIRST))
    assert RERUN.outlived(str(TWIN))


def test_outlived__jobs_of_this_attempt_and_later_ones_may_be_at_work() -> None:
    assert not FIRST.outlived(str(TWIN))
    assert not FIRST.outlived(str(RERUN))


def test_outlived__the_last_job_has_outlived_all_but_itself() -> None:
    assert TWIN.outlived(str(FIRST), last=True)
    assert not TWIN.outlived(str(TWIN), last=True)


def test_outlived__attempts_are_numbers() -> None:
    tenth = JobClaimant(workflow_run="4711", attempt=10, job="item", nonce="eeee")
    ninth = JobClaimant(workflow_run="4711", attempt=9, job="item", nonce="eeee")
    assert tenth.outlived(str(ninth)) and not ninth.outlived(str(tenth))


@pytest.mark.parametrize("text", [str(ELSEWHERE), str(PROCESS), DISPATCHED, *HOSTILE])
@pytest.mark.parametrize("last", [False, True])
def test_outlived__nothing_is_known_of_anybody_else(text: str, last: bool) -> None:
    assert not RERUN.outlived(text, last=last)
