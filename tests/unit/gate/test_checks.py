"""The gate with real commands in real directories."""

from __future__ import annotations

import os
import resource
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from app.domain.results import CheckKind, CheckResult, CheckStatus
from app.gate.checks import OUTPUT_KEPT, Gate
from app.gate.steps import Check, InstallStep, Toolchain, shell
from app.process import Stop
from app.removal import remove

LINT, BUILD, TEST, TYPES = CheckKind.LINT, CheckKind.BUILD, CheckKind.TEST, CheckKind.TYPECHECK
MakeGate = Callable[..., Gate]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    place = tmp_path / "tree"
    place.mkdir()
    return place


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "real-home").mkdir()
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "real-home"), "MASON_TOKEN": "secret"}


@pytest.fixture
def make_gate(tmp_path: Path, environ: dict[str, str]) -> MakeGate:
    def make(*checks: Check, install: InstallStep | None = None, slots: int = 4) -> Gate:
        toolchain = Toolchain(name="sample", install=install, checks=checks)
        return Gate(toolchain, environ, slots, tmp_path / "scratch", tmp_path / "installs")

    return make


def check(script: str, kind: CheckKind = TEST, *, timeout: float = 60, fix: str | None = None) -> Check:
    return Check(kind=kind, command=shell(script), timeout=timeout, autofix=shell(fix) if fix else None)


def python(script: str, kind: CheckKind = TEST, *, timeout: float = 60) -> Check:
    return Check(kind=kind, command=(sys.executable, "-c", script), timeout=timeout)


@pytest.fixture
def outcome(make_gate: MakeGate, tree: Path) -> Callable[[Check], CheckResult]:
    """How one check ends in an empty tree."""
    return lambda one: make_gate(one).run(tree, [one.kind], Stop())[0]


Outcome = Callable[[Check], CheckResult]


def test_run__results_in_the_order_asked_with_skipped_kinds(make_gate: MakeGate, tree: Path) -> None:
    gate = make_gate(check("exit 0", LINT), check("echo no; exit 3"))
    started: list[CheckKind] = []
    finished: list[CheckResult] = []
    results = gate.run(tree, [TEST, TYPES, LINT], Stop(), started.append, finished.append)
    assert [(r.kind, r.status) for r in results] == [
        (TEST, CheckStatus.FAIL),
        (TYPES, CheckStatus.SKIPPED),
        (LINT, CheckStatus.PASS),
    ]
    assert (results[0].reason, results[0].output, results[0].command) == ("exit code 3", "no\n", "echo no; exit 3")
    assert set(started) == {TEST, LINT}
    assert sorted(r.kind for r in finished) == sorted([TEST, TYPES, LINT])


def test_run__nothing_asked(make_gate: MakeGate, tree: Path) -> None:
    assert make_gate().run(tree, [], Stop()) == ()


RENDEZVOUS = "touch {mine}; while [ ! -e {theirs} ]; do sleep 0.01; done"


def test_run__checks_stand_side_by_side(make_gate: MakeGate, tree: Path) -> None:
    """Each waits for the other: one after the other, neither would ever end."""
    gate = make_gate(
        check(RENDEZVOUS.format(mine="a", theirs="b"), LINT), check(RENDEZVOUS.format(mine="b", theirs="a"))
    )
    assert [r.status for r in gate.run(tree, [LINT, TEST], Stop())] == [CheckStatus.PASS] * 2


