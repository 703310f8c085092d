"""A storm: deliveries of every kind, sent from several threads while web servers and workers are killed and restarted.

What the sender does is what GitHub's and Supabase's people do: whatever was not answered with 2xx is sent again.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import httpx

from app.domain.results import Outcome, Verdict
from tests.fakes.github import FakeRepository
from tests.fakes.github_api.records import Comment
from tests.whole.fleet import Fleet, Post, of_github, of_supabase
from tests.whole.served import Process, free_port, wait_for

SENDERS = 8
SENT_TWICE = 0.1
LIMIT = 240.0
IRRELEVANT = ("star", "watch", "fork", "label", "status", "create", "pull_request", "release")


@dataclass(frozen=True, kw_only=True)
class Sending:
    """A delivery, and what happens in the world before it is sent for the first time."""

    post: Post
    cause: Callable[[], object] = lambda: None


@dataclass
class Storm:
    """What is sent, and what is to become of it. ``number`` counts deliveries, those that are sent twice as two."""

    fleet: Fleet
    number: int
    seed: int
    sendings: list[Sending] = field(default_factory=list)
    comments: list[tuple[FakeRepository, Comment]] = field(default_factory=list)
    approved: list[UUID] = field(default_factory=list)
    ended: list[UUID] = field(default_factory=list)
    """Items of runs that ended before the storm, of which only deliveries tell."""
    sent_again: int = 0

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        unique = self.number - int(self.number * SENT_TWICE)
        share = unique // 18
        self._make(ended=share, approvals=2 * share, comments=3 * share, commands=share)
        while len(self.sendings) < unique:
            event = self.chance.choice(IRRELEVANT)
            self.sendings.append(Sending(post=of_github(event, {"action": "created", "padding": "x" * 2000})))
        self.sendings += self.chance.sample(self.sendings, self.number - unique)
        self.chance.shuffle(self.sendings)

    def _make(self, *, ended: int, approvals: int, comments: int, commands: int) -> None:
        fleet = self.fleet
        fleet.github.webhooks.to("http://127.0.0.1:9", "collected, and sent by the storm")
        self._runs_that_end(fleet.add_items(ended))
        for item in fleet.add_items(approvals):
            self._approval(item)
        for item in fleet.add_items(approvals):  # changes that mean nothing
            self.sendings.append(Sending(post=of_supabase(item, "new")))
        homes = self.fleet.repositories
        for n in range(comments):
            home = homes[n % len(homes)]
            text = ("/mason status", "/mason help", "Nice.\n\n/mason statsu", "Thanks, /mason is great")[n % 4]
            self._comment(home, text, login="stranger" if n % 9 == 8 else "ada", asks=n % 4 != 3)
        for n, item in enumerate(fleet.add_items(commands)):
            self.approved.append(item)
            self._comment(homes[n % len(homes)], f"/mason approve {item}")
        for n, item in enumerate(fleet.add_items(commands, "approved")):
            self.approved.append(item)
            self._comment(homes[n % len(homes)], f"/mason run --item {item}")
        for _ in range(approvals):
            run = {"display_title": f"Mason run {uuid4()}", "name": "mason.yml"}
            self.sendings.append(Sending(post=of_github("workflow_run", {"action": "completed", "workflow_run": run})))

    def _runs_that_end(self, items: list[UUID]) -> None:
        """Dispatch these now; their runners complete them, and the deliveries about that are the storm's."""
        fleet = self.fleet
        worker = fleet.worker()
        fleet.approve_items(items)
        wait_for(lambda: fleet.all_dispatched(items), "all are dispatched", lambda: fleet.logs)
        fleet.wait_until_idle()
        worker.kill()
        fleet.settle(items, Outcome(verdict=Verdict.COMPLETED, reason=""))
        self._collected()
        for home in fleet.repositories:
            for run in home.workflow_runs:
                run.start()
                run.finish("success")
        self.ended = items
        self.sendings += [Sending(post=post) for post in self._collected() if post.event == "workflow_run"]

    def _approval(self, item: UUID) -> None:
        self.approved.append(item)
        self.sendings.append(
            Sending(post=of_supabase(item, "approved"), cause=lambda: self.fleet.approve_items([item]))
        )

    def _comment(self, home: FakeRepository, text: str, *, login: str = "ada", asks: bool = True) -> None:
        issue = home.open_issue_by_person("A question", login=login)
        comment = home.comment_as_person(issue.number, text, login=login)
        self.sendings += [Sending(post=post) for post in self._collected()]
        if asks:
            self.comments.append((home, comment))

    def _collected(self) -> list[Post]:
        hook = self.fleet.github.webhooks
        with self.fleet.github.hub.lock:
            pending, hook.pending = hook.pending, []
        return [Post(path="/webhooks/github", event=one.event, body=one.body, id=one.id) for one in pending]

    def rage(self, kills: int) -> None:
        """Send everything; at random points among the answers one of two web servers or of two workers is killed."""
        ports = [self.fleet.port, free_port()]
        crew: list[Crew] = [Crew(self.fleet, port) for port in ports] + [Crew(self.fleet, None) for _ in range(2)]
        senders = Senders(self.sendings, ports, self.seed)
        points = sorted(self.chance.sample(range(1, self.number), kills))
        with senders:
            for point in points:
                wait_for(
                    lambda point=point: senders.acknowledged >= point, "answers", lambda: self.fleet.logs, seconds=LIMIT
                )
                victim = self.chance.choice(crew)
                victim.wait_until_ready()
                victim.process.kill()
                victim.start()
            wait_for(lambda: senders.done, "everything was sent", lambda: self.fleet.logs, seconds=LIMIT)
        assert not senders.refused
        self.sent_again = senders.again
        self.fleet.wait_until_idle()

    @property
    def jobs_lost(self) -> int:
        """How often a worker found jobs of dead ones."""
        return sum("lost jobs are done again" in made for made in (self.fleet.project.root / "worker.log").open())

    def check(self) -> None:
        """Everything that got a 2xx has had its effect, once."""
        fleet = self.fleet
        fleet.github.webhooks.to("", "")
        for home, comment in self.comments:
            marker = marker_of(comment)
            replies = [one for one in home.comments if one.number == comment.number and one.body.startswith(marker)]
            assert len(replies) == 1, f"{comment.body!r} has {len(replies)} replies"
            last = [one.content for one in comment.reactions][-1]
            well = comment.author.login == "ada" and "statsu" not in comment.body and "run --item" not in comment.body
            assert last == "rocket" if well else last in ("rocket", "confused"), (comment.body, replies[0].body)
        about = sum(one.body.startswith("<!-- mason:reply:") for home in fleet.repositories for one in home.comments)
        assert about == len(self.comments)
        rows = fleet.items(self.approved)
        assert {(row["status"], row["execution_attempt"]) for row in rows} == {("in_progress", 1)}
        fleet.assert_dispatched_once(self.approved)
        assert {row["status"] for row in fleet.items(self.ended)} == {"completed"}
        runs = {str(row["execution_run_id"]) for row in fleet.items(self.ended)}
        ended = {str(row["id"]) for row in fleet.app("select id from dispatches where outcome = 'success'")}
        assert ended == runs
        assert not fleet.app("select from requests where not finished")
        assert not fleet.app("select from dispatches where state = 'preparing'")


