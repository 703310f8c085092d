"""What a job meets on GitHub that is not as it should be: a sentence, and nothing lost."""

from __future__ import annotations

import pytest

from tests.whole.hosted import Hosted
from tests.whole.prds import change, prd


def test_access__an_archived_repository_is_refused_before_anything_is_claimed(hosted: Hosted) -> None:
    item = hosted.project.approve_change()
    hosted.there.archive()
    done = hosted.job("run")
    assert (done.code, "archived" in done.log) == (2, True)
    assert hosted.project.item(item)["status"] == "approved"


@pytest.mark.parametrize(
    ("lacking", "named"), [("pull_requests", "pull-requests: write"), ("contents", "contents: write")]
)
def test_access__a_token_without_a_permission_is_told_which(hosted: Hosted, lacking: str, named: str) -> None:
    item = hosted.project.approve_change()
    may = {"contents": "write", "pull_requests": "write", "checks": "write", "metadata": "read"}
    may[lacking] = "read"
    done = hosted.job("run", github_token=hosted.github.token("actions", permissions=may))
    assert done.code == 2
    assert named in done.log
    assert hosted.project.item(item)["status"] == "approved"


def test_access__a_wrong_token(hosted: Hosted) -> None:
    hosted.project.approve_change()
    done = hosted.job("run", github_token="ghs_nonsense")
    assert done.code == 2
    assert "token" in done.log


def test_access__without_check_runs_the_work_goes_on(hosted: Hosted) -> None:
    hosted.project.approve_change()
    may = {"contents": "write", "pull_requests": "write", "metadata": "read", "issues": "write"}
    done = hosted.job("run", github_token=hosted.github.token("actions", permissions=may))
    assert done.code == 0, done.log
    assert len(hosted.there.pulls) == 1
    assert hosted.there.check_runs == []
    assert done.log.count("WARNING") == 1, done.log


def test_publish__a_protected_branch_rejects_the_item_and_keeps_its_work(hosted: Hosted) -> None:
    item = hosted.project.approve_change()
    hosted.there.protect("mason/*")
    done = hosted.job("run")
    assert done.code == 1
    row = hosted.project.item(item)
    assert (row["status"], "mason/add-a-thing" in row["failure_reason"]) == ("rejected", True)
    assert list((hosted.place / "mason-artifacts").glob("*.patch"))
    assert hosted.open_checks == []


def test_publish__a_pull_request_that_a_person_closed_is_opened_again_with_their_words(hosted: Hosted) -> None:
    item = hosted.project.approve_change("src/one.txt", "fine\n", "Add one")
    assert hosted.job("run").code == 0
    (pull,) = hosted.there.pulls
    pull.body = f"Before.\n{pull.body}\nAfter."
    hosted.there.close(pull.number)
    hosted.project.sql(
        "update mason_pm_backlog_items set status = 'new', prd_content = %s where id = %s",
        prd(change("src/one.txt", "fine\n", "finer\n")),
        item,
    )
    hosted.project.sql("update mason_pm_backlog_items set status = 'approved' where id = %s", item)
    done = hosted.job("run")
    assert done.code == 0, done.log
    (pull,) = hosted.there.pulls
    assert pull.state == "open"
    assert pull.body and pull.body.startswith("Before.\n") and pull.body.endswith("\nAfter.")


def test_publish__what_a_person_pushed_to_the_branch_stays(hosted: Hosted) -> None:
    item = hosted.project.approve_change("src/one.txt", "fine\n", "Add one")
    assert hosted.job("run").code == 0
    theirs = hosted.there.push_as_person("mason/add-one", {"src/theirs.txt": "mine\n"})
    hosted.project.sql(
        "update mason_pm_backlog_items set status = 'new', prd_content = %s where id = %s",
        prd(change("src/one.txt", "fine\n", "finer\n")),
        item,
    )
    hosted.project.sql("update mason_pm_backlog_items set status = 'approved' where id = %s", item)
    done = hosted.job("run")
    assert done.code == 0, done.log
    tip = hosted.there.branches["mason/add-one"]
    assert hosted.there.git.text("merge-base", theirs, tip) == theirs
    assert hosted.there.git.text("show", f"{tip}:src/theirs.txt") == "mine"
    assert hosted.there.git.text("show", f"{tip}:src/one.txt") == "finer"
    assert len(hosted.there.pulls) == 1


@pytest.mark.parametrize("signed", ["false", "true"])
def test_publish__odd_names_and_many_files(hosted: Hosted, signed: str) -> None:
    names = r"""mkdir -p 'src/a b' && printf x > 'src/a b/it'"'"'s "new".txt' && printf y > "$(printf 'src/new\nline')"
    for n in $(seq 3000); do echo "fine $n" > "src/f$n.txt"; done; chmod +x src/f1.txt; ln -s f1.txt src/link"""
    options = hosted.project.agent(implement=names, verify="true")
    hosted.project.approve("# Many\n\n## Solution\nMany files.\n", "Many files")
    done = hosted.job("run", agent="command", agent_command=options["agent_command"], sign_commits=signed)
    assert done.code == 0, done.log[-3000:]
    (pull,) = hosted.there.pulls
    there = hosted.there.git.text("ls-tree", "-r", "-z", pull.head_sha, "src/").split("\0")
    assert len(there) > 3000
    modes = {line.partition("\t")[2]: line[:6] for line in there if line}
    assert (modes["src/f1.txt"], modes["src/link"]) == ("100755", "120000")
    assert {'src/a b/it\'s "new".txt', "src/new\nline"} <= set(modes)
