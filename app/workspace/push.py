"""Pushing a commit: never by force, and without running a hook of the repository that receives it."""

from __future__ import annotations

import shlex
from pathlib import Path

from app.errors import BadRepository, GitFailed
from app.process import Finished
from app.workspace.git import Git, complaint, text, without_credentials
from app.workspace.source import Source

_RECEIVER = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.alternateRefsCommand": ":",
    "receive.denyCurrentBranch": "refuse",  # never change files of a checkout, whatever its configuration says
    "receive.autogc": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
}


def push_branch(git: Git, remote: str, commit: str, branch: str) -> None:
    """Push ``commit`` to ``branch`` of a remote (path or URL). A branch that already holds it is left as it is.

    Raises GitFailed with a sentence when the branch cannot take the commit.
    """
    receiver = _local(remote, git.path)
    if receiver:
        tip = receiver.commit(f"refs/heads/{branch}")
        if tip and _holds(git, tip, commit):
            return
    finished = _push(git, receiver, remote, f"{commit}:refs/heads/{branch}")
    if not finished.ok:
        raise GitFailed(_sentence(finished, without_credentials(remote), branch))


def push_wip(git: Git, receiver: Source, commit: str, ref: str) -> bool:
    """Put a commit under a ref that is no branch, in place of what is there. Whether that worked."""
    return _push(git, receiver, str(receiver.common_dir), f"+{commit}:{ref}").ok


def _push(git: Git, receiver: Source | None, remote: str, refspec: str) -> Finished:
    options = ["--porcelain", "--quiet", "--no-verify", "--no-follow-tags"]
    target = remote
    if receiver:
        target = str(receiver.common_dir)
        settings = [*_RECEIVER.items(), ("safe.directory", target)]
        flags = " ".join(f"-c {shlex.quote(f'{key}={value}')}" for key, value in settings)
        options.append(f"--receive-pack=git {flags} receive-pack")
    return git.run("push", *options, "--", target, refspec, allowed=(0, 1, 128))


def _local(remote: str, path: str) -> Source | None:
    """The repository that a path names, None for a URL. Raises GitFailed when the path names none."""
    place = remote.removeprefix("file://")
    if "://" in place or not Path(place).is_dir():
        return None
    try:
        return Source.open(Path(place), path)
    except BadRepository as problem:
        raise GitFailed(str(problem)) from problem


def _holds(git: Git, tip: str, commit: str) -> bool:
    """Whether ``commit`` is ``tip`` or an ancestor of it; a tip that is unknown here does not count."""
    return git.run("merge-base", "--is-ancestor", commit, tip, allowed=(0, 1, 128)).ok


def _sentence(finished: Finished, remote: str, branch: str) -> str:
    said = text(finished.stdout) + text(finished.stderr)
    if "currently checked out" in said:
        return f"{branch} is checked out in {remote}: switch to another branch there, then run Mason again"
    if any(words in said for words in ("non-fast-forward", "fetch first", "needs force", "stale info")):
        return f"{branch} in {remote} has commits that this work does not build on, and Mason never pushes by force"
    rejected = [line.split("\t")[-1] for line in text(finished.stdout).splitlines() if line.startswith("!")]
    return (
        f"{branch} could not be pushed to {remote}: {without_credentials('; '.join(rejected)) or complaint(finished)}"
    )
