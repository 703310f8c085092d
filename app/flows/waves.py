"""Waves: reading tasks side by side in one tree, writing tasks side by side in trees of their own, merged in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from app.domain import events as ev
from app.domain.plans import Plan, Subagent, Task, Wave
from app.domain.results import CheckKind, Verdict
from app.errors import MergeConflict
from app.flows.evaluation import prepare, record_checks
from app.flows.work import ItemWork, call_agent, undo_changes
from app.ports.agent import AgentResult, Role
from app.ports.workspace import Tree
from app.prompts import answers, render

Result = TypeVar("Result")

MAX_WRITERS = 4
"""Writing tasks of one wave at a time: each has a tree and an agent of its own."""


def run_waves(work: ItemWork, tree: Tree, plan: Plan) -> None:
    """Run the waves in order; every "Blocked by" points backwards, so that order honours it.

    Raises Settled when a writing task failed: writing tasks are critical, reading tasks fail forward.
    """
    last_writing = next((wave for wave in reversed(plan.waves) if wave.writes), None)
    for wave in plan.waves:
        phase = ev.Phase.BUILDING if wave.writes or wave is not plan.waves[0] else ev.Phase.FOUNDATION
        checkpoint = 7 if phase is ev.Phase.BUILDING else 6
        work.reach(checkpoint, phase, f"Wave {wave.number}: {wave.title or 'tasks'}")
        work.report(ev.WaveStarted(claim=work.claim, wave=wave.number, title=wave.title))
        work.notes += read(work, tree, wave)
        write(work, tree, wave)
        work.report(ev.WaveFinished(claim=work.claim, wave=wave.number))
        if wave.writes and wave is not last_writing:  # after the last one the whole gate runs anyway
            record_checks(work, tree, (CheckKind.TYPECHECK, CheckKind.TEST))
    work.reach(8, ev.Phase.INSPECTION, "Implementation complete")


def read(work: ItemWork, tree: Tree, wave: Wave) -> tuple[render.TaskNote, ...]:
    """The wave's reading tasks; what they found, for the tasks after them."""
    tasks = [task for task in wave.tasks if not task.writes]
    if not tasks:
        return ()
    before = tree.snapshot()
    results = side_by_side(wave, tasks, lambda task: read_one(work, tree, wave, task, before))
    undo_changes(work, tree, before, Role.EXPLORE)
    return tuple(render.TaskNote(task=t, text=r.text) for t, r in zip(tasks, results, strict=True) if r.text)


def read_one(work: ItemWork, tree: Tree, wave: Wave, task: Task, state: str) -> AgentResult:
    """One reading task. ``state`` is the tree before any of them began: nothing is read from it while others live."""
    tell(work, wave, task, ev.TaskStatus.IN_PROGRESS)
    if task.subagent is Subagent.REVIEWER:
        diff = work.ports.workspace.diff(work.begin, state)
        prompt, schema = render.review(work.briefing, task, diff), answers.schema(answers.Review)
        result = call_agent(work, tree.path, Role.REVIEW, prompt, schema=schema, task_id=task.id)
        review = answers.parse_review(result.answer)
        if review and review.decision == "reject":
            work.note(f"Review of task {task.id}: {'; '.join(review.issues)}", ev.Level.WARN)
    else:
        prompt = render.explore(work.briefing, task, work.notes)
        result = call_agent(work, tree.path, Role.EXPLORE, prompt, task_id=task.id)
    tell(work, wave, task, ev.TaskStatus.FAILED if result.error else ev.TaskStatus.COMPLETED, result.error)
    return result


def write(work: ItemWork, tree: Tree, wave: Wave) -> None:
    """The wave's writing tasks. Afterwards ``tree`` holds their merged work."""
    tasks = [task for task in wave.tasks if task.writes]
    if len(tasks) <= 1 or not wave.parallel:
        errors = [write_one(work, tree, wave, task) for task in tasks]
    else:
        errors = write_side_by_side(work, tree, wave, tasks)
    if failed := [f"task {task.id} failed: {error}" for task, error in zip(tasks, errors, strict=True) if error]:
        raise work.settled(Verdict.REJECTED, f"Wave {wave.number}: " + "; ".join(failed))


def write_side_by_side(work: ItemWork, tree: Tree, wave: Wave, tasks: Sequence[Task]) -> list[str]:
    """Each task in a fork of the tree; merged in task order, a conflicting one runs again on the merged state."""
    workspace, start = work.ports.workspace, tree.snapshot()

    def in_fork(task: Task) -> tuple[str, str]:
        with workspace.fork(f"task-{task.id}-{work.item.id}", tree, start) as fork:
            prepare(work, fork)
            error = write_one(work, fork, wave, task)
            return error, start if error else fork.snapshot()

    results = side_by_side(wave, tasks, in_fork)
    errors, merged = [error for error, _ in results], start
    for index, (error, snapshot) in enumerate(results):
        if error:
            continue
        try:
            merged = workspace.merge(start, merged, snapshot)
        except MergeConflict as conflict:
            work.note(f"Task {tasks[index].id} runs again on the merged state: {conflict}", ev.Level.WARN)
            tree.restore(merged)
            errors[index] = write_one(work, tree, wave, tasks[index])
            merged = merged if errors[index] else tree.snapshot()
    tree.restore(merged)
    return errors


def write_one(work: ItemWork, tree: Tree, wave: Wave, task: Task) -> str:
    """One writing task; the sentence that says why it failed, or an empty string."""
    tell(work, wave, task, ev.TaskStatus.IN_PROGRESS)
    prompt = render.implement(work.briefing, task, work.notes)
    result = call_agent(work, tree.path, Role.IMPLEMENT, prompt, task_id=task.id)
    tell(work, wave, task, ev.TaskStatus.FAILED if result.error else ev.TaskStatus.COMPLETED, result.error)
    return result.error


def tell(work: ItemWork, wave: Wave, task: Task, status: ev.TaskStatus, error: str = "") -> None:
    if status is ev.TaskStatus.COMPLETED:
        work.tasks_done.add(task.id)
    work.report(ev.TaskChanged(claim=work.claim, task=task, wave=wave.number, status=status, error=error))


def side_by_side(wave: Wave, tasks: Sequence[Task], do: Callable[[Task], Result]) -> list[Result]:
    """The results in task order; the first exception ends the wave once every task has come to its end."""
    if len(tasks) == 1 or not wave.parallel:
        return [do(task) for task in tasks]
    with ThreadPoolExecutor(max_workers=min(len(tasks), MAX_WRITERS)) as pool:
        return list(pool.map(do, tasks))
