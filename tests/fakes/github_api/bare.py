"""The bare repository under the fake: git's own commands, so that what the API says and what git says cannot differ."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from tests.unit.workspace.repositories import ENVIRONMENT

LIMIT = 60.0
ZERO = "0" * 40


@dataclass(frozen=True, kw_only=True)
class Signature:
    """An author or committer. ``date`` is ISO 8601 in UTC."""

    name: str
    email: str
    date: str

    @property
    def line(self) -> str:
        seconds = int(datetime.fromisoformat(self.date).timestamp())
        return f"{self.name} <{self.email}> {seconds} +0000"


@dataclass(frozen=True, kw_only=True)
class Commit:
    sha: str
    tree: str
    parents: tuple[str, ...]
    author: Signature
    committer: Signature
    message: str
    signature: str | None


@dataclass(frozen=True, kw_only=True)
class ChangedFile:
    path: str
    before: str | None
    blob: str
    status: str
    additions: int
    deletions: int


class NoSuchObject(Exception):
    """Git knows nothing of that name, or not of that kind."""


class Bare:
    """A bare repository at ``path``; answers are read anew from git each time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(
        self, *arguments: str, stdin: bytes = b"", environment: Mapping[str, str] | None = None, check: bool = True
    ) -> tuple[int, bytes]:
        done = subprocess.run(
            ["git", "-c", "safe.directory=*", *arguments],
            cwd=self.path,
            env={**ENVIRONMENT, "GIT_DIR": str(self.path), **(environment or {})},
            input=stdin,
            capture_output=True,
            timeout=LIMIT,
            check=False,
        )
        if check and done.returncode != 0:
            raise NoSuchObject(f"git {' '.join(arguments)}: {done.stderr.decode('utf-8', 'replace').strip()}")
        return done.returncode, done.stdout

    def text(self, *arguments: str, stdin: bytes = b"", environment: Mapping[str, str] | None = None) -> str:
        return self.run(*arguments, stdin=stdin, environment=environment)[1].decode("utf-8", "replace").rstrip("\n")

    def refs(self) -> dict[str, str]:
        """Every ref and the object it names."""
        lines = self.text("for-each-ref", "--format=%(objectname) %(refname)").splitlines()
        return {name: sha for sha, _, name in (line.partition(" ") for line in lines)}

    def resolve(self, name: str, kind: str = "commit") -> str | None:
        """The full id of an object of that kind; None when there is none."""
        if name.startswith("-") or not name or "\0" in name:
            return None
        words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{{kind}}}")
        code, found = self.run(*words, check=False)
        return found.decode().strip() if code == 0 else None

    def has(self, sha: str, kind: str) -> bool:
        code, found = self.run("cat-file", "-t", sha, check=False) if _is_id(sha) else (1, b"")
        return code == 0 and found.decode().strip() == kind

    def commit(self, sha: str) -> Commit:
        """Raises NoSuchObject."""
        if not self.has(sha, "commit"):
            raise NoSuchObject(sha)
        return _parsed(sha, self.run("cat-file", "commit", sha)[1].decode("utf-8", "replace"))

    def is_ancestor(self, old: str, new: str) -> bool:
        return self.run("merge-base", "--is-ancestor", old, new, check=False)[0] == 0

    def merge_base(self, one: str, other: str) -> str | None:
        code, found = self.run("merge-base", one, other, check=False)
        return found.decode().strip() if code == 0 else None

    def ahead(self, base: str, head: str) -> int:
        return int(self.text("rev-list", "--count", f"{base}..{head}"))

    def file(self, commit: str, path: str) -> str | None:
        code, found = self.run("cat-file", "blob", f"{commit}:{path}", check=False)
        return found.decode("utf-8", "replace") if code == 0 else None

    def entries(self, commit: str, path: str) -> tuple[str, str, str] | list[tuple[str, str, str]] | None:
        """What lies at a path, as (mode, object, path); a list for a directory, None for nothing."""
        if path:
            found = self._listed(commit, path)
            if len(found) != 1 or found[0][2] != path:
                return None
            if found[0][0] != "040000":
                return found[0]
        return self._listed(commit, f"{path}/" if path else "")

    def _listed(self, commit: str, path: str) -> list[tuple[str, str, str]]:
        words = ["ls-tree", "-z", commit, *(["--", path] if path else [])]
        lines = self.run(*words)[1].decode("utf-8", "replace").split("\0")
        parts = (line.partition("\t") for line in lines if line)
        return [(about.split(" ")[0], about.split(" ")[2], name) for about, _, name in parts]

    def changed_files(self, base: str, head: str) -> list[ChangedFile]:
        """What ``head`` changed since it left ``base``."""
        return _changed_files(self, self.merge_base(base, head) or base, head)

    def write_blob(self, content: bytes) -> str:
        return self.text("hash-object", "-w", "--stdin", stdin=content)

    def write_tree(self, base: str | None, entries: list[tuple[str, str, str]]) -> str:
        """A tree from ``base`` with entries ``(mode, sha, path)``; mode "0" removes the path."""
        with tempfile.TemporaryDirectory() as place:
            environment = {"GIT_INDEX_FILE": f"{place}/index"}
            if base:
                self.run("read-tree", base, environment=environment)
            lines = b"".join(
                f"{mode} {sha}\t{path}\0".encode("utf-8", "surrogateescape") for mode, sha, path in entries
            )
            self.run("update-index", "--replace", "-z", "--index-info", stdin=lines, environment=environment)
            return self.text("write-tree", environment=environment)

    def write_commit(
        self,
        tree: str,
        parents: list[str],
        message: str,
        *,
        author: Signature,
        committer: Signature,
        signature: str | None = None,
    ) -> str:
        lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
        lines += [f"author {author.line}", f"committer {committer.line}"]
        if signature:
            lines.append("gpgsig " + signature.replace("\n", "\n "))
        content = "\n".join([*lines, "", message]).encode("utf-8", "surrogateescape")
        return self.text("hash-object", "-w", "-t", "commit", "--stdin", stdin=content)

    def commit_files(
        self, base: str | None, files: Mapping[str, str | bytes | None], message: str, who: Signature
    ) -> str:
        """A commit on ``base`` with these files; None removes one."""
        entries = []
        for path, content in files.items():
            if content is None:
                entries.append(("0", ZERO, path))
            else:
                raw = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
                entries.append(("100644", self.write_blob(raw), path))
        tree = self.write_tree(base and f"{base}^{{tree}}", entries)
        return self.write_commit(tree, [base] if base else [], message, author=who, committer=who)

    def merge(self, base: str, head: str, message: str, who: Signature) -> str | None:
        """A merge commit, None when there are conflicts."""
        code, found = self.run("merge-tree", "--write-tree", base, head, check=False)
        if code != 0:
            return None
        tree = found.decode().split("\n", 1)[0]
        return self.write_commit(tree, [base, head], message, author=who, committer=who)

    def set_ref(self, ref: str, sha: str) -> None:
        self.run("update-ref", ref, sha)

    def delete_ref(self, ref: str) -> None:
        self.run("update-ref", "-d", ref)

    def is_name(self, ref: str) -> bool:
        return self.run("check-ref-format", ref, check=False)[0] == 0


