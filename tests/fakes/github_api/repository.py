"""One repository of the fake: the real bare repository, and what GitHub keeps beside it."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tests.fakes.github_api.actors import ROLES, Actor
from tests.fakes.github_api.bare import ZERO, Bare, Signature
from tests.fakes.github_api.records import CheckRun, Comment, Issue, Label, Pull, Push, User, WorkflowRun

if TYPE_CHECKING:
    from tests.fakes.github_api.hub import Hub

Files = Mapping[str, str | bytes | None]
"""Path → content; None removes the file."""

HEADS = "refs/heads/"


class FakeRepository:
    """What a test holds of a repository: what people do there, and what became of it.

    Pull requests follow their branches: whoever reads them here or over HTTP sees what the bare repository holds now.
    """

    def __init__(self, hub: Hub, full_name: str, path: Path, *, private: bool = False) -> None:
        self.hub = hub
        self.full_name = full_name
        self.git = Bare(path)
        self.id = hub.new_id()
        self.private = private
        self.archived = False
        self.disabled = False
        self.has_drafts = True
        self.actions_may_open_pulls = True
        self.dispatch: Literal["details", "silent", "strict"] = "details"
        """How a dispatch answers: 200 with details; 204 as older servers; 400 to the unknown field."""
        self.created_at = hub.now
        self.default_branch = self.git.text("symbolic-ref", "--short", "HEAD")
        self.collaborators: dict[str, str] = {}
        self.teams: set[str] = set()
        self.issues: dict[int, Issue] = {}
        self.labels: dict[str, Label] = {}
        self.comments: list[Comment] = []
        self.check_runs: list[CheckRun] = []
        self.workflow_runs: list[WorkflowRun] = []
        self.disabled_workflows: set[str] = set()
        self.pushes: list[Push] = []
        self.protected: list[str] = []
        self.refuses_force = True
        self.verified: set[str] = set()
        """Commits that GitHub signed."""
        self.suites: dict[tuple[int, str], int] = {}
        self._seen: dict[str, str] = {}
        self.add_collaborator(self.owner.login, "admin")

    @property
    def owner(self) -> User:
        return self.hub.user(self.full_name.partition("/")[0])

    @property
    def name(self) -> str:
        return self.full_name.partition("/")[2]

    @property
    def url(self) -> str:
        return f"{self.hub.url}/repos/{self.full_name}"

    @property
    def html_url(self) -> str:
        return f"{self.hub.server_url}/{self.full_name}"

    @property
    def clone_url(self) -> str:
        return f"{self.html_url}.git"

    @property
    def pulls(self) -> list[Pull]:
        with self.hub.lock:
            self.sync()
            return [issue for issue in self.issues.values() if isinstance(issue, Pull)]

    def pull(self, number: int) -> Pull:
        return next(pull for pull in self.pulls if pull.number == number)

    @property
    def branches(self) -> dict[str, str]:
        """Name → commit."""
        refs = self.git.refs()
        return {name.removeprefix(HEADS): sha for name, sha in refs.items() if name.startswith(HEADS)}

    def check(self, name: str) -> CheckRun:
        """The newest check run of that name."""
        return next(run for run in reversed(self.check_runs) if run.name == name)

    def role(self, user: User | None) -> str:
        return self.collaborators.get(user.login.lower(), "none") if user else "none"

    def add_collaborator(self, login: str, role: str = "write") -> User:
        assert role in ROLES, role
        self.collaborators[login.lower()] = role
        return self.hub.user(login)

    def archive(self) -> None:
        self.archived = True

    def protect(self, *patterns: str) -> None:
        """No token may push to branches of these names; a ``*`` stands for anything."""
        self.protected += patterns

    def unprotect(self) -> None:
        self.protected.clear()

    def is_protected(self, branch: str) -> bool:
        return any(fnmatch.fnmatchcase(branch, pattern) for pattern in self.protected)

    def rename(self, full_name: str) -> None:
        """The old name answers with 301 from now on."""
        with self.hub.lock:
            self.hub.moved[self.full_name.lower()] = full_name
            del self.hub.repositories[self.full_name.lower()]
            self.hub.repositories[full_name.lower()] = self
            self.full_name = full_name

    def signature(self, user: User) -> Signature:
        return Signature(name=user.login, email=f"{user.id}+{user.login}@users.noreply.github.com", date=self.hub.now)

    def push_as_person(
        self, branch: str, files: Files, *, login: str = "ada", message: str = "Change", base: str | None = None
    ) -> str:
        """Commit these files on the branch, which is made from ``base`` (the default branch) when it is new."""
        with self.hub.lock:
            tip = self.git.resolve(HEADS + branch)
            start = tip or self.git.resolve(HEADS + (base or self.default_branch))
            commit = self.git.commit_files(start, files, message, self.signature(self.hub.user(login)))
            self.move(HEADS + branch, commit, login, via="git")
            return commit

    def commit_entries(self, branch: str, *entries: tuple[str, str, str]) -> str:
        """Commit entries of any mode: (mode, content, path). A submodule's content does not matter."""
        with self.hub.lock:
            tip = self.git.text("rev-parse", HEADS + branch)
            objects = [
                (mode, tip if mode == "160000" else self.git.write_blob(text.encode()), path)
                for mode, text, path in entries
            ]
            who = self.signature(self.owner)
            tree = self.git.write_tree(f"{tip}^{{tree}}", objects)
            commit = self.git.write_commit(tree, [tip], "Change", author=who, committer=who)
            self.move(HEADS + branch, commit, self.owner.login, via="git")
            return commit

    def delete_branch(self, branch: str, *, login: str = "ada") -> None:
        with self.hub.lock:
            self.move(HEADS + branch, None, login, via="git")

    def open_issue_by_person(self, title: str, *, login: str = "ada", body: str | None = None) -> Issue:
        with self.hub.lock:
            issue = Issue(
                number=self.next_number(),
                id=self.hub.new_id(),
                title=title,
                body=body,
                author=self.hub.user(login),
                created_at=self.hub.now,
                updated_at=self.hub.now,
            )
            self.issues[issue.number] = issue
            return issue

    def open_pull_request_by_person(
        self,
        branch: str,
        files: Files | None = None,
        *,
        login: str = "ada",
        title: str = "A change",
        body: str | None = None,
        base: str | None = None,
        draft: bool = False,
        fork: bool = False,
    ) -> Pull:
        """A pull request from a branch (made of ``files`` on the base), or from a fork that belongs to ``login``."""
        with self.hub.lock:
            base = base or self.default_branch
            if fork:
                author = self.signature(self.hub.user(login))
                head = self.git.commit_files(self.git.resolve(HEADS + base), files or {}, title, author)
            else:
                head = self.push_as_person(branch, files, login=login, base=base) if files else self.branches[branch]
            return self.add_pull(
                branch, head, base, author=self.hub.user(login), title=title, body=body, draft=draft, fork=fork
            )

    def add_pull(
        self,
        branch: str,
        head: str,
        base: str,
        *,
        author: User,
        title: str,
        body: str | None,
        draft: bool,
        fork: bool = False,
    ) -> Pull:
        pull = Pull(
            number=self.next_number(),
            id=self.hub.new_large_id(),
            title=title,
            body=body,
            author=author,
            created_at=self.hub.now,
            updated_at=self.hub.now,
            branch=branch,
            head_sha=head,
            head_repository=f"{author.login}/{self.name}" if fork else self.full_name,
            base=base,
            base_sha=self.branches[base],
            draft=draft,
        )
        self.issues[pull.number] = pull
        self.git.set_ref(f"refs/pull/{pull.number}/head", head)
        self.sync()
        return pull

    def comment_as_person(self, number: int, body: str, *, login: str = "ada") -> Comment:
        with self.hub.lock:
            return self.add_comment(number, body, Actor(login=login, user=self.hub.user(login)))

    def add_comment(self, number: int, body: str, actor: Actor) -> Comment:
        assert actor.user
        now = self.hub.now
        comment = Comment(
            id=self.hub.new_large_id(),
            number=number,
            author=actor.user,
            body=body,
            created_at=now,
            updated_at=now,
            app=actor.app,
        )
        self.comments.append(comment)
        self.hub.webhooks.issue_comment(self, comment, "created", actor.user)
        return comment

    def press(self, check: CheckRun, button: str, *, login: str = "ada") -> None:
        """Press a button of a check run, as a person does in the Checks UI."""
        assert button in [action["identifier"] for action in check.actions], f"{check.name} has no button {button}"
        action = {"requested_action": {"identifier": str(button)}}
        self.hub.webhooks.check_run(self, check, "requested_action", self.hub.user(login), **action)

    def rerun(self, check: CheckRun, *, login: str = "ada") -> None:
        """Press Re-run on a check run."""
        self.hub.webhooks.check_run(self, check, "rerequested", self.hub.user(login))

    def rerun_all(self, check: CheckRun, *, login: str = "ada") -> None:
        """Press "Re-run all checks" on the suite that a check run is in."""
        self.hub.webhooks.check_suite(self, check, "rerequested", self.hub.user(login))

    def close(self, number: int) -> None:
        with self.hub.lock:
            self.set_closed(self.pull(number))

    def set_closed(self, issue: Issue) -> None:
        issue.state, issue.closed_at, issue.updated_at = "closed", self.hub.now, self.hub.now

    def merge(self, number: int, *, login: str | None = None, delete_branch: bool = False) -> str:
        """Merge a pull request as a person does with the button; the merge commit."""
        with self.hub.lock:
            pull = self.pull(number)
            assert pull.state == "open", f"{number} is {pull.state}"
            person = self.hub.user(login) if login else self.owner
            said = f"Merge pull request #{number} from {pull.branch}"
            commit = self.git.merge(self.branches[pull.base], pull.head_sha, said, self.signature(person))
            assert commit, f"{number} has conflicts"
            self._set_merged(pull, commit, person)
            self.move(HEADS + pull.base, commit, person.login, via="api")
            if delete_branch:
                self.delete_branch(pull.branch)
            return commit

    def next_number(self) -> int:
        return max(self.issues, default=0) + 1

    def move(self, ref: str, new: str | None, actor: str, *, via: str) -> None:
        """Set or delete a ref, note the push, and bring the pull requests up to date."""
        old = self.git.refs().get(ref)
        if new is None:
            self.git.delete_ref(ref)
        else:
            self.git.set_ref(ref, new)
        self.note_pushes([(old or ZERO, new or ZERO, ref)], actor, via=via)

    def note_pushes(self, changes: Iterable[tuple[str, str, str]], actor: str, *, via: str) -> None:
        """``changes``: old, new, ref."""
        for old, new, ref in changes:
            forced = ZERO not in (old, new) and not self.git.is_ancestor(old, new)
            push = Push(ref=ref, old=old, new=new, forced=forced, actor=actor, via=via)
            self.pushes.append(push)
            self.hub.webhooks.push(self, push)
        self.sync()

    def sync(self) -> None:
        """Bring open pull requests to what the refs say: heads follow, merges and deletions close."""
        refs = {name: sha for name, sha in self.git.refs().items() if name.startswith(HEADS)}
        before, self._seen = self._seen, refs
        if refs == before:
            return
        for pull in [issue for issue in self.issues.values() if isinstance(issue, Pull) and issue.state == "open"]:
            tip = refs.get(HEADS + pull.base)
            if tip and tip != before.get(HEADS + pull.base) and self.git.is_ancestor(pull.head_sha, tip):
                self._set_merged(pull, tip, self.owner)
            elif not tip:
                self.set_closed(pull)
            elif pull.head_repository == self.full_name:
                self._follow(pull, refs.get(HEADS + pull.branch))

    def _follow(self, pull: Pull, tip: str | None) -> None:
        if tip is None:
            self.set_closed(pull)
        elif tip != pull.head_sha:
            pull.head_sha, pull.updated_at = tip, self.hub.now
            self.git.set_ref(f"refs/pull/{pull.number}/head", tip)

    def _set_merged(self, pull: Pull, commit: str, person: User) -> None:
        self.set_closed(pull)
        pull.merged_at, pull.merged_by, pull.merge_commit_sha = self.hub.now, person, commit
