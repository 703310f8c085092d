"""Endpoints of check runs, with GitHub's rules for them."""

from __future__ import annotations

from typing import Any

from tests.fakes.github_api import shapes
from tests.fakes.github_api.pull_shapes import minimal
from tests.fakes.github_api.records import App, CheckRun, Pull
from tests.fakes.github_api.repository import FakeRepository
from tests.fakes.github_api.routes import Ask, Refused, not_found, route

ANNOTATIONS_A_REQUEST = 50
LONGEST_TEXT = 65535
MOST_ACTIONS = 3
ACTION_LENGTHS = {"label": 20, "description": 40, "identifier": 20}
STATUSES = ("queued", "in_progress", "completed")
CONCLUSIONS = ("action_required", "cancelled", "failure", "neutral", "success", "skipped", "stale", "timed_out")
LEVELS = ("notice", "warning", "failure")
Shape = dict[str, Any]


@route("POST /repos/{owner}/{repo}/check-runs", "checks=write")
def create_check_run(ask: Ask) -> tuple[int, Any]:
    app, fields, repository = _acting_app(ask), ask.fields, ask.repository
    _check(fields, required=("name", "head_sha"))
    sha = str(fields["head_sha"])
    if not repository.git.has(sha, "commit"):
        raise Refused(422, f"No commit found for SHA: {sha}")
    suite = repository.suites.setdefault((app.id, sha), ask.hub.new_large_id())
    run = CheckRun(id=ask.hub.new_large_id(), name=fields["name"], head_sha=sha, app=app, suite=suite)
    run.started_at = ask.hub.now
    _apply(ask, run, fields)
    repository.check_runs.append(run)
    return 201, check_run(repository, run)


@route("PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}", "checks=write")
def update_check_run(ask: Ask) -> tuple[int, Any]:
    app, run = _acting_app(ask), _run(ask)
    if run.app.id != app.id:
        said = f"Invalid app_id `{app.id}` - check run can only be modified by the GitHub App that created it."
        raise Refused(403, said)
    _check(ask.fields, required=())
    _apply(ask, run, ask.fields)
    return 200, check_run(ask.repository, run)


@route("GET /repos/{owner}/{repo}/check-runs/{check_run_id}", "checks=read")
def get_check_run(ask: Ask) -> tuple[int, Any]:
    return 200, check_run(ask.repository, _run(ask))


@route("GET /repos/{owner}/{repo}/check-runs/{check_run_id}/annotations", "checks=read")
def list_annotations(ask: Ask) -> tuple[int, Any]:
    run = _run(ask)
    optional = dict.fromkeys(("start_column", "end_column", "title", "raw_details"))
    blob = f"{ask.repository.url}/git/blobs/{run.head_sha}"
    return 200, [{**optional, **each, "blob_href": blob} for each in ask.page(run.annotations)]


@route("GET /repos/{owner}/{repo}/commits/{ref}/check-runs", "checks=read")
def list_check_runs(ask: Ask) -> tuple[int, Any]:
    repository, query = ask.repository, ask.query
    sha = repository.git.resolve(ask.args["ref"])
    if sha is None:
        raise Refused(422, f"No commit found for SHA: {ask.args['ref']}")
    found = [run for run in reversed(repository.check_runs) if run.head_sha == sha]
    if name := query.get("check_name"):
        found = [run for run in found if run.name == name]
    if status := query.get("status"):
        found = [run for run in found if run.status == status]
    if number := query.get("app_id"):
        found = [run for run in found if str(run.app.id) == number]
    if query.get("filter", "latest") == "latest":
        newest = {(run.app.id, run.name): run for run in reversed(found)}
        found = [run for run in found if newest[run.app.id, run.name] is run]
    return 200, {"total_count": len(found), "check_runs": [check_run(repository, run) for run in ask.page(found)]}


def check_run(repository: FakeRepository, run: CheckRun) -> Shape:
    hub, url = repository.hub, f"{repository.url}/check-runs/{run.id}"
    page = f"{repository.html_url}/runs/{run.id}"
    pulls = [
        pull
        for pull in repository.issues.values()
        if isinstance(pull, Pull) and pull.state == "open" and pull.head_repository == repository.full_name
    ]
    return {
        "id": run.id,
        "node_id": shapes.node("CheckRun", run.id),
        "head_sha": run.head_sha,
        "external_id": run.external_id,
        "url": url,
        "html_url": page,
        "details_url": run.details_url or page,
        "status": run.status,
        "conclusion": run.conclusion,
        "started_at": run.started_at,
        "completed_at": run.completed_at,
        "output": {
            "title": run.title,
            "summary": run.summary,
            "text": run.text,
            "annotations_count": len(run.annotations),
            "annotations_url": f"{url}/annotations",
        },
        "name": run.name,
        "check_suite": {"id": run.suite},
        "app": shapes.app(hub, run.app),
        "pull_requests": [minimal(repository, pull) for pull in pulls if pull.head_sha == run.head_sha],
    }


