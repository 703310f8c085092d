"""Steps 9, 10 and 12 of the story: validator, gate, final gate."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.domain.results import CheckKind, CheckStatus, Tier, TierStatus, Verdict
from tests.whole.kit import CHECKS, Project, policy, reply
from tests.whole.prds import change, new, prd, wave

MakeProject = Callable[..., Project]


# 9. Validator


def test_validator__a_change_out_of_scope_is_told_to_the_agent_which_takes_it_back(project: Project) -> None:
    item = project.approve(prd("Add `src/new.txt`."))
    agent = project.agent(implement="echo x > src/new.txt; echo x >> README.md", fix="git checkout -q README.md")
    outcome = project.run_one(**agent)
    assert (outcome.verdict, len(outcome.iterations)) == (Verdict.COMPLETED, 1)
    assert "README.md was modified, and the PRD does not name it" in project.prompts("fix")[0]
    assert project.changed("mason/add-a-thing") == ["src/new.txt"]
    assert project.iterations(item)[0]["passed"] is True


def test_validator__a_change_that_stays_out_of_scope_is_rejected_without_a_gate(project: Project) -> None:
    item = project.approve(prd("Add `src/new.txt`."))
    outcome = project.run_one(**project.agent(implement="echo x > src/new.txt; echo x >> README.md"))
    assert outcome.verdict is Verdict.REJECTED
    why = "README.md was modified, and the PRD does not name it"
    assert outcome.reason == f"Stopped after 1 fix iteration, the same failures came back: scope ({why})"
    assert outcome.gate is None
    shown = project.progress(item)
    assert shown
    columns = ("validation_typescript", "validation_eslint", "validation_build", "validation_tests")
    assert [shown[column] for column in columns] == ["fail"] * 4


def test_validator__an_item_that_changed_nothing_does_not_pass(project: Project) -> None:
    project.approve(prd("There is no diff in here."))
    outcome = project.run_one()
    assert (outcome.verdict, project.branches()) == (Verdict.REJECTED, [])


def test_validator__a_review_that_no_model_made_is_not_run(project: Project) -> None:
    project.approve_change()
    validator = project.run_one().validator
    assert validator
    assert [tier.tier for tier in validator.tiers if tier.status is not TierStatus.PASS] == [Tier.PATTERNS]
    assert validator.tiers[1].status is TierStatus.NOT_RUN
    logged = "select metadata from mason_execution_logs where message = 'Implementation validator passed'"
    (row,) = project.rows(logged)
    assert row["metadata"]["summary"]["proceed_with_validation"] is True
    assert set(row["metadata"]["tiers"]) == {tier.value for tier in Tier}


def test_validator__what_a_reviewer_objects_to_is_mended_and_looked_at_again(project: Project) -> None:
    project.approve(prd("Add `src/new.txt`."))
    wrong = {"path": "src/new.txt", "line": 1, "message": "shouts", "severity": "error", "recommendation": "be quiet"}
    review = f"grep -q FINE src/new.txt && {reply(violations=[wrong])} || {reply(violations=[])}"
    agent = project.agent(implement="echo FINE > src/new.txt", fix="echo fine > src/new.txt", pattern_review=review)
    outcome = project.run_one(**agent)
    assert outcome.verdict is Verdict.COMPLETED
    (iteration,) = outcome.iterations
    assert iteration.failed_before == ("pattern_adherence",)
    assert "+fine" in iteration.changed


@pytest.mark.parametrize("path", [".github/workflows/ci.yml", "Makefile", ".env"])
def test_validator__the_gate_s_own_files_need_to_be_named(project: Project, path: str) -> None:
    project.approve(prd("Add `src/new.txt`."))
    act = f"mkdir -p .github/workflows; echo x > src/new.txt; echo x > {path}"
    outcome = project.run_one(**project.agent(implement=act))
    assert (outcome.verdict, outcome.gate) == (Verdict.REJECTED, None)
    assert outcome.validator
    assert path in {finding.path for tier in outcome.validator.failures for finding in tier.findings}


# 10. Gate


@pytest.mark.parametrize(
    ("word", "kind", "column"),
    [
        ("TYPO", CheckKind.TYPECHECK, "validation_typescript"),
        ("SLOPPY", CheckKind.LINT, "validation_eslint"),
        ("BROKEN", CheckKind.BUILD, "validation_build"),
        ("BUG", CheckKind.TEST, "validation_tests"),
    ],
)
def test_gate__each_check_keeps_an_item_from_its_branch(
    project: Project, word: str, kind: CheckKind, column: str
) -> None:
    item = project.approve_change(content=f"{word}\n")
    outcome = project.run_one()
    assert (outcome.verdict, project.branches()) == (Verdict.REJECTED, [])
    assert outcome.gate
    assert [check.kind for check in outcome.gate.failures] == [kind]
    shown = project.progress(item)
    assert shown
    failed = [name for name, value in shown.items() if name.startswith("validation_") and value == "fail"]
    assert failed == [column]


def test_gate__a_check_the_repository_does_not_have_is_skipped(make_project: MakeProject) -> None:
    project = make_project(mason_yml=policy({"test": "true"}))
    item = project.approve_change()
    assert project.run_one().verdict is Verdict.COMPLETED
    shown = project.progress(item)
    assert shown
    assert [shown[f"validation_{name}"] for name in ("typescript", "eslint", "build", "tests")] == ["skipped"] * 3 + [
        "pass"
    ]


def test_gate__what_the_branch_says_about_checks_does_not_count(project: Project) -> None:
    """The base commit decides, even where the PRD names the policy."""
    item = project.approve(
        prd(change(".github/mason.yml", policy() + "\n", policy({"test": "true"}) + "\n"), new("src/new.txt", "BUG"))
    )
    project.commit({".github/mason.yml": policy() + "\n"})
    assert project.run_one().verdict is Verdict.REJECTED
    assert project.state(item) == "rejected"


@pytest.mark.parametrize("command", ["no-such-program --check", "sh -c 'exit 127'", "./not-there.sh"])
def test_gate__a_missing_program_never_passes(make_project: MakeProject, command: str) -> None:
    when = f"if [ -f src/new.txt ]; then {command}; fi"
    project = make_project(mason_yml=policy({"lint": "true", "test": when}))
    project.approve_change()
    outcome = project.run_one()
    assert outcome.verdict is Verdict.REJECTED
    assert outcome.gate
    assert outcome.gate.check(CheckKind.TEST).status in (CheckStatus.ERROR, CheckStatus.FAIL)


def test_gate__a_killed_check_has_not_passed(make_project: MakeProject) -> None:
    project = make_project(mason_yml=policy({"test": "if [ -f src/new.txt ]; then kill -9 $$; fi"}))
    project.approve_change()
    outcome = project.run_one()
    assert outcome.gate
    assert (outcome.verdict, outcome.gate.failures[0].reason) == (Verdict.REJECTED, "was killed by SIGKILL")


def test_gate__new_lint_warnings_against_the_base_fail(make_project: MakeProject) -> None:
    warn = "grep -n ODD src/*.txt | sed 's/^\\([^:]*:[0-9]*\\):.*/\\1:1: warning: that is odd/'"
    project = make_project({"src/old.txt": "ODD\n"}, mason_yml=policy({"lint": warn, "test": "true"}))
    fine = project.approve_change("src/fine.txt", title="Fine")
    odd = project.approve_change("src/odd.txt", "ODD\n", title="Odd")
    project.run()
    assert (project.state(fine), project.state(odd)) == ("completed", "rejected")
    assert "lint" in project.item(odd)["failure_reason"]


def test_gate__e2e_blocks_where_it_is_configured(make_project: MakeProject) -> None:
    project = make_project(mason_yml=policy({**CHECKS, "e2e": "! grep -rn FLAKY src"}))
    project.approve_change(content="FLAKY\n")
    outcome = project.run_one()
    assert outcome.gate
    assert (outcome.verdict, [c.kind for c in outcome.gate.failures]) == (Verdict.REJECTED, [CheckKind.E2E])


@pytest.mark.parametrize(("asked", "smoke"), [(True, "fail"), (False, "skipped")])
def test_gate__a_failing_smoke_test_is_a_warning_and_runs_only_when_asked_for(
    make_project: MakeProject, asked: bool, smoke: str
) -> None:
    project = make_project(mason_yml=policy({**CHECKS, "smoke": "false"}))
    item = project.approve_change()
    assert project.run_one(smoke_test=asked).verdict is Verdict.COMPLETED
    shown = project.progress(item)
    assert shown
    assert shown["validation_smoke_test"] == smoke
    assert ("⚠️ Fail" in project.said) is asked
    assert ({"phase": "validating", "item_id": str(item), "check": "smoke_test"} in project.status) is asked


# 12. Final gate


def test_final_gate__catches_what_passes_only_in_the_tree_that_the_agent_left(make_project: MakeProject) -> None:
    """An ignored file makes the check pass in the work tree; the commit does not carry it."""
    project = make_project(
        {".gitignore": "cache/\n"}, mason_yml=policy({"test": "! test -f src/new.txt || test -f cache/ok"})
    )
    item = project.approve(prd("Add `src/new.txt`."))
    outcome = project.run_one(**project.agent(implement="mkdir cache; touch cache/ok; echo x > src/new.txt"))
    assert (outcome.verdict, project.branches()) == (Verdict.REJECTED, [])
    assert project.item(item)["validation_passed"] is False


def test_final_gate__its_commit_is_the_one_that_is_published(project: Project) -> None:
    project.approve_change()
    outcome = project.run_one()
    assert outcome.gate
    assert outcome.gate.tree == outcome.commit == project.git("rev-parse", "mason/add-a-thing")


def test_final_gate__what_a_check_writes_is_not_in_the_commit(make_project: MakeProject) -> None:
    project = make_project(mason_yml=policy({"build": "echo made > src/made.txt", "test": "true"}))
    project.approve_change()
    assert project.run_one().verdict is Verdict.COMPLETED
    assert project.changed("mason/add-a-thing") == ["src/new.txt"]


def test_gate__finds_the_programs_that_the_install_step_put_into_the_tree(make_project: MakeProject) -> None:
    install = "mkdir -p .venv/bin && echo '#!/bin/sh' > .venv/bin/own-linter && chmod +x .venv/bin/own-linter"
    project = make_project({".gitignore": ".venv/\n"}, mason_yml=policy({"lint": "own-linter"}, install=install))
    project.approve_change()
    outcome = project.run_one()
    assert outcome.verdict is Verdict.COMPLETED, outcome.reason


def test_gate__a_check_that_changes_what_another_one_judges_proves_nothing(make_project: MakeProject) -> None:
    checks = {"typecheck": "while [ ! -e $TMPDIR/go ]; do :; done; ! grep TYPO src/new.txt", "test": "sh src/tests.sh"}
    project = make_project({"src/tests.sh": "touch $TMPDIR/go\n"}, mason_yml=policy(checks))
    cheat = change("src/tests.sh", "touch $TMPDIR/go\n", "sed -i s/TYPO/fine/ src/new.txt; touch $TMPDIR/go\n")
    project.approve(prd(new("src/new.txt", "TYPO\n"), cheat))
    outcome = project.run_one()
    assert outcome.verdict is Verdict.REJECTED
    assert outcome.gate
    assert "the checks changed src/new.txt while they ran" in outcome.gate.check(CheckKind.TYPECHECK).reason
    assert project.branches() == []


def test_gate__what_the_checks_do_to_the_base_they_may_do_to_an_item(make_project: MakeProject) -> None:
    project = make_project({"generated.txt": "1\n"}, mason_yml=policy({"build": "date +%s%N > generated.txt"}))
    project.approve_change()
    assert project.run_one().verdict is Verdict.COMPLETED
    assert project.changed("mason/add-a-thing") == ["src/new.txt"]


@pytest.mark.parametrize(("kind", "item_type"), [(CheckKind.FRONTEND, "ui"), (CheckKind.BACKEND, "data")])
def test_domain_checks__that_are_not_configured_are_skipped_and_that_is_said(
    project: Project, kind: CheckKind, item_type: str
) -> None:
    project.approve(prd(new("src/new.txt", "fine\n")), type=item_type)
    outcome = project.run_one()
    assert outcome.gate
    check = outcome.gate.check(kind)
    assert (check.status, check.reason[:14]) == (CheckStatus.SKIPPED, "not configured")


@pytest.mark.parametrize(("item_type", "verdict"), [("api", Verdict.REJECTED), ("ui", Verdict.COMPLETED)])
def test_domain_checks__a_probe_blocks_the_domains_that_it_is_for(
    project: Project, item_type: str, verdict: Verdict
) -> None:
    probe = "echo src/new.txt:1: error: no answer; exit 1"
    project.commit({".github/mason.yml": policy(CHECKS | {"backend": probe}, limits={"fix_iterations": 1})})
    project.approve(prd(new("src/new.txt", "fine\n")), type=item_type)
    outcome = project.run_one()
    assert outcome.verdict is verdict
    if verdict is Verdict.REJECTED:
        assert "backend" in outcome.reason


@pytest.mark.parametrize(
    ("writer", "verdict"), [("a person", Verdict.COMPLETED), ("an agent", Verdict.REJECTED)], ids=["person", "agent"]
)
def test_validator__a_prd_that_an_agent_wrote_allows_nothing_that_is_protected(
    project: Project, writer: str, verdict: Verdict
) -> None:
    text = prd("Change `Makefile` and add `src/new.txt`.", wave(1, "general-purpose: Write it"))
    act = "echo fine > src/new.txt; printf 'all:\\n' > Makefile"
    if writer == "a person":
        project.approve(text)
        outcome = project.run_one(**project.agent(implement=act))
    else:
        project.approve(None)
        agent = project.agent(write_prd=reply(prd=text), implement=act)
        outcome = project.run_one(generate_prd=True, **agent)
    assert outcome.verdict is verdict, outcome.reason
    if verdict is Verdict.REJECTED:
        assert "no person has named it" in outcome.reason
