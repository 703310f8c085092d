"""Endpoints of workflows and their runs."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

import yaml

from tests.fakes.github_api import shapes
from tests.fakes.github_api.expressions import expanded
from tests.fakes.github_api.records import Job, WorkflowRun
from tests.fakes.github_api.repository import HEADS, FakeRepository
from tests.fakes.github_api.routes import Ask, Refused, not_found, route

MOST_INPUTS = 25
LONGEST_INPUTS = 65535
Shape = dict[str, Any]


@route("POST /repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches", "actions=write")
def dispatch(ask: Ask) -> tuple[int, Any]:
    repository, fields, file = ask.repository, ask.fields, ask.args["workflow_id"]
    known = {"ref", "inputs"} | (set() if repository.dispatch == "strict" else {"return_run_details"})
    if unknown := fields.keys() - known:
        raise Refused(400, f"Invalid request.\n\nNo subschema permits {sorted(unknown)[0]}.")
    text = _workflow(repository, file)
    if file in repository.disabled_workflows:
        raise Refused(422, "Cannot trigger a 'workflow_dispatch' on a disabled workflow")
    if not re.search(r"\bworkflow_dispatch\b", text):
        raise Refused(422, "Workflow does not have 'workflow_dispatch' trigger")
    ref = str(fields.get("ref", "")).removeprefix(HEADS)
    if not ref or repository.git.resolve(ref) is None:
        raise Refused(422, f"No ref found for: {ref}")
    inputs = fields.get("inputs") or {}
    if len(inputs) > MOST_INPUTS or len(str(inputs)) > LONGEST_INPUTS:
        raise Refused(422, "Invalid request.\n\nToo many inputs, or too long ones.")
    declared = _declared(text)
    if declared and (unknown := inputs.keys() - declared.keys()):
        raise Refused(422, f"Unexpected inputs provided: {json.dumps(sorted(unknown))}")
    run = _start(ask, file, text, ref, {**declared, **inputs})
    if repository.dispatch == "details" and fields.get("return_run_details"):
        url = f"{repository.url}/actions/runs/{run.id}"
        page = f"{repository.html_url}/actions/runs/{run.id}"
        return 200, {"workflow_run_id": run.id, "run_url": url, "html_url": page}
    return 204, None


@route("GET /repos/{owner}/{repo}/actions/workflows/{workflow_id}/runs", "actions=read")
def list_runs(ask: Ask) -> tuple[int, Any]:
    _workflow(ask.repository, ask.args["workflow_id"])
    query = ask.query
    found = [run for run in reversed(ask.repository.workflow_runs) if run.workflow == ask.args["workflow_id"]]
    if status := query.get("status"):
        found = [run for run in found if status in (run.status, run.conclusion)]
    if branch := query.get("branch"):
        found = [run for run in found if run.branch == branch]
    if event := query.get("event"):
        found = [run for run in found if run.event == event]
    if created := query.get("created"):
        since = created.removeprefix(">=")
        assert since != created, f"the fake knows no other filter than >=, and was given {created}"
        found = [run for run in found if run.created_at >= since]
    shown = [workflow_run(ask.repository, run) for run in ask.page(found)]
    return 200, {"total_count": len(found), "workflow_runs": shown}


@route("GET /repos/{owner}/{repo}/actions/runs/{run_id}", "actions=read")
def get_run(ask: Ask) -> tuple[int, Any]:
    return 200, workflow_run(ask.repository, _run(ask))


@route("POST /repos/{owner}/{repo}/actions/runs/{run_id}/cancel", "actions=write")
def cancel_run(ask: Ask) -> tuple[int, Any]:
    run = _run(ask)
    if run.status == "completed":
        raise Refused(409, "Cannot cancel a workflow run that is completed.")
    run.finish("cancelled")
    return 202, {}


@route("GET /repos/{owner}/{repo}/actions/runs/{run_id}/jobs", "actions=read")
def list_jobs(ask: Ask) -> tuple[int, Any]:
    run = _run(ask)
    jobs = [_job(ask.repository, run, job) for job in ask.page(run.jobs)]
    return 200, {"total_count": len(run.jobs), "jobs": jobs}


def _start(ask: Ask, file: str, text: str, ref: str, inputs: Shape) -> WorkflowRun:
    repository = ask.repository
    assert ask.actor.user
    run = WorkflowRun(
        id=ask.hub.new_large_id(),
        number=len(repository.workflow_runs) + 1,
        workflow=file,
        title=expanded(str(_parsed(text).get("run-name") or file), inputs),
        branch=ref,
        head_sha=repository.git.resolve(ref) or "",
        actor=ask.actor.user,
        inputs=inputs,
        created_at=ask.hub.now,
        updated_at=ask.hub.now,
        jobs=[Job(id=ask.hub.new_large_id(), name="mason")],
    )
    repository.workflow_runs.append(run)

    def changed(action: str) -> None:
        run.updated_at = ask.hub.now
        ask.hub.webhooks.workflow_run(repository, run, action)

    run.changed = changed
    changed("requested")
    return run


@lru_cache(maxsize=16)
def _parsed(workflow: str) -> Shape:
    parsed: Shape = yaml.safe_load(workflow)
    return parsed


def _declared(workflow: str) -> Shape:
    """The inputs that a workflow takes, with their defaults; YAML 1.1 reads its ``on`` as true."""
    on = _parsed(workflow).get(True)  # type: ignore[call-overload]
    dispatched = on.get("workflow_dispatch") if isinstance(on, dict) else None
    return {name: one.get("default", "") for name, one in ((dispatched or {}).get("inputs") or {}).items()}


def _workflow(repository: FakeRepository, file: str) -> str:
    """The workflow's text on the default branch. Raises Refused (404)."""
    text = repository.git.file(HEADS + repository.default_branch, f".github/workflows/{file}")
    if text is None:
        raise not_found()
    return text


