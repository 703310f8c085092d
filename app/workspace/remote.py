"""The remote that a run's branches come from and go to. Its token lives in the environment of one git process."""

from __future__ import annotations

import base64
import ipaddress
import logging
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import stamina

from app.errors import BadRepository, ForgeUnreachable, GitFailed
from app.process import Finished
from app.workspace.git import OPTIONS, Git, complaint, text, without_credentials

log = logging.getLogger("mason")

BASE_REFS = "refs/remotes/origin/"
"""Where fetched branches lie in the run's own git directory."""

_FETCH = {
    "http.followRedirects": "false",  # a redirect would carry the token elsewhere
    "http.lowSpeedLimit": "1000",  # octets a second
    # Old histories hold these harmless oddities; everything else that fsck objects to is refused.
    "fetch.fsck.zeroPaddedFilemode": "ignore",
    "fetch.fsck.badTimezone": "ignore",
    "fetch.fsck.missingSpaceBeforeDate": "ignore",
    "fetch.fsck.badEmail": "ignore",
}

_TRIES = 5
_LONGEST = 120.0
"""Seconds after which nothing is tried again."""

_PASSING_CODES = r"4(08|29)|5\d\d"
_PASSING_WORDS = (
    "Could not resolve host",
    "Failed to connect",
    "Couldn't connect",
    "Connection refused",
    "Connection reset",
    "Recv failure",
    "Send failure",
    "Empty reply from server",
    "timed out",
    "Operation too slow",
    "transfer closed",
    "unexpected disconnect",
    "hung up unexpectedly",
    "early EOF",
    "SSL_ERROR_SYSCALL",
    "TLS connection was non-properly terminated",
    "HTTP/2 stream",
)
"""What git and curl say of a network, or of a server, that may be better in a minute."""


class _Passing(Exception):
    """The network or the server failed in a way that may pass."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Remote:
    """``url`` holds no credentials. ``token`` gives the forge's token of the moment, None where none is needed.

    ``silence``: seconds after which a server that says nothing has hung. ``wait``: seconds before the first repetition
    of what failed in passing; they double.
    """

    url: str
    token: Callable[[], str] | None = field(default=None, repr=False)
    silence: int = 60
    wait: float = 3.0

    def environment(self) -> dict[str, str]:
        """What a git process that talks to this remote gets on top: its options, and the token as a header.

        Never an argument, a file, or part of the URL; git sends it to this server alone.
        """
        parts = urlsplit(self.url)
        settings = _FETCH | {"http.lowSpeedTime": str(self.silence)}
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

    def talk(self, git: Git, *arguments: str) -> Finished:
        """Run a git command that talks to this remote, again while what it meets may pass: it must be idempotent.

        The exit code is 0, 1 or 128. Raises ForgeUnreachable when it does not pass within a minute or two.
        """
        stamina.instrumentation.set_on_retry_hooks(())  # an outage is told once, below, in a sentence
        attempts = stamina.retry_context(
            on=_Passing, attempts=_TRIES, timeout=_LONGEST, wait_initial=self.wait, wait_max=30, wait_jitter=self.wait
        )
        try:
            for attempt in attempts:
                with attempt:
                    if attempt.num == 2:
                        log.warning("%s did not answer; trying again", without_credentials(self.url))
                    return self._once(git, *arguments)
        except _Passing as problem:
            raise ForgeUnreachable(f"{without_credentials(self.url)} did not answer: {problem}") from None
        raise AssertionError("the loop returns or raises")

    def _once(self, git: Git, *arguments: str) -> Finished:
        finished = git.run(*arguments, allowed=(0, 1, 128, None), extra=self.environment())
        if finished.timed_out:  # minutes; once is enough
            raise ForgeUnreachable(f"{without_credentials(self.url)} did not answer: {complaint(finished)}")
        if not finished.ok and urlsplit(self.url).scheme in ("http", "https") and _may_pass(text(finished.stderr)):
            raise _Passing(complaint(finished))
        return finished

    def fetch(self, git: Git, *refspecs: str, unshallow: bool = False) -> bool:
        """Fetch into a git directory; False when the remote has no such ref. Raises GitFailed, ForgeUnreachable."""
        options = ["--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"]
        options += ["--unshallow"] if unshallow else []
        finished = self.talk(git, "fetch", *options, "--", self.url, *refspecs)
        if finished.ok:
            return True
        said = text(finished.stderr)
        if "couldn't find remote ref" in said:
            return False
        if "--unshallow on a complete repository" in said:
            return self.fetch(git, *refspecs)
        raise GitFailed(f"{without_credentials(self.url)} could not be fetched from: {refusal(complaint(finished))}")

    def fetch_branch(self, git: Git, branch: str, *, unshallow: bool = False) -> str | None:
        """The tip of a branch as it is there now, fetched; None when there is none. Raises as `fetch` does."""
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


def refusal(said: str) -> str:
    """Git's words for a refused or missing token, or for a repository that is not there, in Mason's."""
    if "could not read Username" in said or "Authentication failed" in said or "returned error: 401" in said:
        return "the token was refused, or none was given"
    if re.search(r"repository '.*' not found|returned error: (403|404)", said):
        return f"there is no such repository, or the token may not use it ({said})"
    if re.search(r"returned error: 30\d", said):
        return f"it answers from another address, and the token is not sent there ({said})"
    return said


def _may_pass(said: str) -> bool:
    """Whether trying again may help. A status says more than how the conversation ended after it.

    What the server itself says is left out: a hook's words are its refusal.
    """
    said = "\n".join(line for line in said.splitlines() if not line.startswith("remote:"))
    if statuses := re.findall(r"(?:returned error:|HTTP) (\d{3})\b", said):
        return all(re.fullmatch(_PASSING_CODES, status) for status in statuses)
    return any(words in said for words in _PASSING_WORDS)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
