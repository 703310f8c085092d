"""`mason demo`: make the sample repository, approve six items, run them, and say where to look."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from pydantic import SecretStr

from app import process, wiring
from app.domain.runs import RunResult
from app.errors import UsageError
from app.flows.run_items import run_items
from app.planning.item_file import read_item_file
from app.process import Stop
from app.settings import Settings, environment, read_settings

HERE = Path(__file__).parent
EXPECTED = {"completed": 3, "rejected": 1, "already_resolved": 1, "deferred": 1}


def show(keep: Path | None, stop: Stop) -> int:
    """Run the demo; the exit code: 0 when its six items ended as they should, else 1, or 4 when it was stopped."""
    with place(keep) as directory:
        repository = make_repository(directory / "shop")
        texts = [path.read_text(encoding="utf-8") for path in sorted((HERE / "items").glob("*.md"))]
        items = [read_item_file(text) for text in texts]
        click.echo(f"A sample repository with six approved items, in {directory}. Each shows one way to end:\n")
        for item, text in zip(items, texts, strict=True):
            click.echo(f"  {item.title}\n    {shown(text)}")
        click.echo()
        request = wiring.RunRequest(repository=repository, auto=True, max_parallel=3)
        with wiring.throwaway_database(read_settings()) as dsn, (directory / "auto.log").open("w") as status:
            settings = Settings(
                dsn=SecretStr(dsn), state_dir=directory / "state", runs_dir=directory / "runs", agent="patch"
            )
            with wiring.runner(settings, request, status=status, console=sys.stdout) as ports:
                for item in items:
                    ports.backlog.add_item(item, repository=None)
                result = run_items(ports, wiring.run_options(request), stop)
        as_json = wiring.show_result(request.redactor, result, as_json=True)
        (directory / "result.json").write_text(as_json, encoding="utf-8")
        click.echo("\n" + wiring.show_result(request.redactor, result, as_json=False))
        click.echo(where_to_look(directory, repository, kept=keep is not None))
    if result.cancelled:
        return 4
    as_expected = verdicts(result) == EXPECTED
    click.echo("All six items ended as they should." if as_expected else "This is not how the items should have ended.")
    return 0 if as_expected else 1


def shown(text: str) -> str:
    """What an item file says that it shows."""
    return next((line.removeprefix("shows: ") for line in text.splitlines() if line.startswith("shows: ")), "")


def verdicts(result: RunResult) -> dict[str, int]:
    names = [each.outcome.verdict.value for each in result.results]
    return {name: names.count(name) for name in sorted(set(names))}


@contextmanager
def place(keep: Path | None) -> Iterator[Path]:
    """An empty directory: the given one, which stays, or one that is removed at the end."""
    if keep:
        if keep.exists() and any(keep.iterdir()):
            raise UsageError(f"{keep} is not empty; give a directory that does not exist yet")
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.absolute()
        return
    directory = Path(tempfile.mkdtemp(prefix="mason-demo-"))
    directory.chmod(0o711)  # where Mason's commands run as other users, they have to get to their trees
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def make_repository(path: Path) -> Path:
    """The sample as a git repository with one commit on ``main``."""
    shutil.copytree(HERE / "sample", path, ignore=shutil.ignore_patterns("__pycache__"))
    environ = process.base_environment(environment(), {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"})
    person = ("-c", "user.name=Sample", "-c", "user.email=sample@localhost", "-c", "commit.gpgsign=false")
    for words in (("init", "-q", "-b", "main"), ("add", "-A"), (*person, "commit", "-q", "-m", "A small shop")):
        done = process.run(["git", *words], cwd=path, env=environ, timeout=60, merge=True)
        if not done.ok:
            raise UsageError(f"git could not make the sample repository: {done.text.strip() or 'git is missing'}")
    return path


def where_to_look(directory: Path, repository: Path, *, kept: bool) -> str:
    """What is left to look at, and what to do next."""
    if not kept:
        return "Everything was removed again. Keep it with: mason demo --keep DIR"
    return "\n".join(
        [
            f"The sample repository:   {repository}  (git -C {repository} log --oneline --graph --all)",
            f"Work of the failed item: {directory / 'state' / 'artifacts'}",
            f"Log of the run (--auto): {directory / 'auto.log'}",
            f"Result as JSON:          {directory / 'result.json'}",
        ]
    )
