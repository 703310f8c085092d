"""The install step and its cache: copies for equal keys, filled from a clean base alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from app.domain.results import CheckKind, CheckStatus
from app.gate.checks import Gate
from app.gate.steps import InstallStep, Toolchain, shell
from app.process import Stop

INSTALL = """
echo run >> ../log
mkdir -p node_modules/.bin node_modules/a packages/p/node_modules
cp lock node_modules/a/index.js
ln node_modules/a/index.js node_modules/a/twin.js
ln -s ../a/index.js node_modules/.bin/a
chmod 755 node_modules/a/index.js
echo p > packages/p/node_modules/p
"""
STEP = InstallStep(
    command=shell(INSTALL),
    timeout=60,
    key_files=("lock", "package.json", ".npmrc"),
    produces=("node_modules", "packages/p/node_modules", "packages/q/node_modules"),
)
MakeTree = Callable[..., Path]


@pytest.fixture
def make_tree(tmp_path: Path) -> MakeTree:
    def make(name: str, lock: str = "v1") -> Path:
        place = tmp_path / name
        (place / "packages" / "p").mkdir(parents=True)
        (place / "lock").write_text(lock)
        return place

    return make


@pytest.fixture
def make_gate(tmp_path: Path) -> Callable[[InstallStep | None], Gate]:
    def make(step: InstallStep | None = STEP) -> Gate:
        environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        toolchain = Toolchain(name="sample", install=step, checks=())
        return Gate(toolchain, environ, 2, tmp_path / "scratch", tmp_path / "installs")

    return make


@pytest.fixture
def gate(make_gate: Callable[[], Gate]) -> Gate:
    return make_gate()


def installs(tmp_path: Path) -> int:
    """How often the install step has run."""
    log = tmp_path / "log"
    return len(log.read_text().splitlines()) if log.exists() else 0


def test_prepare__an_equal_tree_gets_a_copy(gate: Gate, make_tree: MakeTree, tmp_path: Path) -> None:
    base, other = make_tree("base"), make_tree("other")
    assert gate.prepare(base, Stop(), base=True) is None
    assert gate.prepare(other, Stop()) is None
    assert installs(tmp_path) == 1
    assert (other / "packages/p/node_modules/p").read_text() == "p\n"
    assert not (other / "packages/q").exists()
    link = other / "node_modules/.bin/a"
    assert (link.readlink(), link.read_text()) == (Path("../a/index.js"), "v1")
    assert os.access(other / "node_modules/a/index.js", os.X_OK)


def test_prepare__copies_share_no_file_with_anything(gate: Gate, make_tree: MakeTree, tmp_path: Path) -> None:
    trees = [make_tree(name) for name in ("base", "one", "two")]
    for tree in trees:
        gate.prepare(tree, Stop(), base=tree is trees[0])
    entry = next((tmp_path / "installs").iterdir())
    files = [place / "node_modules/a" / name for place in (*trees[1:], entry) for name in ("index.js", "twin.js")]
    assert [file.stat().st_nlink for file in files] == [1] * 6
    assert len({file.stat().st_ino for file in files}) == 6
    (trees[1] / "node_modules/a/index.js").write_text("changed by an agent")
    assert gate.prepare(trees[2], Stop()) is None
    assert (trees[2] / "node_modules/a/index.js").read_text() == "v1"


def test_prepare__another_key_is_installed_anew(gate: Gate, make_tree: MakeTree, tmp_path: Path) -> None:
    gate.prepare(make_tree("base"), Stop(), base=True)
    changed, configured, linked = make_tree("changed", "v2"), make_tree("configured"), make_tree("linked")
    (configured / ".npmrc").write_text("registry=http://127.0.0.1:1")
    (linked / "lock").rename(linked / "real")
    (linked / "lock").symlink_to("real")
    for tree in (changed, configured, linked):
        assert gate.prepare(tree, Stop()) is None
    assert installs(tmp_path) == 4
    assert (changed / "node_modules/a/index.js").read_text() == "v2"


def test_prepare__a_tree_that_is_not_the_base_never_fills_the_cache(
    gate: Gate, make_tree: MakeTree, tmp_path: Path
) -> None:
    """An agent's install step may have been made to write anything; the next tree must not get it."""
    poisoned = make_tree("poisoned")
    gate.prepare(poisoned, Stop())
    (poisoned / "node_modules/a/index.js").write_text("evil")
    assert not (tmp_path / "installs").exists()
    clean = make_tree("clean")
    gate.prepare(clean, Stop())
    assert installs(tmp_path) == 2
    assert (clean / "node_modules/a/index.js").read_text() == "v1"


