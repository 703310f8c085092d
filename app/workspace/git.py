"""The one door to git: an environment from empty, hardened options, explicit directories, a time limit.

Nothing that lies in a tree (attributes, hooks, filters, fsmonitor, nested repositories) or in anybody's configuration
is run. Git's own protections do the rest: no protocol but https and local files, no prompt, no pathspec magic.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from app import users
from app.errors import GitFailed
from app.process import Finished, run

TIME_LIMIT = 300.0
"""Seconds that one git command may take."""

ATTRIBUTES = "* !filter !diff !merge -text -ident !eol !working-tree-encoding\n"
"""``$GIT_DIR/info/attributes``, which wins over every ``.gitattributes`` of a tree: bytes go in and out as they are."""

_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "/bin/false",
    "GIT_ALLOW_PROTOCOL": "https:file",
    "GIT_PROTOCOL_FROM_USER": "0",
    "LC_ALL": "C",  # messages are recognised by their English text
}

OPTIONS = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "core.attributesFile": os.devnull,
    "core.excludesFile": os.devnull,
    "core.protectHFS": "true",
    "core.protectNTFS": "true",
    "core.autocrlf": "false",
    "core.quotePath": "false",
    "core.sshCommand": "/bin/false",
    "credential.helper": "",
    "diff.external": "",
    "diff.ignoreSubmodules": "all",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    "push.recurseSubmodules": "no",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "commit.gpgsign": "false",
    "checkout.workers": "0",  # as many as there are processors
    "protocol.allow": "never",
    "protocol.https.allow": "always",
    "transfer.fsckObjects": "true",
}
"""Options of every command; they win over the configuration of the repository at hand."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Git:
    """Git on one git directory (or the ``.git`` file that names it), with a work tree and an index where needed.

    ``path`` is the ``PATH`` on which git is found; commands run in ``work_tree``, else in the git directory.
    """

    git_dir: Path
    path: str
    work_tree: Path | None = None
    index: Path | None = None

    def on(self, work_tree: Path, index: Path) -> Git:
        """The same git directory with a work tree and an index."""
        return replace(self, work_tree=work_tree, index=index)

    def run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        allowed: Sequence[int | None] = (0,),
        extra: Mapping[str, str] | None = None,
        user: int | None = None,
    ) -> Finished:
        """Run one command; its output is whole. Raises GitFailed with a sentence on any other exit code.

        The exit code of a command that came to no end in time is None.
        The files that it writes are the ``user``'s; None: our own.
        """
        finished = run(
            [*(users.with_access(user) if user else ()), "git", *arguments],
            cwd=self.work_tree or (self.git_dir if self.git_dir.is_dir() else self.git_dir.parent),
            env=self._environment() | dict(extra or {}),
            timeout=TIME_LIMIT,
            stdin=stdin,
            limit=1 << 40,
        )
        if finished.missing:
            raise GitFailed("git is not installed, or not on the PATH")
        if finished.exit_code not in allowed:
            raise GitFailed(f"git {arguments[0]} failed: {complaint(finished)}")
        return finished

    def output(self, *arguments: str, stdin: bytes = b"", extra: Mapping[str, str] | None = None) -> str:
        """The command's output without surrounding white space. Raises GitFailed."""
        return text(self.run(*arguments, stdin=stdin, extra=extra).stdout).strip()

    def records(self, *arguments: str, stdin: bytes = b"") -> list[str]:
        """The NUL-terminated records that a command with ``-z`` prints. Raises GitFailed."""
        return text(self.run(*arguments, stdin=stdin).stdout).split("\0")[:-1]

    def _environment(self) -> dict[str, str]:
        environment = _ENVIRONMENT | {"PATH": self.path, "GIT_DIR": str(self.git_dir)}
        if self.work_tree:
            environment["GIT_WORK_TREE"] = str(self.work_tree)
        if self.index:
            environment["GIT_INDEX_FILE"] = str(self.index)
        environment["GIT_CONFIG_COUNT"] = str(len(OPTIONS))
        for number, (key, value) in enumerate(OPTIONS.items()):
            environment[f"GIT_CONFIG_KEY_{number}"] = key
            environment[f"GIT_CONFIG_VALUE_{number}"] = value
        return environment


def text(data: bytes) -> str:
    """Names as git has them. Bytes that are not UTF-8 become lone surrogates and come back unharmed by `raw`."""
    return data.decode("utf-8", "surrogateescape")


def raw(name: str) -> bytes:
    """The bytes of a name that `text` made."""
    return name.encode("utf-8", "surrogateescape")


def complaint(finished: Finished) -> str:
    """What git said went wrong, in one line, without credentials."""
    if finished.timed_out:
        return f"no end after {TIME_LIMIT:.0f} seconds"
    lines = [line.strip() for line in finished.stderr.decode("utf-8", "replace").splitlines()]
    said = [re.sub(r"^(fatal|error): ", "", line) for line in lines if line and not line.startswith("hint:")]
    return without_credentials("; ".join(said[:4]) or f"exit code {finished.exit_code}")


def without_credentials(message: str) -> str:
    """A message in which no URL carries a user or a password."""
    return re.sub(r"(?<=://)[^/\s@]+@", "", message)
