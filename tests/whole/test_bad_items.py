"""Bad input, part one: items, PRDs and diffs. Each gets a clear message and the right state, and harms nobody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.domain.results import Verdict
from tests.unit.workspace.repositories import listing
from tests.whole.kit import Project
from tests.whole.prds import change, fenced, new, prd, wave

TITLES = [
    "x" * 10_000,
    "🚀🎉 émojis – and ünïcode ✨",
    "🚀🎉",
    "quotes \" ' ` and $(touch /tmp/owned) ; rm -rf / | cat && true",
    "two\nlines\r\nand\ta tab\u2028and a separator",
    "**bold** [link](http://x) | table | <script>alert(1)</script> <!-- -->",
    "--upload-pack=x ../../../etc/passwd .lock HEAD @{-1}",
    "Co-Authored-By: Mallory <m@example.com>\n\nImplements: PM-0",
    "\u202edlrow olleh",
]


def test_titles__whatever_they_hold_branches_commits_and_status_lines_stay_valid(project: Project) -> None:
    ids = [project.approve_change(f"src/{n}.txt", title=title) for n, title in enumerate(TITLES)]
    result = project.run(max_parallel=4)
    assert [r.outcome.verdict for r in result.results] == [Verdict.COMPLETED] * len(TITLES)
    assert len(set(project.branches())) == len(TITLES)
    for item in ids:
        branch = project.item(item)["branch_name"]
        assert project.git("check-ref-format", "--branch", branch) == branch
        assert len(branch) < 100
        subject, *_ = project.git("log", "-1", "--format=%B", branch).split("\n")
        assert subject.startswith("feat: ")
        assert len(subject) <= 110
        trailers = project.git("log", "-1", "--format=%(trailers:only,unfold)", branch).strip().splitlines()
        assert [line.partition(":")[0] for line in trailers] == ["Implements", "Mason-Approval", "Co-Authored-By"]
        assert trailers[0] == f"Implements: PM-{item}"
    told = {line["item_id"]: line["item_title"] for line in project.status if line["phase"] == "executing"}
    assert set(told) == {str(item) for item in ids}
    assert "\n| two lines and a tab" in project.said


def test_titles__of_failed_items_are_just_as_harmless(project: Project) -> None:
    for number, title in enumerate(TITLES):
        project.approve_change(f"src/{number}.txt", "BUG\n", title)
    result = project.run(max_parallel=4)
    assert [r.outcome.verdict for r in result.results] == [Verdict.REJECTED] * len(TITLES)
    assert len(project.follow_ups()) == len(TITLES)
    assert all(len(row["title"]) <= 200 for row in project.follow_ups())
    assert len([name for name in project.refs() if name.startswith("refs/mason/wip/")]) == len(TITLES)


def test_prd__with_windows_line_ends_is_read_like_any_other(project: Project) -> None:
    text = prd(wave(1, "general-purpose: Write"), new("src/new.txt", "fine", task="1.1")).replace("\n", "\r\n")
    item = project.approve(text)
    assert project.run_one().verdict is Verdict.COMPLETED
    assert project.tasks(item) == [("1.1", "completed")]


def test_prd__of_two_megabytes_is_carried_out(project: Project) -> None:
    project.approve(prd(new("src/new.txt", "fine"), "Blah blah. " * 190_000))
    assert project.run_one().verdict is Verdict.COMPLETED


def test_prd__with_a_table_of_500_tasks_is_carried_out(project: Project) -> None:
    tasks = wave(1, *(f"Explore: Look at {number}" for number in range(499)), "general-purpose: Write")
    item = project.approve(prd(tasks, new("src/new.txt", "fine")))
    outcome = project.run_one()
    assert (outcome.verdict, outcome.tasks_done) == (Verdict.COMPLETED, 500)
    assert len(project.tasks(item)) == 500


def test_prd__with_a_malformed_table_names_the_line(project: Project) -> None:
    project.approve(prd("### Wave 1: Broken\n\n| What | Ever |\n| --- |\n| x |", new("src/new.txt", "fine")))
    assert project.run_one().verdict is Verdict.COMPLETED
    assert any(line.startswith("warn: line 11: ") and "default plan" in line for line in project.logs())


def test_prd__full_of_markup_is_only_text(project: Project) -> None:
    hostile = "<!-- ``` --> {{ 7*7 }} {% raw %} ${HOME} `$(id)` " + "[" * 3000 + "(" * 3000 + "> " * 500 + "x"
    project.approve(prd(hostile, new("src/new.txt", "fine")))
    assert project.run_one().verdict is Verdict.COMPLETED


LINK_OUT = """diff --git a/src/out b/src/out
new file mode 120000
index 0000000..1234567
--- /dev/null
+++ b/src/out
@@ -0,0 +1 @@
+/etc/passwd
\\ No newline at end of file"""
BINARY = """diff --git a/src/a.bin b/src/a.bin
new file mode 100644
index 0000000..1234567
Binary files /dev/null and b/src/a.bin differ"""


@pytest.mark.parametrize(
    ("diff", "said"),
    [
        (change("src/hello.txt", "something else\n", "new\n"), "does not apply"),
        (change("src/nowhere.txt", "old\n", "new\n"), "does not apply"),
        (new("../outside.txt", "x"), "leaves the repository"),
        (new("src/../../outside.txt", "x"), "leaves the repository"),
        (fenced("--- /dev/null\n+++ /etc/mason-was-here\n@@ -0,0 +1 @@\n+x"), "leaves the repository"),
        (new(".git/hooks/post-checkout", "x"), "touches .git"),
        (new("src/.GIT/config", "x"), "touches .git"),
        (fenced(LINK_OUT), "makes a symbolic link that leaves the repository"),
        (fenced(BINARY), "is binary and carries no data"),
        (fenced(""), "is empty"),
        (fenced("this is no diff at all"), "is empty"),
        ("```diff task=banana\n--- /dev/null\n```", "has an address that cannot be read: task=banana"),
    ],
)
def test_diff__that_cannot_or_must_not_be_applied_is_named_with_its_line(
    project: Project, diff: str, said: str
) -> None:
    item = project.approve(prd(diff))
    before = listing(project.root, without=("runs", "state", "sample/.git"))
    outcome = project.run_one()
    assert outcome.verdict is Verdict.REJECTED, outcome
    reason = project.item(item)["failure_reason"]
    assert said in reason
    assert " of the PRD " in reason
    assert project.branches() == []
    assert listing(project.root, without=("runs", "state", "sample/.git")) == before
    assert not Path("/etc/mason-was-here").exists()


def test_diff__that_is_binary_with_its_data_is_applied(project: Project) -> None:
    (project.repository / "src" / "a.bin").write_bytes(bytes(range(256)))
    project.git("add", "src/a.bin")
    diff = project.git("diff", "--cached", "--binary")
    project.git("rm", "-q", "--cached", "src/a.bin")
    project.approve(prd("Adds `src/a.bin`.", fenced(diff + "\n")))
    assert project.run_one().verdict is Verdict.COMPLETED
    assert project.changed("mason/add-a-thing") == ["src/a.bin"]


def test_agent__that_writes_into_git_or_links_out_gets_nothing_into_the_commit(project: Project) -> None:
    before = project.refs()
    project.approve(prd("Add `src/new.txt`, `src/link`, `.git`."))
    act = (
        "echo x > src/new.txt; ln -s /etc/passwd src/link; mkdir -p .git/hooks;"
        " echo 'touch /tmp/mason-owned' > .git/hooks/pre-commit; git checkout -qb evil; git add -A; git commit -qm evil"
    )
    outcome = project.run_one(**project.agent(implement=act))
    assert outcome.verdict is Verdict.REJECTED
    assert outcome.validator
    assert {f.path for tier in outcome.validator.failures for f in tier.findings} == {"src/link"}
    after = project.refs()
    assert {name: after[name] for name in before} == before
    assert project.branches() == []


def test_row__with_columns_that_are_odd_is_still_json(project: Project) -> None:
    item = project.approve(prd(new("src/new.txt", "fine")), "Odd", problem="\x07bell \u2028", solution="")
    done = project.mason("run", "--json", "--auto")
    start = done.stdout.index("{\n")
    assert json.loads(done.stdout[start:])["items"][0]["verdict"] == "completed", done.stderr
    assert project.state(item) == "completed"