def test_prepare__a_copy_replaces_what_an_agent_left(gate: Gate, make_tree: MakeTree, tmp_path: Path) -> None:
    gate.prepare(make_tree("base"), Stop(), base=True)
    tree, outside = make_tree("tree"), tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("kept")
    (tree / "node_modules").symlink_to(outside)
    (tree / "packages/p/node_modules").mkdir()
    (tree / "packages/p/node_modules/evil").write_text("evil")
    assert gate.prepare(tree, Stop()) is None
    assert not (tree / "node_modules").is_symlink()
    assert os.listdir(tree / "packages/p/node_modules") == ["p"]
    assert os.listdir(outside) == ["precious"]


def test_prepare__never_copies_through_a_link_out_of_the_tree(gate: Gate, make_tree: MakeTree, tmp_path: Path) -> None:
    gate.prepare(make_tree("base"), Stop(), base=True)
    tree, outside = make_tree("tree"), tmp_path / "outside"
    (outside / "node_modules").mkdir(parents=True)
    (tree / "packages/p").rmdir()
    (tree / "packages/p").symlink_to(outside)
    gate.prepare(tree, Stop())
    assert installs(tmp_path) == 2  # installed instead


def test_prepare__an_install_that_changes_its_own_key_is_not_kept(
    make_gate: Callable[[InstallStep], Gate], make_tree: MakeTree, tmp_path: Path
) -> None:
    step = InstallStep(command=shell(f"{INSTALL}\necho 2 >> lock"), key_files=("lock",), produces=("node_modules",))
    assert make_gate(step).prepare(make_tree("base"), Stop(), base=True) is None
    assert not (tmp_path / "installs").exists()


def test_prepare__what_cannot_be_copied_runs_in_every_tree(
    make_gate: Callable[[InstallStep], Gate], make_tree: MakeTree, tmp_path: Path
) -> None:
    gate = make_gate(InstallStep(command=shell("echo run >> ../log"), key_files=("lock",)))
    for name in ("base", "one", "two"):
        assert gate.prepare(make_tree(name), Stop(), base=True) is None
    assert installs(tmp_path) == 3


def test_prepare__the_real_home_is_there_for_registry_configuration(
    make_gate: Callable[[InstallStep], Gate], make_tree: MakeTree, tmp_path: Path
) -> None:
    tree = make_tree("tree")
    assert make_gate(InstallStep(command=shell('echo "$HOME" > home'))).prepare(tree, Stop()) is None
    assert (tree / "home").read_text() == f"{tmp_path}\n"


def test_prepare__nothing_to_install(make_gate: Callable[[InstallStep | None], Gate], make_tree: MakeTree) -> None:
    assert make_gate(None).prepare(make_tree("tree"), Stop()) is None


@pytest.mark.parametrize(
    ("script", "timeout", "status", "reason"),
    [
        ("echo no such package; exit 1", 60, CheckStatus.FAIL, "install failed: exit code 1"),
        ("sleep 600", 0.2, CheckStatus.TIMEOUT, "install failed: took longer than 0.2 s"),
        ("no-such-program-here", 60, CheckStatus.ERROR,
         "install failed: no-such-program-here is not installed here, or not executable"),
    ],
)  # fmt: skip
def test_prepare__a_failed_install_is_a_failed_build(
    make_gate: Callable[[InstallStep], Gate],
    make_tree: MakeTree,
    tmp_path: Path,
    script: str,
    timeout: float,
    status: CheckStatus,
    reason: str,
) -> None:
    step = InstallStep(command=shell(script), timeout=timeout, key_files=("lock",), produces=("node_modules",))
    failed = make_gate(step).prepare(make_tree("base"), Stop(), base=True)
    assert failed is not None
    assert (failed.kind, failed.status, failed.reason, failed.command) == (CheckKind.BUILD, status, reason, script)
    assert failed.blocks
    assert not (tmp_path / "installs").exists()


def test_prepare__stopped(gate: Gate, make_tree: MakeTree, tmp_path: Path) -> None:
    stop = Stop()
    stop.set("cancelled")
    failed = gate.prepare(make_tree("base"), stop, base=True)
    assert failed is not None
    assert (failed.status, failed.reason) == (CheckStatus.ERROR, "stopped")
    assert installs(tmp_path) == 0
