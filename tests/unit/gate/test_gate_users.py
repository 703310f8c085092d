"""The gate in trees of other users: homes, the install cache, and programs that only Mason can reach."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app import users
from app.domain.results import CheckKind, CheckResult, CheckStatus
from app.gate.checks import Gate
from app.gate.environment import check_environment, install_environment
from app.gate.steps import Check, InstallStep, Toolchain, Words, shell
from app.process import Stop
from tests.other_users import needs_root, user_pool
from tests.unit.test_users import sh

pytestmark = needs_root
PATH = "/usr/local/bin:/usr/bin:/bin"
INSTALL = "mkdir -p node_modules/.bin && echo '#!/bin/sh' > node_modules/.bin/tool && chmod 4755 node_modules/.bin/tool"


@pytest.fixture
def make_tree(data_root: Path) -> Iterator[Callable[[str], Path]]:
    """A directory of a user of its own, with the file that keys installs."""
    with ExitStack() as stack:

        def make(name: str) -> Path:
            tree = data_root / name
            tree.mkdir(mode=0o700)
            (tree / "package.json").write_text("{}")
            users.give_all(tree, stack.enter_context(user_pool().lease()))
            return tree

        yield make


def gate(root: Path, *, check: Words = ("true",), install: str = "", path: str = PATH) -> Gate:
    step = InstallStep(command=shell(install), key_files=("package.json",), produces=("node_modules",), timeout=60)
    toolchain = Toolchain(
        name="x", install=step if install else None, checks=(Check(kind=CheckKind.TEST, command=check, timeout=60),)
    )
    return Gate(toolchain, {"PATH": path, "HOME": "/root"}, 4, root / "homes", root / "state" / "installs")


def checked(gate: Gate, tree: Path) -> CheckResult:
    (result,) = gate.run(tree, (CheckKind.TEST,), Stop())
    return result


def test_check__its_home_is_its_users_alone(make_tree: Callable[[str], Path], data_root: Path) -> None:
    tree, other = make_tree("tree"), make_tree("other")
    script = 'id -u; touch "$HOME/x" "$TMPDIR/x" && stat -c "%u %a" "$HOME/.."; echo "$HOME" > home'
    result = checked(gate(data_root, check=shell(script)), tree)
    user = users.owner(tree)
    assert result.output.split("\n")[:2] == [str(user), f"{user} 700"]
    home = Path((tree / "home").read_text().strip())
    assert not home.exists()
    assert stat.S_IMODE((data_root / "homes").stat().st_mode) == 0o711
    assert not sh(f"ls {data_root / 'homes'}", other).ok


def test_install__has_a_fresh_home_and_writes_into_its_tree(make_tree: Callable[[str], Path], data_root: Path) -> None:
    tree = make_tree("tree")
    works = gate(data_root, install='test -z "$(ls -A "$HOME")" && touch "$HOME/x" "$TMPDIR/x" && id -u > user')
    assert works.prepare(tree, Stop()) is None
    assert (tree / "user").read_text() == f"{users.owner(tree)}\n"


def test_installs__copies_belong_to_the_trees_user_and_the_cache_to_root(
    make_tree: Callable[[str], Path], data_root: Path
) -> None:
    base, tree, other = make_tree("base"), make_tree("tree"), make_tree("other")
    commands = gate(
        data_root, check=shell("tool && echo x >> node_modules/.bin/tool && touch node_modules/y"), install=INSTALL
    )
    assert commands.prepare(base, Stop(), base=True) is None
    (entry,) = (data_root / "state" / "installs").iterdir()
    assert {path.lstat().st_uid for path in [entry, *entry.rglob("*")]} == {0}
    assert not sh(f"ls {entry} || ls {entry.parent}", other).ok
    for each in (tree, other):
        assert commands.prepare(each, Stop()) is None
        assert {path.lstat().st_uid for path in (each / "node_modules").rglob("*")} == {users.owner(each)}
        assert checked(commands, each).status is CheckStatus.PASS
    assert (entry / "node_modules/.bin/tool").read_text() == "#!/bin/sh\n"


def test_installs__somebody_elses_file_is_not_taken_into_the_cache(
    make_tree: Callable[[str], Path], data_root: Path
) -> None:
    """Root makes the hard link that the kernel mostly does not let the install step make."""
    secret = data_root / "secret"
    secret.write_text("s3cret")
    secret.chmod(0o600)
    tree = make_tree("tree")
    (tree / "node_modules").mkdir()
    users.give(tree / "node_modules", users.owner(tree))
    os.link(secret, tree / "node_modules" / "secret")
    assert gate(data_root, install="true").prepare(tree, Stop(), base=True) is None
    assert [path.name for path in (data_root / "state" / "installs").rglob("secret")] == []


@pytest.mark.parametrize("command", [("tool",), shell("tool --version"), shell("exec tool")])
def test_check__a_program_that_only_mason_reaches_is_said_so(
    make_tree: Callable[[str], Path], data_root: Path, command: Words
) -> None:
    tree = make_tree("tree")
    tools = data_root / "roots" / "bin"
    tools.mkdir(parents=True)
    (tools / "tool").write_text("#!/bin/sh\n")
    (tools / "tool").chmod(0o755)
    (data_root / "roots").chmod(0o700)
    result = checked(gate(data_root, check=command, path=f"{tools}:{PATH}"), tree)
    assert result.status is CheckStatus.ERROR
    assert (
        result.reason
        == f"tool is in {tools}, where the user {users.owner(tree)}, whom commands run as, cannot get at it"
    )


def test_check__a_program_that_is_not_there(make_tree: Callable[[str], Path], data_root: Path) -> None:
    result = checked(gate(data_root, check=("no-such-tool",)), make_tree("tree"))
    assert result.reason == "no-such-tool is not installed here, or not executable"


def test_environment__tool_homes_that_the_user_reaches(make_tree: Callable[[str], Path], data_root: Path) -> None:
    tree = make_tree("tree")
    open_home, closed = data_root / "cargo", data_root / "closed"
    open_home.mkdir()
    (closed / "go").mkdir(parents=True)
    closed.chmod(0o700)
    environ = {"PATH": PATH, "HOME": str(closed), "CARGO_HOME": str(open_home), "GOPATH": str(closed / "go")}
    environ |= {"HTTPS_PROXY": "http://proxy", "npm_config_registry": "https://registry.example"}
    own = data_root / "h" / "home", data_root / "h" / "tmp"
    for made in (check_environment(environ, tree, *own), install_environment(environ, tree, *own)):
        assert (made["CARGO_HOME"], made["HOME"], made["TMPDIR"]) == (str(open_home), *map(str, own))
        assert "GOPATH" not in made
        assert made["npm_config_registry"] == "https://registry.example"
    assert install_environment(environ, tree, *own)["HTTPS_PROXY"] == "http://proxy"
    in_roots = install_environment(environ, data_root, *own)
    assert (in_roots["HOME"], in_roots["GOPATH"]) == (str(closed), str(closed / "go"))
