"""The patch agent on real directories, with real git."""

from __future__ import annotations

import difflib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.agents.hunks import reanchored
from app.agents.patch import PatchAgent
from app.domain.items import Item, ItemStatus
from app.ports.agent import AgentRequest, AgentResult, Role
from app.process import Stop

LINES = [f"line {n}\n" for n in range(1, 13)]


def patched(old: list[str], changes: dict[int, list[str]]) -> list[str]:
    """The lines with some (counted from 0) replaced by others."""
    return [new for at, line in enumerate(old) for new in changes.get(at, [line])]


def diff(old: list[str], new: list[str], path: str = "f.txt") -> str:
    return "".join(difflib.unified_diff(old, new, f"a/{path}", f"b/{path}"))


def fence(content: str, info: str = "diff") -> str:
    return f"````{info}\n{content.rstrip()}\n````\n\n"


CHANGE_5 = diff(LINES, patched(LINES, {4: ["LINE 5\n"]}))
CHANGE_6 = diff(LINES, patched(LINES, {5: ["LINE 6\n"]}))
AFTER_5_A = diff(LINES, patched(LINES, {4: [LINES[4], "a\n"]}))
AFTER_5_B = diff(LINES, patched(LINES, {4: [LINES[4], "b\n"]}))
APPEND_A = diff(LINES, [*LINES, "a\n"])
APPEND_B = diff(LINES, [*LINES, "b\n"])
NEW = "--- /dev/null\n+++ b/new/file.txt\n@@ -0,0 +1 @@\n+hello\n"


