"""Agents in trees of other users."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from app import users
from app.agents.adapters import ADAPTERS, AgentOptions
from app.domain.items import Item, ItemStatus
from app.errors import UsageError
from app.ports.agent import AgentRequest, AgentResult, Role
from app.process import Stop
from tests.other_users import needs_root, user_pool
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