def marker_of(comment: Comment) -> str:
    digest = hashlib.sha256(comment.body.encode()).hexdigest()[:16]
    key = f"comment {comment.id} {digest}"
    return f"<!-- mason:reply:{hashlib.sha256(key.encode()).hexdigest()[:16]} -->"


@dataclass
class Crew:
    """One of the processes under fire: a web server on a port, or a worker."""

    fleet: Fleet
    port: int | None
    process: Process = field(init=False)
    workers: int = 0

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        if self.port is None:
            self.workers = self._newest_worker()
            self.process = self.fleet.worker()
        else:
            self.process = self.fleet.web_on(self.port, MASON_WORKERS="1")

    def wait_until_ready(self) -> None:
        """A process that has not begun yet is not worth killing."""
        seen = self._answers if self.port is not None else (lambda: self._newest_worker() > self.workers)
        wait_for(seen, "it is ready", lambda: self.fleet.logs, seconds=LIMIT)

    def _newest_worker(self) -> int:
        return int(self.fleet.app("select last_value as id from procrastinate_workers_id_seq")[0]["id"])

    def _answers(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/healthz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False


class Senders:
    """Threads that send until everything was answered with 2xx. ``acknowledged`` counts; ``refused`` are the 4xx."""

    def __init__(self, sendings: list[Sending], ports: list[int], seed: int) -> None:
        self._left = deque(sendings)
        self._number = len(sendings)
        self._ports = ports
        self._lock = threading.Lock()
        self._caused: set[str] = set()
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(random.Random(seed + n),)) for n in range(SENDERS)]
        self.acknowledged = 0
        self.again = 0
        self.refused: list[str] = []

    def __enter__(self) -> Senders:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    @property
    def done(self) -> bool:
        return self.acknowledged == self._number or bool(self.refused)

    def _send(self, chance: random.Random) -> None:
        with httpx.Client(timeout=30) as client:
            while not self._end.is_set():
                try:
                    sending = self._left.popleft()
                except IndexError:  # what is left is on its way, and may come back
                    self._end.wait(0.02)
                    continue
                if not self._sent(client, sending, chance):
                    self.again += 1
                    self._left.append(sending)
                    self._end.wait(0.02)

    def _sent(self, client: httpx.Client, sending: Sending, chance: random.Random) -> bool:
        post = sending.post
        with self._lock:
            first = post.id not in self._caused
            self._caused.add(post.id)
        if first:
            sending.cause()
        url = f"http://127.0.0.1:{chance.choice(self._ports)}{post.path}"
        try:
            answer = client.post(url, content=post.body, headers=post.headers())
        except httpx.HTTPError:
            return False
        if answer.status_code == 503:
            return False
        if not answer.is_success:
            self.refused.append(f"{post.event} {answer.status_code} {answer.text}")
        with self._lock:
            self.acknowledged += 1
        return True
