"""Pushing a commit: never by force, and without running a hook of the repository that receives it."""

from __future__ import annotations

import shlex
from pathlib import Path

from app.errors import ForgeUnreachable, GitFailed
from app.process import Finished
from app.workspace.git import Git, complaint, text, without_credentials
from app.workspace.remote import Remote, refusal
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


def push_branch(git: Git, target: Source | Remote, commit: str, branch: str) -> None:
    """Push ``commit`` to ``branch`` of a repository or remote. A branch that already holds it is left as it is.

    Raises GitFailed with a sentence when the branch cannot take the commit, ForgeUnreachable.
    """
    if _arrived(git, target, commit, branch):
        return
    finished = _push(git, target, f"{commit}:refs/heads/{branch}")
    # Where an answer is lost, the same push can be sent a second time beneath us, and is rejected for the first.
    if not finished.ok and not ("rejected" in text(finished.stdout) and _arrived(git, target, commit, branch)):
        name = str(target.common_dir) if isinstance(target, Source) else target.url
        raise GitFailed(_sentence(finished, without_credentials(name), branch))


def push_wip(git: Git, target: Source | Remote, commit: str, ref: str) -> bool:
    """Put a commit under a ref that is no branch, in place of what is there. Whether that worked."""
    try:
        return _push(git, target, f"+{commit}:{ref}").ok
    except ForgeUnreachable:
        return False


def _push(git: Git, target: Source | Remote, refspec: str) -> Finished:
    options = ["--porcelain", "--quiet", "--no-verify", "--no-follow-tags"]
    if isinstance(target, Remote) and not _is_path(target):
        return target.talk(git, "push", *options, "--", target.url, refspec)  # idempotent: it names the commit
    place = str(target.common_dir) if isinstance(target, Source) else target.url.removeprefix("file://")
    settings = [*_RECEIVER.items(), ("safe.directory", place)]
    flags = " ".join(f"-c {shlex.quote(f'{key}={value}')}" for key, value in settings)
    options.append(f"--receive-pack=git {flags} receive-pack")
    return git.run("push", *options, "--", place, refspec, allowed=(0, 1, 128))


def _is_path(remote: Remote) -> bool:
    return Path(remote.url.removeprefix("file://")).is_dir()


def _arrived(git: Git, target: Source | Remote, commit: str, branch: str) -> bool:
    """Whether the branch holds ``commit``; a tip that is unknown here does not count."""
    tip = target.commit(f"refs/heads/{branch}") if isinstance(target, Source) else target.fetch_branch(git, branch)
    return tip is not None and git.run("merge-base", "--is-ancestor", commit, tip, allowed=(0, 1, 128)).ok


def _sentence(finished: Finished, remote: str, branch: str) -> str:
    said = text(finished.stdout) + text(finished.stderr)
    if "currently checked out" in said:
        return f"{branch} is checked out in {remote}: switch to another branch there, then run Mason again"
    if any(words in said for words in ("non-fast-forward", "fetch first", "needs force", "stale info")):
        return f"{branch} in {remote} has commits that this work does not build on, and Mason never pushes by force"
    rejected = [line.split("\t")[-1] for line in text(finished.stdout).splitlines() if line.startswith("!")]
    why = without_credentials("; ".join(rejected)) or refusal(complaint(finished))
    return f"{branch} could not be pushed to {remote}: {why}"