@pytest.fixture(params=["plain", "repository", "hostile"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A directory with one file: bare of git, a repository's, or one whose git configuration wants to run things."""
    root = tmp_path / "outer" / "tree"
    root.mkdir(parents=True)
    (root / "f.txt").write_text("".join(LINES))
    if request.param != "plain":
        subprocess.run(["git", "init", "-q", str(root.parent)], check=True)
        subprocess.run(["git", "init", "-q", str(root)], check=True)
    if request.param == "hostile":
        (root / ".gitattributes").write_text("* filter=evil text eol=crlf\n")
        with (root / ".git" / "config").open("a") as config:
            config.write(f'[filter "evil"]\n\tclean = touch {tmp_path}/ran\n\tsmudge = touch {tmp_path}/ran\n')
            config.write("[apply]\n\twhitespace = error-all\n")
    return root


@pytest.fixture
def agent() -> PatchAgent:
    return PatchAgent(os.environ)


Call = Callable[..., AgentResult]


@pytest.fixture
def call(agent: PatchAgent, tree: Path) -> Call:
    def calling(prd: str | None, role: Role = Role.IMPLEMENT, **fields: object) -> AgentResult:
        item = Item(id=UUID(int=1), title="T", status=ItemStatus.IN_PROGRESS, prd=prd)
        if role is Role.IMPLEMENT:
            fields.setdefault("task_id", "2.1")
        request = AgentRequest(role=role, item=item, prompt="", worktree=tree, time_limit=30, **fields)  # type: ignore[arg-type]
        return agent.run(request, Stop(), lambda _: None)

    return calling


def content(tree: Path) -> dict[str, str]:
    files = (path for path in tree.rglob("*") if ".git" not in path.parts and (path.is_file() or path.is_symlink()))
    return {
        str(path.relative_to(tree)): str(path.readlink()) if path.is_symlink() else path.read_bytes().decode()
        for path in files
    }


def test_patch__applies_the_diffs_of_its_task_only(call: Call, tree: Path, tmp_path: Path) -> None:
    prd = fence(CHANGE_5, "diff task=2.1") + fence(NEW, 'diff task="2.1"') + fence(CHANGE_6, "diff task=2.2")
    result = call(prd)
    assert result.error == ""
    assert (tree / "f.txt").read_text() == "".join(patched(LINES, {4: ["LINE 5\n"]}))
    assert (tree / "new/file.txt").read_text() == "hello\n"
    assert not (tmp_path / "ran").exists()


def test_patch__a_task_without_diff_edits_nothing_and_is_fine(call: Call, tree: Path) -> None:
    before = content(tree)
    assert call(fence(CHANGE_5, "diff task=9.9")).error == ""
    assert content(tree) == before


@pytest.mark.parametrize("prd", [None, "# Only words\n"])
def test_patch__a_prd_without_any_diff_is_said_to_be_one(call: Call, tree: Path, prd: str | None) -> None:
    before = content(tree)
    assert call(prd).error.startswith("The PRD contains no diff")
    assert content(tree) == before


def test_patch__a_diff_without_address_belongs_to_the_first_implementing_call(call: Call, tree: Path) -> None:
    prd = fence(NEW)
    assert call(prd, task_id="2.1").error == ""
    (tree / "new/file.txt").unlink()
    assert call(prd, task_id="2.2").error == ""
    assert not (tree / "new/file.txt").exists()
    assert call(prd, task_id="2.1").error == ""
    assert (tree / "new/file.txt").exists()


def test_patch__fix_diffs_belong_to_their_iteration(call: Call, tree: Path) -> None:
    prd = fence(CHANGE_5, "diff fix=2") + fence(NEW)
    assert call(prd, Role.FIX, iteration=1).answer == {
        "decision": "fixed",
        "reason": "The PRD has no diff for this.",
    }
    assert (tree / "f.txt").read_text() == "".join(LINES)
    assert call(prd, Role.FIX, iteration=2).error == ""
    assert "LINE 5" in (tree / "f.txt").read_text()
    assert not (tree / "new").exists()


def test_patch__is_quiet_about_a_diff_that_is_in_already(call: Call, tree: Path) -> None:
    call(fence(APPEND_A))
    before = content(tree)
    assert call(fence(APPEND_A)).error == ""
    assert content(tree) == before


@pytest.mark.parametrize(
    ("first", "second", "changes"),
    [
        (CHANGE_5, CHANGE_6, {4: ["LINE 5\n"], 5: ["LINE 6\n"]}),
        (CHANGE_6, CHANGE_5, {4: ["LINE 5\n"], 5: ["LINE 6\n"]}),
        (AFTER_5_A, AFTER_5_B, {4: [LINES[4], "b\n", "a\n"]}),
        (APPEND_A, APPEND_B, {11: [LINES[11], "b\n", "a\n"]}),
        (CHANGE_5, AFTER_5_B, {4: ["LINE 5\n", "b\n"]}),
    ],
    ids=["below", "above", "same place", "end of file", "changed above"],
)
def test_patch__applies_to_a_merged_state(
    call: Call, tree: Path, first: str, second: str, changes: dict[int, list[str]]
) -> None:
    assert call(fence(first)).error == ""
    assert call(fence(second)).error == ""
    assert (tree / "f.txt").read_text() == "".join(patched(LINES, changes))


def test_patch__fits_a_file_with_crlf(call: Call, tree: Path) -> None:
    (tree / "f.txt").write_bytes("".join(LINES).replace("\n", "\r\n").encode())
    assert call(fence(CHANGE_5)).error == ""
    expected = "".join(patched(LINES, {4: ["LINE 5\n"]})).replace("\n", "\r\n")
    assert (tree / "f.txt").read_bytes() == expected.encode()


def test_patch__takes_paths_without_prefixes_and_keeps_modes(call: Call, tree: Path) -> None:
    (tree / "f.txt").chmod(0o755)
    assert call(fence(CHANGE_5.replace("a/f.txt", "f.txt").replace("b/f.txt", "f.txt"))).error == ""
    assert (tree / "f.txt").stat().st_mode & 0o111 == 0o111
    assert "LINE 5" in (tree / "f.txt").read_text()


def test_patch__renames_deletes_and_changes_modes(call: Call, tree: Path) -> None:
    (tree / "sub").mkdir()
    (tree / "sub/gone.txt").write_text("gone\n")
    gone = "--- a/sub/gone.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-gone\n"
    move = "diff --git a/f.txt b/dir/g h.txt\nsimilarity index 100%\nrename from f.txt\nrename to dir/g h.txt\n"
    assert call(fence(gone) + fence(move)).error == ""
    names = set(content(tree)) - {".gitattributes"}
    assert names == {"dir/g h.txt"}
    assert not (tree / "sub").exists()


SYMLINK = (
    "diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n"
    "+{}\n\\ No newline at end of file\n"
)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (CHANGE_5.replace("line", "other"), "does not apply"),
        (CHANGE_5.replace("f.txt", "missing.txt"), "does not apply"),
        (NEW.replace("new/file.txt", "f.txt"), "does not apply"),
        (NEW.replace("new/file.txt", "../out.txt"), "leaves the repository"),
        (NEW.replace("b/new/file.txt", "/tmp/mason-out.txt"), "leaves the repository"),
        (NEW.replace("new/file.txt", ".git/hooks/pre-commit"), "touches .git"),
        (NEW.replace("new/file.txt", "sub/.GIT/config"), "touches .git"),
        (NEW.replace("new/file.txt", "out/file.txt"), "goes through a symbolic link"),
        (SYMLINK.format("/etc/passwd"), "makes a symbolic link that leaves"),
        (SYMLINK.format("../../x"), "makes a symbolic link that leaves"),
        (SYMLINK.format("a/../../x"), "makes a symbolic link that leaves"),
        (SYMLINK.format(".git/config"), "makes a symbolic link that leaves"),
        ("diff --git a/i.png b/i.png\nBinary files a/i.png and b/i.png differ\n", "is binary and carries no data"),
        ("", "is empty"),
        ("only words\n", "is empty"),
        ("--- a/f.txt\n+++ b/f.txt\n@@ broken @@\n-x\n", "does not apply"),
        (CHANGE_5.replace("@@ -2,7 +2,7 @@", "@@ -2,70 +2,70 @@"), "does not apply"),
        ("\x00\x01\n--- a/f.txt\n+++ b/f.txt\n@@ -1 +1 @@\n-\x00\n+\x01\n", "does not apply"),
    ],
    ids=range(18),
)
def test_patch__leaves_the_tree_as_it_was_when_a_diff_is_bad(
    call: Call, tree: Path, bad: str, says: str, tmp_path: Path
) -> None:
    (tree / "out").symlink_to(tmp_path)
    before = content(tree)
    result = call(fence(NEW) + fence(bad))
    assert says in result.error
    assert result.error.startswith(("The diff at line 8 of the PRD ", "A diff of the PRD "))
    assert result.error.endswith(".")
    assert "\n" not in result.error
    assert content(tree) == before


