"""The remote that a run's branches come from and go to. Its token lives in the environment of one git process."""

from __future__ import annotations

import base64
import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from app.errors import BadRepository, GitFailed
from app.workspace.git import OPTIONS, Git, complaint, text, without_credentials

BASE_REFS = "refs/remotes/origin/"
"""Where fetched branches lie in the run's own git directory."""

_FETCH = {
    "http.followRedirects": "false",  # a redirect would carry the token elsewhere
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
    # Old histories hold these harmless oddities; everything else that fsck objects to is refused.
    "fetch.fsck.zeroPaddedFilemode": "ignore",
    "fetch.fsck.badTimezone": "ignore",
    "fetch.fsck.missingSpaceBeforeDate": "ignore",
    "fetch.fsck.badEmail": "ignore",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Remote:
    """``url`` holds no credentials. ``token`` gives the forge's token of the moment, None where none is needed."""

    url: str
    token: Callable[[], str] | None = field(default=None, repr=False)

    def environment(self) -> dict[str, str]:
        """What a git process that talks to this remote gets on top: its options, and the token as a header.

        Never an argument, a file, or part of the URL; git sends it to this server alone.
        """
        parts = urlsplit(self.url)
        settings = dict(_FETCH)
        environment = {}
        if parts.scheme == "http" and _is_loopback(parts.hostname or ""):
            settings["protocol.http.allow"] = "always"
            environment["GIT_ALLOW_PROTOCOL"] = "https:file:http"
        if self.token and parts.scheme in ("http", "https"):
            basic = base64.b64encode(f"x-access-token:{self.token()}".encode()).decode()
            settings[f"http.{parts.scheme}://{parts.netloc}/.extraHeader"] = f"Authorization: Basic {basic}"
        environment["GIT_CONFIG_COUNT"] = str(len(OPTIONS) + len(settings))
        for number, (key, value) in enumerate(settings.items(), len(OPTIONS)):
            environment[f"GIT_CONFIG_KEY_{number}"] = key
            environment[f"GIT_CONFIG_VALUE_{number}"] = value
        return environment

    def fetch(self, git: Git, *refspecs: str, unshallow: bool = False) -> bool:
        """Fetch into a git directory; False when the remote has no such ref. Raises GitFailed."""
        options = ["--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"]
        options += ["--unshallow"] if unshallow else []
        finished = git.run("fetch", *options, "--", self.url, *refspecs, allowed=(0, 1, 128), extra=self.environment())
        if finished.ok:
            return True
        said = text(finished.stderr)
        if "couldn't find remote ref" in said:
            return False
        if "--unshallow on a complete repository" in said:
            return self.fetch(git, *refspecs)
        raise GitFailed(f"{without_credentials(self.url)} could not be fetched from: {_plain(complaint(finished))}")

    def fetch_branch(self, git: Git, branch: str, *, unshallow: bool = False) -> str | None:
        """The tip of a branch as it is there now, fetched; None when there is no such branch. Raises GitFailed."""
        ref = BASE_REFS + branch
        if self.fetch(git, f"+refs/heads/{branch}:{ref}", unshallow=unshallow):
            return git.output("rev-parse", "--verify", f"{ref}^{{commit}}")
        git.run("update-ref", "-d", ref, allowed=(0, 1, 128))
        return None

    def missing(self, branch: str) -> BadRepository:
        """What to raise for a base that is not there."""
        return BadRepository(f"{without_credentials(self.url)} has no branch {branch}")


def empty_repository(path: Path, environ: Mapping[str, str]) -> Path:
    """A bare repository with nothing in it, for a machine on which nothing is checked out. Raises GitFailed."""
    path.mkdir(parents=True)
    Git(git_dir=path, path=environ.get("PATH", os.defpath)).run("init", "--quiet", "--bare")
    return path


def _plain(said: str) -> str:
    """Git's words for a refused or missing token, in Mason's."""
    if "could not read Username" in said or "Authentication failed" in said:
        return "the token was refused, or none was given"
    if "not found" in said or "The requested URL returned error: 403" in said:
        return f"there is no such repository, or the token may not use it ({said})"
    return said


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
