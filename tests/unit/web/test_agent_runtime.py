"""`/api/agent-runtime/*` over a real app database and a real backlog: the cases of its seed, and everything hostile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.rows import dict_row
from werkzeug.test import Client, TestResponse

from app.backlog.postgres import postgres_backlog
from app.database.api_keys import api_keys
from app.database.executions import PostgresExecutions, stored_executions
from app.database.schema import prepare
from app.domain.api_keys import Scope
from app.domain.executions import LIFETIME, MOST_OPEN, ExecutionOutput, ExecutionResult, Workspace
from app.domain.items import ItemStatus, NewItem
from app.domain.results import Usage
from app.flows.agent_runtime import WORKERS
from app.prompts.routing import DOMAINS
from app.web.api.agent_runtime import LONGEST_PROMPT, AgentRuntime, agent_runtime_routes
from app.web.app import Api
from app.workspace.directories import Directories
from tests.unit.web.ingress_kit import Door

NOBODY = UUID("00000000-0000-4000-8000-000000000000")
RUNNER = "process host/boot 1 2 3"
PREFIX = "/api/agent-runtime"
HTML = "<script>alert('1')</script> & <b>bold</b>"


class World:
    """The routes, what they stand on, and clients with keys."""

    def __init__(self, client: Client, runtime: AgentRuntime, executions: PostgresExecutions, root: Path) -> None:
        self.client, self.runtime, self.executions, self.root = client, runtime, executions, root
        self.keys: dict[Scope, str] = {}
        self.sql: Any = None
        self.backlog_sql: Any = None

    def call(self, method: str, path: str, *, scope: Scope = Scope.RUN, **more: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {self.keys[scope]}"}
        return self.client.open(PREFIX + path, method=method, headers=headers, **more)

    def item(self, title: str = "Add a thing", kind: str = "feature") -> UUID:
        new = NewItem(title=title, problem="p", solution="s", type=kind, status=ItemStatus.NEW)
        return self.runtime.backlog.add_item(new, repository=None)

    def execute(self, **body: Any) -> TestResponse:
        given = {"workerId": "patch", "workItemId": str(self.item()), "prompt": "Do it"} | body
        return self.call("POST", "/execute", json={name: value for name, value in given.items() if value is not None})

    def started(self, **body: Any) -> UUID:
        answer = self.execute(**body)
        assert answer.status_code == 201, answer.text
        return UUID(answer.get_json()["executionId"])

    def running(self, **body: Any) -> UUID:
        """One that a runner has taken."""
        execution = self.started(**body)
        assert self.executions.take(execution, RUNNER)
        return execution

    def finished(self, error: str = "", output: ExecutionOutput | None = None) -> UUID:
        execution = self.running()
        usage = Usage(input_tokens=700, output_tokens=70, cost_usd=0.25, tool_calls=3)
        result = ExecutionResult(error=error, output=output or ExecutionOutput(), usage=usage)
        assert self.executions.finish(execution, RUNNER, result)
        return execution

    def entered(self, execution: UUID) -> UUID:
        """A workspace with a file in it."""
        workspace, now = uuid4(), datetime.now(UTC)
        place = self.runtime.directories.place(workspace)
        place.mkdir(parents=True)
        (place / "file.txt").write_text("x")
        (seen,) = [self.executions.execution(execution)]
        assert seen
        stored = Workspace(
            id=workspace,
            execution_id=execution,
            worker_id=seen.worker_id,
            work_item_id=seen.work_item_id,
            repository="octo/app",
            path=str(place),
            branch="mason/add-a-thing-0123abcd",
            created_at=now,
            completed_at=None,
            cleanup_at=now + LIFETIME,
        )
        assert self.executions.enter(stored)
        return workspace

    def jobs(self) -> list[str]:
        query = "select queueing_lock from mason_app.procrastinate_jobs order by id"
        return [row["queueing_lock"] for row in self.sql.execute(query).fetchall()]


@pytest.fixture
def world(tmp_path: Path, database: str, empty_database: str) -> Iterator[World]:
    prepare(empty_database)
    with ExitStack() as stack:
        executions = stack.enter_context(closing(stored_executions(empty_database)))
        runtime = AgentRuntime(
            executions=executions,
            backlog=stack.enter_context(closing(postgres_backlog(database, patience=5))),
            directories=Directories(tmp_path / "workspaces", "work", "/usr/bin:/bin"),
            repository=None,
        )
        keys = stack.enter_context(closing(api_keys(empty_database)))
        door = Door(more={"api": Api(keys=keys, routes=(agent_runtime_routes(runtime),))})
        made = World(door.client, runtime, executions, tmp_path / "workspaces")
        made.keys = {scope: keys.create(scope.value, scope)[1] for scope in Scope}
        made.sql = stack.enter_context(psycopg.connect(empty_database, autocommit=True, row_factory=dict_row))
        made.backlog_sql = stack.enter_context(psycopg.connect(database, autocommit=True))
        yield made


def failure(answer: TestResponse) -> tuple[int, str]:
    """Status and sentence of an error, in the one form that errors have."""
    body = answer.get_json()
    assert set(body) <= {"error", "details", "statusCode"} and body["statusCode"] == answer.status_code
    return answer.status_code, body["error"]


def places(answer: TestResponse) -> list[list[str]]:
    return [detail["path"] for detail in answer.get_json()["details"]]


# The 18 cases of the seed


def test_execute__creates_execution_and_returns_201_with_execution_id(world: World) -> None:
    answer = world.execute()
    assert answer.status_code == 201
    body = answer.get_json()
    assert list(body) == ["executionId"]
    assert UUID(body["executionId"])
    assert world.jobs() == [f"reconcile_execution {body['executionId']}"]


def test_execute__returns_400_for_missing_worker_id(world: World) -> None:
    answer = world.execute(workerId=None)
    assert (failure(answer)[0], places(answer)) == (400, [["workerId"]])


def test_execute__returns_400_for_missing_work_item_id(world: World) -> None:
    answer = world.execute(workItemId=None)
    assert (failure(answer)[0], places(answer)) == (400, [["workItemId"]])


def test_execute__returns_400_for_missing_prompt(world: World) -> None:
    answer = world.execute(prompt=None)
    assert (failure(answer)[0], places(answer)) == (400, [["prompt"]])


def test_execute__returns_404_for_non_existent_worker(world: World) -> None:
    status, sentence = failure(world.execute(workerId="nobody"))
    assert status == 404
    assert "'nobody'" in sentence and "claude, command, patch, ui" in sentence


@pytest.mark.parametrize("item", [str(NOBODY), "item-1", "../../etc/passwd", "\u0000"])
def test_execute__returns_404_for_non_existent_work_item(world: World, item: str) -> None:
    status, sentence = failure(world.execute(workItemId=item))
    assert status == 404 and sentence.startswith("There is no work item")
    assert world.jobs() == []


def test_executions__returns_200_with_execution_details(world: World) -> None:
    item = world.item(kind="security")
    execution = world.started(workItemId=str(item), workerId="command", prompt="Do it")
    answer = world.call("GET", f"/executions/{execution}", scope=Scope.READ)
    assert answer.status_code == 200
    body = answer.get_json()
    assert datetime.fromisoformat(body.pop("createdAt")).utcoffset() == timedelta(0)
    empty = {"summary": "", "filesChanged": [], "testsRun": False, "testsPassed": False, "logs": [], "diff": ""}
    assert body == {
        "id": str(execution),
        "workerId": "command",
        "workItemId": str(item),
        "templateId": "security",
        "status": "pending",
        "errorMessage": None,
        "output": empty,
        "durationMs": 0,
        "tokensUsed": 0,
        "costUsd": 0.0,
        "toolCallsCount": 0,
        "startedAt": None,
        "completedAt": None,
    }
    output = ExecutionOutput(
        summary=HTML, files_changed=("a.py",), tests_run=True, tests_passed=True, logs=("x", HTML), diff="+\0\u2028"
    )
    body = world.call("GET", f"/executions/{world.finished(output=output)}").get_json()
    assert body["output"] == {
        "summary": HTML,
        "filesChanged": ["a.py"],
        "testsRun": True,
        "testsPassed": True,
        "logs": ["x", HTML],
        "diff": "+\ufffd\u2028",
    }
    assert (body["status"], body["tokensUsed"], body["costUsd"], body["toolCallsCount"]) == ("success", 770, 0.25, 3)
    assert body["durationMs"] >= 0 and body["startedAt"] <= body["completedAt"]


def test_executions__returns_404_for_non_existent_execution(world: World) -> None:
    assert failure(world.call("GET", f"/executions/{NOBODY}")) == (404, f"There is no execution {NOBODY}.")


def test_cancel__cancels_running_execution_and_returns_200(world: World) -> None:
    execution = world.running()
    answer = world.call("POST", f"/executions/{execution}/cancel")
    assert answer.status_code == 200
    body = answer.get_json()
    assert (body["id"], body["status"]) == (str(execution), "cancelled")
    assert datetime.fromisoformat(body["completedAt"])
    assert not world.executions.renew(execution, RUNNER), "its runner learns of it"
    assert world.call("GET", f"/executions/{execution}").get_json() == body


def test_cancel__cancels_pending_execution_and_returns_200(world: World) -> None:
    execution = world.started()
    body = world.call("POST", f"/executions/{execution}/cancel").get_json()
    assert (body["status"], body["startedAt"]) == ("cancelled", None)
    assert body["completedAt"]
    assert world.executions.take(execution, RUNNER) is None, "nobody begins with it any more"


def test_cancel__returns_404_for_non_existent_execution(world: World) -> None:
    assert failure(world.call("POST", f"/executions/{NOBODY}/cancel")) == (404, f"There is no execution {NOBODY}.")


def test_cancel__returns_409_for_completed_execution(world: World) -> None:
    execution = world.finished()
    expected = (409, f"Execution {execution} has ended already: success.")
    assert failure(world.call("POST", f"/executions/{execution}/cancel")) == expected


def test_cancel__returns_409_for_cancelled_execution(world: World) -> None:
    execution = world.running()
    assert world.call("POST", f"/executions/{execution}/cancel").status_code == 200
    expected = (409, f"Execution {execution} has ended already: cancelled.")
    assert failure(world.call("POST", f"/executions/{execution}/cancel")) == expected


def test_cancel__returns_409_for_error_execution(world: World) -> None:
    execution = world.finished(error="The agent gave up.")
    expected = (409, f"Execution {execution} has ended already: error.")
    assert failure(world.call("POST", f"/executions/{execution}/cancel")) == expected
    assert world.call("GET", f"/executions/{execution}").get_json()["errorMessage"] == "The agent gave up."


def test_workspaces__returns_200_with_array_of_active_workspaces(world: World) -> None:
    execution = world.running()
    workspace = world.entered(execution)
    answer = world.call("GET", "/workspaces", scope=Scope.READ)
    assert answer.status_code == 200
    (body,) = answer.get_json()
    created, cleanup = (datetime.fromisoformat(body.pop(name)) for name in ("createdAt", "cleanupAt"))
    assert created.utcoffset() == timedelta(0) and cleanup - created == LIFETIME
    seen = world.executions.execution(execution)
    assert seen and body == {
        "id": str(workspace),
        "workerId": "patch",
        "workItemId": str(seen.work_item_id),
        "repositoryId": "octo/app",
        "path": str(world.root / str(workspace) / "trees" / "work"),
        "branchName": "mason/add-a-thing-0123abcd",
        "status": "active",
        "completedAt": None,
    }


def test_workspaces__returns_empty_array_when_no_active_workspaces_exist(world: World) -> None:
    answer = world.call("GET", "/workspaces")
    assert (answer.status_code, answer.get_json()) == (200, [])


def test_delete_workspace__deletes_workspace_and_returns_200(world: World) -> None:
    execution = world.running()
    workspace = world.entered(execution)
    assert world.executions.finish(execution, RUNNER, ExecutionResult())
    answer = world.call("DELETE", f"/workspaces/{workspace}")
    assert (answer.status_code, answer.get_json()) == (200, {"message": f"Workspace {workspace} deleted successfully"})
    assert not (world.root / str(workspace)).exists()
    assert world.call("GET", "/workspaces").get_json() == []
    assert failure(world.call("DELETE", f"/workspaces/{workspace}"))[0] == 404


def test_delete_workspace__returns_404_for_non_existent_workspace(world: World) -> None:
    assert failure(world.call("DELETE", f"/workspaces/{NOBODY}")) == (404, f"There is no workspace {NOBODY}.")


# Beyond the seed


def test_delete_workspace__in_use_is_409(world: World) -> None:
    execution = world.running()
    workspace = world.entered(execution)
    assert failure(world.call("DELETE", f"/workspaces/{workspace}"))[0] == 409
    assert world.call("POST", f"/executions/{execution}/cancel").status_code == 200
    assert failure(world.call("DELETE", f"/workspaces/{workspace}"))[0] == 409, "its runner may still be in there"
    assert (world.root / str(workspace) / "trees" / "work" / "file.txt").exists()
    assert not world.executions.finish(execution, RUNNER, ExecutionResult()), "its runner leaves"
    assert world.call("DELETE", f"/workspaces/{workspace}").status_code == 200


def test_cancel__and_finish_at_once_exactly_one_happens(world: World) -> None:
    outcomes = set()
    with ThreadPoolExecutor(2) as pool:
        for _ in range(25):
            execution = world.running()
            cancel = pool.submit(world.call, "POST", f"/executions/{execution}/cancel")
            finish = pool.submit(world.executions.finish, execution, RUNNER, ExecutionResult())
            status, ended = cancel.result().status_code, finish.result()
            assert (status, ended) in ((200, False), (409, True))
            seen = world.executions.execution(execution)
            assert seen and seen.status.value == ("success" if ended else "cancelled")
            outcomes.add(ended)
    assert outcomes


def test_cancel__ten_at_once_cancel_once(world: World) -> None:
    execution = world.running()
    with ThreadPoolExecutor(10) as pool:
        calls = [pool.submit(world.call, "POST", f"/executions/{execution}/cancel") for _ in range(10)]
    assert sorted(call.result().status_code for call in calls) == [200] + [409] * 9


def test_take__of_ten_runners_one_has_it(world: World) -> None:
    execution = world.started()
    with ThreadPoolExecutor(10) as pool:
        taken = list(pool.map(lambda n: world.executions.take(execution, f"{RUNNER}{n}"), range(10)))
    (one,) = [each for each in taken if each]
    assert world.executions.renew(execution, one.claimed_by)


def test_finish__is_not_for_somebody_else(world: World) -> None:
    execution = world.running()
    assert not world.executions.finish(execution, "process of somebody else", ExecutionResult())
    assert world.executions.renew(execution, RUNNER)


def test_cancelled__what_it_cost_is_kept(world: World) -> None:
    execution = world.running()
    world.call("POST", f"/executions/{execution}/cancel")
    assert not world.executions.finish(execution, RUNNER, ExecutionResult(usage=Usage(cost_usd=1.5)))
    body = world.call("GET", f"/executions/{execution}").get_json()
    assert (body["status"], body["costUsd"], body["errorMessage"]) == ("cancelled", 1.5, None)


def test_execute__html_is_data(world: World) -> None:
    execution = world.started(workItemId=str(world.item(title=HTML)), prompt=HTML)
    answer = world.call("GET", f"/executions/{execution}")
    assert answer.content_type == "application/json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    stored = world.executions.execution(execution)
    assert stored and stored.prompt == HTML
    sentence = failure(world.execute(workerId=HTML))[1]
    assert sentence.startswith(f"There is no worker {HTML!r}")


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"extra": 1}, ["extra"]),
        ({"prompt": ""}, ["prompt"]),
        ({"prompt": " \n"}, ["prompt"]),
        ({"prompt": 7}, ["prompt"]),
        ({"prompt": "x" * (LONGEST_PROMPT + 1)}, ["prompt"]),
        ({"workerId": ["patch"]}, ["workerId"]),
        ({"workItemId": 5}, ["workItemId"]),
        ({"gate": "yes"}, ["gate"]),
        ({"worker_id": "patch"}, ["worker_id"]),
    ],
)
def test_execute__what_is_wrong_is_named(world: World, body: dict[str, Any], place: list[str]) -> None:
    answer = world.execute(**body)
    assert failure(answer)[0] == 400
    assert place in places(answer)
    assert world.jobs() == []


@pytest.mark.parametrize("data", [b" ", b"{", b"[]", b"null", b'"x"', b"\xff", b'{"prompt": "\\ud800"}', b"[" * 50_000])
def test_execute__what_is_no_such_json_is_400(world: World, data: bytes) -> None:
    answer = world.call("POST", "/execute", data=data, content_type="application/json")
    assert failure(answer)[0] == 400


def test_execute__ten_megabytes_are_413(world: World) -> None:
    body = json.dumps({"prompt": "x" * 10_000_000}).encode()
    assert failure(world.call("POST", "/execute", data=body, content_type="application/json"))[0] == 413


def test_execute__a_prompt_with_nul_is_stored_without(world: World) -> None:
    stored = world.executions.execution(world.started(prompt="a\0b"))
    assert stored and stored.prompt == "a\ufffdb"


def test_execute__an_item_of_another_repository_is_unknown(world: World) -> None:
    item = world.item()
    world.started(workItemId=str(item))
    world.backlog_sql.execute("insert into mason_github_repositories (github_full_name) values ('octo/other')")
    world.backlog_sql.execute(
        "update mason_pm_backlog_items set repository_id = (select id from mason_github_repositories)"
    )
    assert failure(world.execute(workItemId=str(item)))[0] == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/executions/{id}"),
        ("POST", "/executions/{id}/cancel"),
        ("DELETE", "/workspaces/{id}"),
    ],
)
@pytest.mark.parametrize("name", ["1", "x", "..%2f..%2fetc", "%00", "9" * 5000])
def test_paths__an_id_that_is_none_is_refused(world: World, method: str, path: str, name: str) -> None:
    assert failure(world.call(method, path.format(id=name)))[0] in (400, 404)


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/execute", Scope.RUN),
        ("GET", f"/executions/{NOBODY}", Scope.READ),
        ("POST", f"/executions/{NOBODY}/cancel", Scope.RUN),
        ("GET", "/workspaces", Scope.READ),
        ("DELETE", f"/workspaces/{NOBODY}", Scope.RUN),
        ("GET", "/workers", Scope.READ),
    ],
)
def test_routes__need_a_key_with_their_scope(world: World, method: str, path: str, scope: Scope) -> None:
    assert failure(world.client.open(PREFIX + path, method=method))[0] == 401
    refused = world.call(method, path, scope=Scope.READ).status_code == 403
    assert refused == (scope is Scope.RUN)


def test_execute__no_more_are_taken_on_than_can_be_looked_after(world: World) -> None:
    first = world.started()
    world.sql.execute(
        "insert into mason_app.executions (id, worker_id, work_item_id, template_id, prompt, gate)"
        " select gen_random_uuid(), 'patch', gen_random_uuid(), 'general', 'x', false from generate_series(2, %s)",
        [MOST_OPEN],
    )
    answer = world.execute()
    assert failure(answer)[0] == 503 and answer.headers["Retry-After"]
    assert world.call("POST", f"/executions/{first}/cancel").status_code == 200
    world.started()


def test_record__the_same_twice_is_one(world: World) -> None:
    execution = world.executions.execution(world.running())
    assert execution and world.executions.record(execution)
    again = world.executions.execution(execution.id)
    assert again == execution


def test_workers__are_the_agents_and_the_domains(world: World) -> None:
    answer = world.call("GET", "/workers", scope=Scope.READ)
    assert answer.status_code == 200
    rows = answer.get_json()
    assert rows[0] == {"id": "claude", "agent": "claude", "templateId": None}
    assert {row["id"]: row["templateId"] for row in rows[3:]} == {name: name for name in DOMAINS}
    assert len(rows) == len(WORKERS) == 11


def test_execute__a_domain_worker_has_its_own_template(world: World) -> None:
    execution = world.started(workerId="code-quality", workItemId=str(world.item(kind="ui")))
    assert world.call("GET", f"/executions/{execution}").get_json()["templateId"] == "code-quality"


def test_forget__rows_go_when_nothing_is_left_of_them(world: World) -> None:
    ended, with_workspace = world.finished(), world.running()
    workspace = world.entered(with_workspace)
    assert world.executions.finish(with_workspace, RUNNER, ExecutionResult())
    world.sql.execute("update mason_app.executions set completed_at = completed_at - interval '91 days'")
    world.executions.forget(90)
    assert world.executions.execution(ended) is None
    assert world.executions.execution(with_workspace)
    assert world.executions.removed(workspace)
    world.executions.forget(90)
    assert world.executions.execution(with_workspace) is None
