"""A job that is killed at any call to GitHub, and started again: one pull request, one branch, no open check run."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from tests.fakes.faults import Fault, Recorded
from tests.whole.hosted import Hosted
from tests.whole.kit import LONG
from tests.whole.test_action import HEAD_CHECKS

REPOSITORY = "/repos/{owner}/{repo}"
MAKE_PULL, MAKE_CHECK = f"POST {REPOSITORY}/pulls", f"POST {REPOSITORY}/check-runs"
CALLS = [
    (MAKE_PULL, 1),  # asking for access
    (MAKE_CHECK, 1),
    (f"GET {REPOSITORY}/commits/{{ref}}/check-runs", 1),
    (MAKE_CHECK, 2),  # on the base
    (f"GET {REPOSITORY}/pulls", 1),
    ("GET git receive-pack", 1),
    ("POST git receive-pack", 1),
    (MAKE_PULL, 2),
    (f"POST {REPOSITORY}/issues/{{issue_number}}/labels", 1),
    *((MAKE_CHECK, number) for number in range(3, 8)),  # on the head
    (f"PATCH {REPOSITORY}/check-runs/{{check_run_id}}", 1),
]


def the(call: str, number: int) -> Callable[[Recorded], bool]:
    """The n-th request of a kind."""
    seen = 0

    def matches(request: Recorded) -> bool:
        nonlocal seen
        seen += request.call == call
        return request.call == call and seen == number

    return matches


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("call", "number"), CALLS)
def test_kill__started_again_all_is_there_once(hosted: Hosted, call: str, number: int, when: str) -> None:
    """``when``: whether GitHub had carried out the call at which the job died."""
    item = hosted.project.approve_change("src/new.txt", "fine\n", "Add a thing")
    reached = hosted.github.fail(the(call, number), with_=Fault.TIMEOUT, when=when)  # type: ignore[arg-type]
    job = hosted.start("run")
    assert reached.hit.wait(LONG)
    os.killpg(job.pid, signal.SIGKILL)
    job.communicate(timeout=LONG)
    hosted.github.heal()
    hosted.attempt = 2
    done = hosted.job("run")
    assert done.code == 0, done.log
    (pull,) = hosted.there.pulls
    assert (pull.state, pull.branch) == ("open", "mason/add-a-thing")
    assert sorted(hosted.there.branches) == ["main", "mason/add-a-thing"]
    assert hosted.open_checks == []
    head = hosted.checks(pull.head_sha)
    assert set(head) == HEAD_CHECKS
    assert {check.conclusion for check in head.values()} == {"success"}
    row = hosted.project.item(item)
    assert (row["status"], row["pr_url"]) == ("completed", f"{hosted.there.html_url}/pull/{pull.number}")