def _run(ask: Ask) -> WorkflowRun:
    number = ask.number("run_id")
    for run in ask.repository.workflow_runs:
        if run.id == number:
            return run
    raise not_found()


def workflow_run(repository: FakeRepository, run: WorkflowRun) -> Shape:
    url = f"{repository.url}/actions/runs/{run.id}"
    where = shapes.repository(repository)
    commit = repository.git.commit(run.head_sha)
    people = {"author": commit.author, "committer": commit.committer}
    return {
        "id": run.id,
        "node_id": shapes.node("WorkflowRun", run.id),
        "name": run.workflow,
        "display_title": run.title,
        "head_branch": run.branch,
        "head_sha": run.head_sha,
        "path": f".github/workflows/{run.workflow}",
        "run_number": run.number,
        "run_attempt": run.attempt,
        "event": run.event,
        "status": run.status,
        "conclusion": run.conclusion,
        "workflow_id": workflow_number(run),
        "url": url,
        "html_url": f"{repository.html_url}/actions/runs/{run.id}",
        "pull_requests": [],
        "created_at": run.created_at,
        "updated_at": run.updated_at,
        "run_started_at": run.created_at,
        "actor": shapes.user(repository.hub, run.actor),
        "triggering_actor": shapes.user(repository.hub, run.actor),
        **{f"{name}_url": f"{url}/{name}" for name in ("jobs", "logs", "artifacts", "cancel", "rerun")},
        "check_suite_url": f"{repository.url}/check-suites/{run.id}",
        "workflow_url": f"{repository.url}/actions/workflows/{workflow_number(run)}",
        "head_commit": {
            "id": commit.sha,
            "tree_id": commit.tree,
            "message": commit.message,
            "timestamp": commit.committer.date,
            **{name: {"name": who.name, "email": who.email} for name, who in people.items()},
        },
        "repository": where,
        "head_repository": where,
    }


def workflow_number(run: WorkflowRun) -> int:
    return sum(run.workflow.encode()) + 1


def _job(repository: FakeRepository, run: WorkflowRun, job: Job) -> Shape:
    return {
        "id": job.id,
        "run_id": run.id,
        "run_url": f"{repository.url}/actions/runs/{run.id}",
        "run_attempt": run.attempt,
        "node_id": shapes.node("Job", job.id),
        "head_sha": run.head_sha,
        "head_branch": run.branch,
        "url": f"{repository.url}/actions/jobs/{job.id}",
        "html_url": f"{repository.html_url}/actions/runs/{run.id}/job/{job.id}",
        "status": job.status,
        "conclusion": job.conclusion,
        "created_at": run.created_at,
        "started_at": run.created_at,
        "completed_at": run.updated_at if job.status == "completed" else None,
        "name": job.name,
        "check_run_url": f"{repository.url}/check-runs/{job.id}",
        "labels": ["ubuntu-latest"],
        **dict.fromkeys(("runner_id", "runner_name", "runner_group_id", "runner_group_name")),
        "workflow_name": run.workflow,
        "steps": [],
    }
