"""PRDs as short Python: ``prd(waves, diff("src/new.txt", "hello"), fix=…)`` gives the Markdown of one."""

from __future__ import annotations

import difflib
import json


def prd(*parts: str, title: str = "A change") -> str:
    """A PRD with a heading, a problem, a solution and these parts (diffs, answers, waves, any Markdown)."""
    return "\n\n".join([f"# {title}", "## Problem\n\nSomething is missing.", "## Solution\n\nAdd it.", *parts]) + "\n"


def new(path: str, content: str, *, task: str | None = None, fix: int | None = None) -> str:
    """A fenced diff that adds a file with this line (or these lines)."""
    return change(path, "", content, task=task, fix=fix)


def change(path: str, before: str, after: str, *, task: str | None = None, fix: int | None = None) -> str:
    """A fenced diff from one whole content of a file to another; an empty one stands for no file."""
    lines = [text.rstrip("\n").split("\n") if text else [] for text in (before, after)]
    old, fresh = (f"a/{path}" if before else "/dev/null", f"b/{path}" if after else "/dev/null")
    return fenced("\n".join(difflib.unified_diff(*lines, old, fresh, lineterm="")), task=task, fix=fix)


def fenced(diff: str, *, task: str | None = None, fix: int | None = None) -> str:
    """Any text as a fenced diff, addressed to a task, to a fix iteration, or to the first implementing call."""
    address = (f" task={task}" if task else "") + (f" fix={fix}" if fix else "")
    return f"```diff{address}\n{diff}\n```"


def answer(role: str, *, fix: int | None = None, **values: object) -> str:
    """A fenced answer of the patch agent to a question: ``answer("verify", decision="SKIP")``."""
    return f"```mason-answer role={role}{f' fix={fix}' if fix else ''}\n{json.dumps(values)}\n```"


def wave(number: int, *tasks: str, after: int | None = None) -> str:
    """A wave: ``wave(1, "Explore: Look around", "general-purpose: Write it")``, its tasks side by side."""
    rows = [f"| {number}.{n} | {' | '.join(task.split(': ', 1))} |" for n, task in enumerate(tasks, 1)]
    blocked = [f"Blocked by: Wave {after}", ""] if after else []
    head = ["| Task | Subagent | Description |", "| ---- | -------- | ----------- |"]
    return "\n".join([f"### Wave {number}: Step {number} (Parallel)", "", *blocked, *head, *rows])
