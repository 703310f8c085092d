"""Agents in trees of other users."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from app import users
from app.agents.adapters import ADAPTERS, AgentOptions
from app.agents.claude import ClaudeAgent
from app.domain.items import Item, ItemStatus
from app.errors import UsageError
from app.ports.agent import AgentRequest, AgentResult, Role
from app.process import Stop
from tests.other_users import needs_root, user_pool
from tests.unit.agents.claude_kit import Calls, printed, result
from tests.unit.test_users import living, sh

pytestmark = needs_root
PATH = "/usr/local/bin:/usr/bin:/bin"


@pytest.fixture
def user() -> Iterator[int]:
    with user_pool().lease() as leased:
        yield leased


@pytest.fixture
def tree(data_root: Path, user: int) -> Path:
    tree = data_root / "tree"
    (tree / "src").mkdir(parents=True)
    (tree / "src" / "f.txt").write_text("old\n")
    users.give_all(tree, user)
    return tree


@pytest.fixture
def scratch(data_root: Path) -> Path:
    scratch = data_root / "agent"
    scratch.mkdir(mode=0o711)
    return scratch


def call(tree: Path, scratch: Path, script: str = "", *, prd: str = "", role: Role = Role.IMPLEMENT) -> AgentResult:
    options = AgentOptions(environ={"PATH": PATH, "HOME": "/root"}, command=("sh", "-c", script), scratch=scratch)
    item = Item(id=UUID(int=1), title="T", status=ItemStatus.IN_PROGRESS, prd=prd)
    request = AgentRequest(
        role=role, item=item, prompt="p", worktree=tree, time_limit=60, task_id="1.1", schema={"type": "object"}
    )
    return ADAPTERS["patch" if prd else "command"](options).run(request, Stop(), lambda _: None)


def test_command__edits_reads_its_schema_and_answers(tree: Path, scratch: Path, user: int) -> None:
    script = (
        'id -u >> src/f.txt && echo new > src/new.txt && test -r "$MASON_SCHEMA" && touch "$HOME/x" "$TMPDIR/x" &&'
        ' printf \'{"user": %s, "mode": %s}\' "$(id -u)" "$(stat -c %a "$HOME/..")" > "$MASON_ANSWER"'
    )
    result = call(tree, scratch, script)
    assert (result.error, result.answer) == ("", {"user": user, "mode": 700})
    assert (tree / "src/f.txt").read_text() == f"old\n{user}\n"
    assert list(scratch.iterdir()) == []


def test_command__gets_at_nothing_of_masons(tree: Path, scratch: Path, user: int) -> None:
    script = f"cat /proc/{os.getpid()}/environ; kill -9 {os.getpid()}; ls {scratch}; ls /root; echo x > {scratch}/x"
    result = call(tree, scratch, f"exec 2>&1; {script}; (setsid env -i sleep 600 &) ; echo end")
    said = result.text.split("\n")
    assert len([line for line in said if "denied" in line or "permitted" in line]) >= 4
    assert living(user) == []


def test_command__an_answer_that_is_a_hard_link_is_not_read(tree: Path, scratch: Path, data_root: Path) -> None:
    """Made from outside: here the kernel protects hard links."""
    secret = data_root / "secret"
    secret.write_text('{"secret": 1}')
    secret.chmod(0o600)
    os.mkfifo(data_root / "told")
    os.mkfifo(data_root / "go")
    for name in ("told", "go"):
        (data_root / name).chmod(0o666)
    import threading

    def link() -> None:
        answer = Path((data_root / "told").read_text().strip())
        os.link(secret, answer)
        (data_root / "go").write_text("go\n")

    helper = threading.Thread(target=link)
    helper.start()
    result = call(tree, scratch, f'echo "$MASON_ANSWER" > {data_root}/told; cat {data_root}/go')
    helper.join()
    assert "not a JSON object" in result.error
    assert "secret" not in f"{result.text}{result.answer}"


def test_command__a_program_that_only_mason_reaches(tree: Path, scratch: Path, data_root: Path) -> None:
    tool = data_root / "roots" / "tool"
    tool.parent.mkdir(mode=0o700)
    tool.touch(mode=0o755)
    options = AgentOptions(environ={"PATH": PATH}, command=(str(tool),), scratch=scratch)
    item = Item(id=UUID(int=1), title="T", status=ItemStatus.IN_PROGRESS)
    request = AgentRequest(role=Role.IMPLEMENT, item=item, prompt="p", worktree=tree, time_limit=60)
    with pytest.raises(UsageError, match=f"cannot get at {tool}"):
        ADAPTERS["command"](options).run(request, Stop(), lambda _: None)


DIFF = """```diff
--- a/src/f.txt
+++ b/src/f.txt
@@ -1 +1 @@
-old
+new
--- /dev/null
+++ b/deep/er/new.txt
@@ -0,0 +1 @@
+new
```
"""


def test_patch__what_it_writes_is_the_trees_users(tree: Path, scratch: Path, user: int) -> None:
    assert call(tree, scratch, prd=DIFF).error == ""
    assert {path.lstat().st_uid for path in [tree, *tree.rglob("*")]} == {user}
    assert sh("echo x >> src/f.txt && echo x >> deep/er/new.txt && touch deep/x deep/er/x", tree).ok


RENAME = """```diff
diff --git a/src/secret b/src/told
similarity index 100%
rename from src/secret
rename to src/told
```
"""


def test_patch__somebody_elses_file_is_not_changed(tree: Path, scratch: Path, data_root: Path) -> None:
    secret = data_root / "secret"
    secret.write_text("s3cret")
    secret.chmod(0o600)
    os.link(secret, tree / "src" / "secret")
    result = call(tree, scratch, prd=RENAME)
    assert "somebody else" in result.error
    assert not (tree / "src" / "told").exists()


def claude(calls: Calls, user: int, *scripts: str) -> ClaudeAgent:
    """A stand-in for Claude Code, for a tree of the user's; only Mason writes where its files are."""
    users.give(calls.tree, user)
    users.give(calls.place / "notes", user)
    calls.scratch.chmod(0o711)
    return calls.agent(*scripts)