def test_run__slots_are_shared_by_all_trees(make_gate: MakeGate, tmp_path: Path) -> None:
    """With one slot nobody ever meets anybody at work, whatever the tree."""
    alone = f"mkdir {tmp_path}/lock || exit 1; sleep 0.02; rmdir {tmp_path}/lock"
    gate = make_gate(check(alone, LINT), check(alone, BUILD), check(alone), slots=1)
    results: list[CheckResult] = []
    trees = [tmp_path / name for name in ("one", "two")]
    for place in trees:
        place.mkdir()
    threads = [
        threading.Thread(target=lambda t=place: results.extend(gate.run(t, [LINT, BUILD, TEST], Stop())))
        for place in trees
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [r.status for r in results] == [CheckStatus.PASS] * 6


def test_run__a_hanging_check_times_out(outcome: Outcome) -> None:
    result = outcome(check("echo begun; sleep 600", timeout=1))
    assert (result.status, result.reason) == (CheckStatus.TIMEOUT, "took longer than 1 s")
    assert result.output == "begun\n"
    assert result.blocks


def test_run__a_gigabyte_of_output_is_bounded(outcome: Outcome) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = outcome(check("yes | head -c 1000000000; echo the end"))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert result.status is CheckStatus.PASS
    assert len(result.output) < OUTPUT_KEPT + 100
    assert result.output.startswith("y\ny\n")
    assert result.output.endswith("the end\n")
    assert grown < 150_000  # KiB


@pytest.mark.parametrize(
    "escape",
    ["sleep 600 &", "nohup sleep 600 >&- 2>&- &", "setsid sleep 600 &", "(setsid sh -c 'sleep 600 & sleep 600' &) &"],
)
@pytest.mark.parametrize("timeout", [60.0, 0.5])
def test_run__no_child_survives(outcome: Outcome, tree: Path, escape: str, timeout: float) -> None:
    wait = "sleep 600" if timeout < 1 else "sleep 0.1"
    result = outcome(check(f"{escape} {wait}", timeout=timeout))
    assert result.status is (CheckStatus.TIMEOUT if timeout < 1 else CheckStatus.PASS)
    assert working_in(tree) == []


def test_run__a_daemon_by_double_fork_does_not_survive(outcome: Outcome, tree: Path) -> None:
    daemon = "import os, time\nif os.fork() == 0:\n os.setsid()\n if os.fork() == 0:\n  time.sleep(600)\n os._exit(0)"
    assert outcome(python(f"{daemon}\nos.wait()")).status is CheckStatus.PASS
    assert working_in(tree) == []


def working_in(tree: Path) -> list[str]:
    """The processes whose working directory is the tree."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").readlink().is_relative_to(tree):
                found.append((entry / "cmdline").read_text())
        except OSError:
            continue
    return [command for command in found if command]  # a zombie has none


def test_run__a_flooding_child_does_not_hold_back_the_end(outcome: Outcome) -> None:
    assert outcome(check("yes & exit 0")).status is CheckStatus.PASS


def test_run__invalid_utf_8_is_replaced_and_escapes_removed(outcome: Outcome) -> None:
    result = outcome(python(r"import os; os.write(1, b'a\xff\x1b[31mred\x1b[0m\r\n')"))
    assert result.output == "a\ufffdred\n"


@pytest.mark.parametrize(
    ("one", "program"),
    [
        (Check(kind=TEST, command=("no-such-program-here",)), "no-such-program-here"),
        (check("no-such-program-here --all"), "no-such-program-here"),
        (check("echo 'sh: 1: eslint: not found' >&2; exit 1"), "eslint"),
        (check("echo 'sh: line 1: vitest: command not found'; exit 127"), "vitest"),
        (check("exit 127"), "a program that the check calls"),
        (check("exit 126"), "a program that the check calls"),
        (check("echo 'make: *** [Makefile:2: lint] Error 127'; exit 2"), "a program that the check calls"),
        (check("python3 -m no_such_module_here"), "no_such_module_here"),
        (check("touch plain; ./plain"), "a program that the check calls"),
        (check("echo \"error: 'cargo-clippy' is not installed for the toolchain 'x'\"; exit 1"), "cargo-clippy"),
    ],
)
def test_run__a_missing_program_is_an_error(outcome: Outcome, one: Check, program: str) -> None:
    result = outcome(one)
    assert (result.status, result.reason) == (CheckStatus.ERROR, f"{program} is not installed here, or not executable")


def test_run__killed_by_a_signal_is_an_error(outcome: Outcome) -> None:
    result = outcome(check("kill -9 $$"))
    assert (result.status, result.reason) == (CheckStatus.ERROR, "was killed by SIGKILL")


def test_run__a_command_that_cannot_start(outcome: Outcome) -> None:
    assert outcome(Check(kind=TEST, command=("echo", "\0"))).status is CheckStatus.ERROR
    assert outcome(Check(kind=TEST, command=("echo", "x" * 10_000_000))).status is CheckStatus.ERROR


def test_run__unittest_that_finds_no_test_has_not_passed(outcome: Outcome) -> None:
    result = outcome(Check(kind=TEST, command=("python3", "-m", "unittest", "discover")))
    assert result.status is CheckStatus.FAIL


def test_run__stop_ends_running_and_waiting_checks(make_gate: MakeGate, tree: Path) -> None:
    stop = Stop()
    gate = make_gate(check("sleep 600", LINT), check("sleep 600"), slots=1)
    results = gate.run(tree, [LINT, TEST], stop, on_started=lambda _: stop.set("the claim was lost"))
    assert {(r.status, r.reason) for r in results} == {
        (CheckStatus.ERROR, "stopped: the claim was lost"),
        (CheckStatus.ERROR, "stopped"),
    }


def test_run__outputs_and_diagnostics_are_free_of_own_places(make_gate: MakeGate, tmp_path: Path) -> None:
    script = 'echo "$PWD/src/a.py:3:1: error: bad"; echo "$PWD" "$PWD-2" "$HOME" "$TMPDIR/x"; exit 1'
    gate = make_gate(check(script))
    results = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        results += gate.run(tmp_path / name, [TEST], Stop())
    assert results[0].output == f"src/a.py:3:1: error: bad\n. {tmp_path}/one-2 ~ /tmp/x\n"
    assert [d.path for d in results[0].diagnostics] == ["src/a.py"]
    assert results[0].fingerprints == results[1].fingerprints


def test_run__environment_is_an_allow_list_with_a_fresh_home(
    make_gate: MakeGate, tree: Path, tmp_path: Path, environ: dict[str, str]
) -> None:
    (tmp_path / "real-home" / ".cargo").mkdir()
    environ["PIP_INDEX_URL"] = "http://127.0.0.1:1/simple"
    gate = make_gate(check('env; ls -A "$HOME"; echo poison > "$HOME/.bashrc"; : > "$TMPDIR/x"'))
    first, second = (gate.run(tree, [TEST], Stop())[0] for _ in range(2))
    lines = first.output.splitlines()
    assert {"CI=1", "HOME=~", "NO_COLOR=1", "PIP_INDEX_URL=http://127.0.0.1:1/simple"} <= set(lines)
    assert f"CARGO_HOME={tmp_path}/real-home/.cargo" in lines
    assert not any("secret" in line or line.startswith(("RUSTUP_HOME", "VIRTUAL_ENV")) for line in lines)
    assert ".bashrc" not in second.output
    assert list((tmp_path / "scratch").iterdir()) == []


def test_run__programs_of_the_tree_come_first(make_gate: MakeGate, tree: Path) -> None:
    gate = make_gate(check("which tool"))
    for directory in ("node_modules/.bin", ".venv/bin"):
        place = tree / directory
        place.mkdir(parents=True)
        (place / "tool").write_text("#!/bin/sh\n")
        (place / "tool").chmod(0o755)
        assert gate.run(tree, [TEST], Stop())[0].output == f"{directory}/tool\n"


def test_autofix__runs_those_asked_one_after_the_other(make_gate: MakeGate, tree: Path) -> None:
    gate = make_gate(
        check("x", LINT, fix="echo lint >> log; exit 1"), check("x", TYPES, fix="echo types >> log"), check("x")
    )
    assert gate.autofix(tree, [LINT, TEST, TYPES], Stop()) == ["echo lint >> log; exit 1", "echo types >> log"]
    assert (tree / "log").read_text() == "lint\ntypes\n"
    stopped = Stop()
    stopped.set("over")
    assert gate.autofix(tree, [LINT], stopped) == []


def test_run__byte_code_of_an_earlier_state_is_not_believed(make_gate: MakeGate, tree: Path) -> None:
    module = tree / "answer.py"
    gate = make_gate(check("python3 -m compileall -q . && python3 -c 'import answer, sys; sys.exit(answer.VALUE)'"))

    def judged(value: int) -> CheckStatus:
        module.write_text(f"VALUE = {value}\n")
        os.utime(module, (1_000_000_000, 1_000_000_000))
        return gate.run(tree, (TEST,), Stop())[0].status

    assert judged(1) is CheckStatus.FAIL
    assert judged(0) is CheckStatus.PASS


@pytest.mark.parametrize("place", ["$HOME", "$TMPDIR", "."])
def test_run__directories_deeper_than_python_can_walk(place: str, make_gate: MakeGate, tree: Path) -> None:
    dig = "import os\nfor _ in range(1500):\n    os.mkdir('d')\n    os.chdir('d')\nos.mkdir('__pycache__')"
    gate = make_gate(check(f'cd {place} && [ -e d ] || {sys.executable} -c "{dig}"'))
    for _ in range(2):
        (result,) = gate.run(tree, (TEST,), Stop())
        assert (result.status, result.output) == (CheckStatus.PASS, "")
    assert remove(tree, os.environ["PATH"])  # pytest itself could not