def now_text(seconds: float) -> str:
    """As GitHub writes times."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_id(sha: str) -> bool:
    return len(sha) == 40 and all(each in "0123456789abcdef" for each in sha)


@lru_cache(maxsize=256)
def _parsed(sha: str, raw: str) -> Commit:
    head, _, message = raw.partition("\n\n")
    fields: list[tuple[str, str]] = []
    for line in head.split("\n"):
        if line.startswith(" "):
            fields[-1] = (fields[-1][0], f"{fields[-1][1]}\n{line[1:]}")
        else:
            name, _, value = line.partition(" ")
            fields.append((name, value))
    known = dict(fields)
    return Commit(
        sha=sha,
        tree=known["tree"],
        parents=tuple(value for name, value in fields if name == "parent"),
        author=_signature(known["author"]),
        committer=_signature(known["committer"]),
        message=message,
        signature=known.get("gpgsig"),
    )


def _signature(line: str) -> Signature:
    person, seconds, _ = line.rsplit(" ", 2)
    name, _, address = person.partition(" <")
    return Signature(name=name, email=address.rstrip(">"), date=now_text(float(seconds)))


_STATUS = {"A": "added", "D": "removed", "M": "modified", "R": "renamed", "C": "copied", "T": "changed"}


def _changed_files(bare: Bare, base: str, head: str) -> list[ChangedFile]:
    counts = _numstat(bare, base, head)
    parts = (
        bare.run("diff-tree", "-r", "-M", "-z", "--raw", "--no-abbrev", base, head)[1]
        .decode("utf-8", "replace")
        .split("\0")
    )
    found, rest = [], iter(parts)
    for header in rest:
        if not header:
            continue
        _, _, _, blob, letter = header.lstrip(":").split(" ")
        path = next(rest)
        before = None
        if letter[0] in "RC":
            before, path = path, next(rest)
        added, removed = counts.get(path, (0, 0))
        status = _STATUS.get(letter[0], "changed")
        sha = blob if status != "removed" else ZERO
        found.append(ChangedFile(path=path, before=before, blob=sha, status=status, additions=added, deletions=removed))
    return found


def _numstat(bare: Bare, base: str, head: str) -> dict[str, tuple[int, int]]:
    text = bare.run("diff-tree", "-r", "-M", "-z", "--numstat", base, head)[1].decode("utf-8", "replace")
    found, rest = {}, iter(text.split("\0"))
    for line in rest:
        if not line:
            continue
        added, removed, path = line.split("\t", 2)
        if not path:  # a rename: the names of before and after follow
            next(rest)
            path = next(rest)
        found[path] = (int(added) if added != "-" else 0, int(removed) if removed != "-" else 0)
    return found
