"""Bad input, part two: repositories."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from app.domain.results import Verdict
from tests.unit.workspace.repositories import commit, git, new_repository
from tests.whole.kit import FILES, Project, policy

MakeProject = Callable[..., Project]


def refusal(project: Project, *words: str) -> str:
    """What `mason run` says on standard error when it refuses; nothing may have been claimed."""
    item = project.approve_change()
    done = project.mason("run", *words)
    assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (2, "", False)
    assert (project.state(item), project.left_in_runs()) == ("approved", [])
    return done.stderr.strip()


def test_repository__without_commits(tmp_path: Path, database: str) -> None:
    project = Project(repository=new_repository(tmp_path / "empty"), dsn=database, root=tmp_path)
    said = refusal(project)
    assert said == f"mason: {project.repository.resolve()} has no commits yet: make a first one, then run Mason again"


def test_repository__that_is_none(tmp_path: Path, database: str) -> None:
    (tmp_path / "plain").mkdir()
    project = Project(repository=tmp_path / "plain", dsn=database, root=tmp_path)
    (tmp_path / "prd.md").write_text("# Add a thing\n")
    for words in (["add", str(tmp_path / "prd.md")], ["run"]):
        done = project.mason(*words)
        assert (done.returncode, done.stderr.rstrip().endswith("is not in a git repository")) == (2, True)


def test_repository__without_any_check(tmp_path: Path, database: str) -> None:
    project = Project(repository=new_repository(tmp_path / "bare-bones", FILES), dsn=database, root=tmp_path)
    assert "name one in .github/mason.yml on the base branch, for example" in refusal(project)


def test_repository__with_a_detached_head_needs_a_base(project: Project) -> None:
    project.git("checkout", "-q", "--detach")
    assert "detached HEAD" in refusal(project)
    assert project.run_one(base="main").verdict is Verdict.COMPLETED


def test_repository__with_another_default_branch(make_project: MakeProject) -> None:
    project = make_project(branch="trunk")
    project.approve_change()
    assert project.run_one().verdict is Verdict.COMPLETED
    assert project.git("merge-base", "trunk", "mason/add-a-thing") == project.git("rev-parse", "trunk")


def test_repository__with_a_base_that_is_asked_for(project: Project) -> None:
    project.git("switch", "-q", "-c", "release")
    release = project.commit({"src/release.txt": "1.0\n"})
    project.git("switch", "-q", "main")
    project.approve_change()
    assert project.run_one(base="release").verdict is Verdict.COMPLETED
    assert project.git("rev-parse", "mason/add-a-thing^") == release


def test_repository__that_is_bare(project: Project) -> None:
    bare = project.root / "bare.git"
    git(project.root, "clone", "-q", "--bare", str(project.repository), str(bare))
    project.approve_change()
    assert project.run_one(repository=bare).verdict is Verdict.COMPLETED
    assert git(bare, "for-each-ref", "--format=%(refname)", "refs/heads/mason") == "refs/heads/mason/add-a-thing"
    assert project.branches() == []


def test_repository__a_directory_inside_a_checkout_will_do(project: Project) -> None:
    project.approve_change()
    assert project.run_one(repository=project.repository / "src").verdict is Verdict.COMPLETED
    assert project.branches() == ["mason/add-a-thing"]


def test_repository__with_a_submodule(project: Project) -> None:
    library = new_repository(project.root / "library", {"lib.txt": "x\n"})
    project.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library), "lib")
    project.git("commit", "-qm", "A submodule")
    project.approve_change()
    assert project.run_one().verdict is Verdict.COMPLETED
    assert project.changed("mason/add-a-thing") == ["src/new.txt"]


def test_repository__with_hooks_and_filters_that_would_do_harm(project: Project) -> None:
    trap = project.root / "sprung"
    for hook in (
        "pre-commit",
        "post-checkout",
        "pre-push",
        "pre-receive",
        "update",
        "post-receive",
        "reference-transaction",
    ):
        path = project.repository / ".git" / "hooks" / hook
        path.write_text(f"#!/bin/sh\ntouch {trap}\n")
        path.chmod(0o755)
    project.git("config", "filter.trap.clean", f"sh -c 'touch {trap}; cat'")
    project.git("config", "filter.trap.smudge", f"sh -c 'touch {trap}; cat'")
    project.git("config", "core.fsmonitor", f"touch {trap}")
    project.approve_change()
    (project.repository / ".gitattributes").write_text("*.txt filter=trap\n")
    project.git("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "add", ".gitattributes")
    project.git("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "commit", "-qm", "Attributes")
    trap.unlink(missing_ok=True)
    assert project.run_one().verdict is Verdict.COMPLETED
    assert not trap.exists()


def test_repository__whose_files_have_strange_names(project: Project) -> None:
    names = ["src/a b.txt", "src/ü.txt", "src/-rf", "src/new\nline.txt", 'src/quo"te.txt', "src/*.txt"]
    commit(project.repository, dict.fromkeys(names, "x\n"))
    project.approve_change()
    assert project.run_one().verdict is Verdict.COMPLETED
    assert project.changed("mason/add-a-thing") == ["src/new.txt"]


def test_repository__of_another_project_s_items_is_left_alone(project: Project) -> None:
    """Two repositories are connected, and origin says which one this is."""
    project.git("remote", "add", "origin", "https://github.com/acme/shop.git")
    mine, theirs = project.approve_change(title="Mine"), project.approve_change(title="Theirs")
    for item, name in ((mine, "acme/shop"), (theirs, "acme/other")):
        project.sql(
            "with r as (insert into mason_github_repositories (github_full_name) values (%s) returning id)"
            " update mason_pm_backlog_items i set repository_id = r.id from r where i.id = %s",
            name,
            item,
        )
    project.run()
    assert (project.state(mine), project.state(theirs)) == ("completed", "approved")
    done = project.mason("run", "--item", str(theirs))
    assert (done.returncode, done.stderr) == (2, f"mason: Item {theirs} belongs to another repository\n")


def test_policy__of_the_checkout_does_not_count_before_it_is_committed(project: Project) -> None:
    (project.repository / ".github" / "mason.yml").write_text(policy({"test": "false"}))
    project.approve_change()
    assert project.run_one().verdict is Verdict.COMPLETED
