"""`mason demo`: the whole of Mason on a sample: `mason serve`, six items, and somebody who approves them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import click
import httpx

from app import process, wiring
from app.domain.items import ItemStatus, NewItem
from app.domain.runs import RunResult
from app.errors import Cancelled, UsageError
from app.log import Redactor
from app.planning.item_file import read_item_file
from app.ports.backlog import Backlog
from app.process import Stop
from app.settings import Settings, environment
from app.wiring.databases import open_backlog
from app.wiring.signed_links import link_to_runs

HERE = Path(__file__).parent
EXPECTED = {"completed": 3, "rejected": 1, "already_resolved": 1, "deferred": 1}
UNDER_WAY = (ItemStatus.NEW, ItemStatus.APPROVED, ItemStatus.IN_PROGRESS)

_INHERITED = ("MASON_POSTGRES_BIN", "MASON_USERS", "MASON_CONTAINER")
"""Settings that say what the machine is like; all others are the user's own."""

_START_SECONDS, _STOP_SECONDS = 60.0, 60.0
_TICK, _LOOK = 0.1, 0.3


def show(keep: Path | None, stop: Stop, *, serve: bool = False) -> int:
    """Run the demo; the exit code: 0 when its six items ended as they should, else 1, or 4 when it was stopped.

    ``serve``: the finished run can be looked at until the stop.
    """
    with place(keep) as directory:
        repository = make_repository(directory / "shop")
        texts = [path.read_text(encoding="utf-8") for path in sorted((HERE / "items").glob("*.md"))]
        items = [read_item_file(text, approved=False) for text in texts]
        click.echo(f"A sample repository and a backlog of six items, in {directory}. Each shows one way to end:\n")
        for item, text in zip(items, texts, strict=True):
            click.echo(f"  {item.title}\n    {shown(text)}")
        with App(directory, repository) as app:
            click.echo(f"\nmason serve runs on {app.url}. Watch it in a browser:\n\n  {app.page()}\n")
            click.echo("" if serve else "(The page goes when the demo ends; `mason demo --serve` keeps it.)\n")
            click.echo("Now somebody approves all six in the database:\n")
            result = approve_and_watch(app, items, stop)
            if serve:
                click.echo(f"\nThe finished run, until Ctrl-C:\n\n  {app.page(result.run_id)}\n")
                stop.heeded = True  # it ends well then
                while app.runs() and not stop.wait(_LOOK):
                    pass
        (directory / "result.json").write_text(wiring.show_result(Redactor(()), result, as_json=True), encoding="utf-8")
        click.echo("\n" + where_to_look(directory, repository, kept=keep is not None))
    as_expected = verdicts(result) == EXPECTED
    click.echo("All six items ended as they should." if as_expected else "This is not how the items should have ended.")
    return 0 if as_expected else 1


class App:
    """`mason serve` on a database of its own, without anything of the user's settings."""

    def __init__(self, directory: Path, repository: Path) -> None:
        self._directory = directory
        self._repository = repository
        self._port = free_port()
        self.state = directory / "state"
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> App:
        """Start it; back once it answers. Raises UsageError when it does not."""
        inherited = {name: value for name, value in environment().items() if name in _INHERITED}
        own = {
            "MASON_STATE_DIR": str(self.state),
            "MASON_RUNS_DIR": str(self._directory / "runs"),
            "MASON_DEBOUNCE": "0.5",
            "MASON_SWEEP": "1",
            "MASON_WORKERS": "1",
        }
        self._child = process.spawn(
            [
                sys.executable,
                "-P",
                "-m",
                "app",
                "serve",
                "--port",
                str(self._port),
                "--repository",
                str(self._repository),
            ],
            cwd=self._directory,
            env=process.base_environment(environment(), inherited | own),
            log=self._directory / "serve.log",
        )
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._child and self._child.poll() is None:
            self._child.terminate()
            self._child.wait(_STOP_SECONDS)

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self.answers():
            if not self.runs() or time.monotonic() > deadline:
                said = (self._directory / "serve.log").read_text(encoding="utf-8", errors="replace")
                raise UsageError(f"mason serve did not start: {said[-1000:].strip()}")
            time.sleep(_TICK)

    def runs(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5).is_success
        except httpx.HTTPError:
            return False

    @contextmanager
    def backlog(self) -> Iterator[Backlog]:
        """Its backlog, as a guest of its server."""
        with open_backlog(self._settings, self.state) as backlog:
            yield backlog

    @property
    def _settings(self) -> Settings:
        """Nothing of the user's."""
        return Settings(dsn=None, supabase_url=None, supabase_key=None, encryption_key=None, state_dir=self.state)

    def page(self, run_id: UUID | None = None) -> str:
        """A signed address of a run's page, or of all."""
        return link_to_runs(self._settings, self._repository, self.url, run_id)

    def log(self, run_id: UUID) -> Path:
        """What the runner of a run says."""
        return self.state / "local-runs" / str(run_id) / "log"


def approve_and_watch(app: App, items: Sequence[NewItem], stop: Stop) -> RunResult:
    """Put the items into the backlog, approve them, and show what the runner says until all of them have ended."""
    with app.backlog() as backlog:
        ids = [backlog.add_item(item, repository=None) for item in items]
        for item_id in ids:
            backlog.approve(item_id)
        said: dict[UUID, int] = {}
        while True:
            if stop.wait(_LOOK):
                raise Cancelled
            if not app.runs():
                raise UsageError("mason serve ended before the items did")
            now = backlog.items(ids)
            for run_id in sorted({item.run_id for item in now if item.run_id}, key=str):
                said[run_id] = tell(app.log(run_id), said.get(run_id, 0))
            if all(item.status not in UNDER_WAY for item in now) and all(
                (app.log(run_id).parent / "exit").exists() for run_id in said
            ):
                for run_id, position in said.items():
                    tell(app.log(run_id), position)
                return result_of(backlog, list(said))


def tell(log: Path, position: int) -> int:
    """Print what was added to a log since; the position up to which it is told. Lines for machines are left out."""
    if not log.exists():
        return position
    with log.open("rb") as file:
        file.seek(position)
        fresh = file.read()
    whole = fresh[: fresh.rfind(b"\n") + 1]
    for line in whole.decode("utf-8", "replace").splitlines():
        if not line.startswith("AUTOPILOT_STATUS:"):
            click.echo(line)
    return position + len(whole)


def result_of(backlog: Backlog, run_ids: Sequence[UUID]) -> RunResult:
    """How the items ended, as their rows say."""
    runs = [run for run in map(backlog.run, run_ids) if run is not None]
    results = [result for run in runs for result in backlog.results(run)]
    return RunResult(run_id=runs[0].id, base=runs[0].base, results=tuple(results))


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


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
            f"Log of the run:          {directory / 'state' / 'local-runs'}",
            f"Log of mason serve:      {directory / 'serve.log'}",
            f"Result as JSON:          {directory / 'result.json'}",
        ]
    )