def test_patch__a_link_within_the_tree_is_fine(call: Call, tree: Path) -> None:
    assert call(fence(SYMLINK.format("f.txt"))).error == ""
    assert (tree / "l").readlink() == Path("f.txt")


def test_patch__does_not_move_a_link_so_that_it_leads_out(call: Call, tree: Path) -> None:
    (tree / "deep").mkdir()
    (tree / "deep/l").symlink_to("../f.txt")
    move = "diff --git a/deep/l b/l\nsimilarity index 100%\nrename from deep/l\nrename to l\n"
    assert "symbolic link" in call(fence(move)).error
    assert (tree / "deep/l").is_symlink()


def test_patch__binary_diffs_with_data_apply(call: Call, tree: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    subprocess.run(["git", "init", "-q", str(work)], check=True)
    (work / "i.bin").write_bytes(bytes(range(256)))
    subprocess.run(["git", "add", "i.bin"], cwd=work, check=True)
    made = subprocess.run(["git", "diff", "--cached", "--binary"], cwd=work, check=True, capture_output=True, text=True)
    assert call(fence(made.stdout + "\n")).error == ""
    assert (tree / "i.bin").read_bytes() == bytes(range(256))


@pytest.mark.parametrize("address", ["task=abc", "fix=x", "task=", "fix=-1"])
def test_patch__an_address_that_cannot_be_read_is_an_error(call: Call, tree: Path, address: str) -> None:
    result = call(fence(NEW, f"diff {address}"))
    assert result.error == f"The diff at line 1 of the PRD has an address that cannot be read: {address}."
    assert not (tree / "new").exists()


def test_patch__verify_skips_when_every_diff_is_in_the_code(call: Call, tree: Path) -> None:
    prd = (
        fence(CHANGE_5, "diff task=2.1")
        + fence(NEW, "diff task=2.2")
        + fence(
            NEW.replace("hello", "bye")
            .replace("--- /dev/null", "--- a/new/file.txt")
            .replace("@@ -0,0 +1 @@\n", "@@ -1 +1 @@\n-hello\n"),
            "diff fix=1",
        )
    )
    assert (call(prd, Role.VERIFY).answer or {})["decision"] == "PROCEED"
    call(prd, task_id="2.1")
    assert (call(prd, Role.VERIFY).answer or {})["decision"] == "PROCEED"
    call(prd, task_id="2.2")
    assert (call(prd, Role.VERIFY).answer or {})["decision"] == "SKIP"
    call(prd, Role.FIX, iteration=1)
    before = content(tree)
    assert (call(prd, Role.VERIFY).answer or {})["decision"] == "SKIP"
    assert content(tree) == before


def test_patch__verify_of_a_prd_without_diffs_proceeds(call: Call) -> None:
    assert (call("words", Role.VERIFY).answer or {})["decision"] == "PROCEED"


def test_patch__answers_with_what_the_prd_says(call: Call) -> None:
    prd = (
        fence('{"decision": "SKIP", "reason": "no"}', "mason-answer role=re-evaluate")
        + fence('{"decision": "fixed"}', "mason-answer role=fix")
        + fence('{"decision": "needs-human", "reason": "a key"}', "mason-answer role=fix fix=2")
    )
    assert call(prd, Role.RE_EVALUATE).answer == {"decision": "SKIP", "reason": "no"}
    assert call(prd, Role.FIX, iteration=1).answer == {"decision": "fixed"}
    assert call(prd, Role.FIX, iteration=2).answer == {"decision": "needs-human", "reason": "a key"}


@pytest.mark.parametrize("written", ["[]", "{", "NaN", '{"a": NaN}', "[" * 5000, ""])
def test_patch__an_answer_that_is_no_json_object_is_an_error(call: Call, written: str) -> None:
    result = call(fence(written, "mason-answer role=verify"), Role.VERIFY)
    assert result.error == "The mason-answer at line 1 of the PRD is not a JSON object."
    assert result.answer is None


def test_patch__cannot_write_a_prd(call: Call) -> None:
    assert "no model" in call(None, Role.WRITE_PRD).error


def test_patch__fences_inside_other_fences_are_no_diffs(call: Call, tree: Path) -> None:
    assert call(f"`````markdown\n{fence(NEW)}`````\n").error.startswith("The PRD contains no diff")
    assert not (tree / "new").exists()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(["a", "b", "", "x y"]), min_size=1, max_size=12),
    st.lists(st.sampled_from(["a", "b", "", "q"]), min_size=1, max_size=12),
    st.lists(st.sampled_from(["a", "b", "", "z"]), min_size=1, max_size=12),
)
def test_reanchored__never_raises_and_edits_only_what_it_found(old: list[str], new: list[str], now: list[str]) -> None:
    lines = [[f"{line}\n" for line in text] for text in (old, new)]
    moved = reanchored(diff(*lines), lambda _: "\n".join(now) + "\n")
    for line in (moved or "").split("\n"):
        if line[:1] in (" ", "-") and not line.startswith("--- "):
            assert line[1:] in [*now, ""]


@given(st.text(max_size=200))
def test_reanchored__of_any_text_never_raises(text: str) -> None:
    reanchored(f"--- a/x\n+++ b/x\n{text}", lambda _: "a\nb\n")