def test_claude__works_as_the_trees_user_in_places_of_its_own(data_root: Path, user: int) -> None:
    calls = Calls(place=data_root / "calls")
    script = 'id -u > who; touch "$HOME/x" "$TMPDIR/x" "$CLAUDE_CONFIG_DIR/x"; (setsid env -i sleep 600 &)'
    agent = claude(calls, user, f"{script}\n{printed(result())}")
    assert calls.call(agent).error == ""
    assert (calls.tree / "who").read_text() == f"{user}\n"
    assert living(user) == []
    assert list(calls.scratch.iterdir()) == []


def test_claude__sessions_are_their_trees_users(data_root: Path, user: int) -> None:
    """A tree that comes back with another user finds nothing of the one before."""
    calls = Calls(place=data_root / "calls")
    agent = claude(calls, user, f'ls "$CLAUDE_CONFIG_DIR" > seen; touch "$CLAUDE_CONFIG_DIR/x"\n{printed(result())}')
    for expected in ("", "x\n"):
        assert calls.call(agent, role=Role.FIX, iteration=1).error == ""
        assert (calls.tree / "seen").read_text() == expected
    (kept,) = calls.scratch.iterdir()
    assert (kept.stat().st_uid, stat.S_IMODE(kept.stat().st_mode)) == (user, 0o700)
    with user_pool().lease() as other:
        users.give_all(calls.tree, other)
        users.give_all(calls.place / "notes", other)
        assert calls.call(agent, role=Role.FIX, iteration=1).error == ""
        assert (calls.tree / "seen").read_text() == ""
        assert [place.stat().st_uid for place in calls.scratch.iterdir()] == [other]


def test_claude__a_program_that_only_mason_reaches(data_root: Path, user: int) -> None:
    calls = Calls(place=data_root / "calls")
    agent = claude(calls, user, "true")
    calls.place.chmod(0o700)
    with pytest.raises(UsageError, match=f"cannot get at {calls.place}/claude"):
        calls.call(agent)