def _apply(ask: Ask, run: CheckRun, fields: Shape) -> None:
    run.name = fields.get("name", run.name)
    run.external_id = fields.get("external_id", run.external_id)
    run.details_url = fields.get("details_url", run.details_url)
    run.started_at = fields.get("started_at", run.started_at)
    run.actions = fields.get("actions", run.actions)
    if "conclusion" in fields:
        run.status, run.conclusion = "completed", fields["conclusion"]
        run.completed_at = fields.get("completed_at") or ask.hub.now
    elif "status" in fields:
        run.status, run.conclusion, run.completed_at = fields["status"], None, None
    if output := fields.get("output"):
        run.title = output.get("title", run.title)
        run.summary = output["summary"]
        run.text = output.get("text", run.text)
        run.annotations += output.get("annotations") or []


def _check(fields: Shape, *, required: tuple[str, ...]) -> None:
    """Raises Refused (422) for a request that breaks a rule."""
    problems = list(_problems(fields, required))
    if problems:
        raise Refused(422, "Invalid request.\n\n" + "\n".join(problems))


def _problems(fields: Shape, required: tuple[str, ...]) -> list[str]:
    found = [f'"{name}" wasn\'t supplied.' for name in required if not fields.get(name)]
    status, conclusion = fields.get("status"), fields.get("conclusion")
    if status is not None and status not in STATUSES:
        found.append(f"{status} is not a member of {list(STATUSES)}.")
    if "conclusion" in fields and conclusion not in CONCLUSIONS:
        found.append(f"{conclusion} is not a member of {list(CONCLUSIONS)}.")
    if (status == "completed" or fields.get("completed_at")) and conclusion is None:
        found.append("A completed check run needs a conclusion.")
    if conclusion is not None and status not in (None, "completed"):
        found.append("A check run with a conclusion is completed.")
    return found + _output_problems(fields.get("output"), new=bool(required)) + _action_problems(fields.get("actions"))


def _output_problems(output: Any, *, new: bool) -> list[str]:
    if output is None:
        return []
    if not isinstance(output, dict):
        return ["output is not an object."]
    found = [f'"output.{name}" wasn\'t supplied.' for name in ("title", "summary")[not new :] if not output.get(name)]
    for name in ("summary", "text"):
        if len(output.get(name) or "") > LONGEST_TEXT:
            found.append(f"Only {LONGEST_TEXT} characters are allowed; output.{name} has {len(output[name])}.")
    annotations = output.get("annotations") or []
    if len(annotations) > ANNOTATIONS_A_REQUEST:
        found.append(f"No more than {ANNOTATIONS_A_REQUEST} annotations are allowed; {len(annotations)} were supplied.")
    for each in annotations:
        missing = {"path", "start_line", "end_line", "annotation_level", "message"} - each.keys()
        if missing or each["annotation_level"] not in LEVELS:
            found.append(f"An annotation lacks {sorted(missing)} or has another level than {list(LEVELS)}.")
        elif not (0 < each["start_line"] <= each["end_line"]) or len(each["message"].encode()) > 65536:
            found.append("An annotation's lines are not in order, or its message is longer than 64 KB.")
        elif ("start_column" in each or "end_column" in each) and each["start_line"] != each["end_line"]:
            found.append("An annotation has columns though it spans lines.")
    return found


def _action_problems(actions: Any) -> list[str]:
    if actions is None:
        return []
    if len(actions) > MOST_ACTIONS:
        return [f"No more than {MOST_ACTIONS} actions are allowed; {len(actions)} were supplied."]
    found = []
    for action in actions:
        for name, longest in ACTION_LENGTHS.items():
            if not 0 < len(action.get(name, "")) <= longest:
                found.append(f"actions.{name} needs between 1 and {longest} characters.")
    return found


def _acting_app(ask: Ask) -> App:
    if ask.actor.app is None:
        raise Refused(403, "You must authenticate via a GitHub App.")
    return ask.actor.app


def _run(ask: Ask) -> CheckRun:
    number = ask.number("check_run_id")
    for run in ask.repository.check_runs:
        if run.id == number:
            return run
    raise not_found()
