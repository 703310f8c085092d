"""Git over HTTP: ``git http-backend`` behind the credentials and rules of GitHub."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from email.parser import BytesHeaderParser
from functools import cache
from pathlib import Path

from tests.fakes.faults import Answer
from tests.fakes.github_api.actors import ROLES, Actor
from tests.fakes.github_api.bare import LIMIT
from tests.fakes.github_api.hub import Hub
from tests.fakes.github_api.repository import FakeRepository
from tests.fakes.github_api.routes import Refused
from tests.fakes.loopback import Incoming
from tests.unit.workspace.repositories import ENVIRONMENT

_PATH = re.compile(r"/([^/]+/[^/]+?)(?:\.git)?(/info/refs|/git-upload-pack|/git-receive-pack)")

_UPDATE_HOOK = r"""#!/bin/sh
set -f
for pattern in $FAKE_PROTECTED; do
  case "$1" in
    refs/heads/$pattern)
      echo "error: GH006: Protected branch update failed for $1." >&2
      echo "error: Changes must be made through a pull request." >&2
      exit 1;;
  esac
done
if [ -n "$FAKE_NO_WORKFLOWS" ] && [ "$3" != 0000000000000000000000000000000000000000 ]; then
  found=$(git log --format= --name-only "$3" --not --all -- .github/workflows | head -n 1)
  if [ -n "$found" ]; then
    echo "refusing to allow $FAKE_NO_WORKFLOWS to create or update workflow \`$found\`" \
      "without \`workflows\` permission" >&2
    exit 1
  fi
fi
"""

_POST_RECEIVE_HOOK = '#!/bin/sh\ncat >>"$FAKE_PUSHED"\n'


def git_request(incoming: Incoming) -> tuple[str, str] | None:
    """Repository and service (``upload-pack``, ``receive-pack``) of a request of git's, None for any other."""
    found = _PATH.fullmatch(incoming.path)
    if not found:
        return None
    service = incoming.fields.get("service", "") if found[2] == "/info/refs" else found[2].removeprefix("/")
    return found[1], service.removeprefix("git-")


class GitHttp:
    """``hooks``: a directory for the hooks that hold the rules."""

    def __init__(self, hub: Hub, hooks: Path) -> None:
        self._hub = hub
        self._hooks = hooks
        hooks.mkdir(parents=True, exist_ok=True)
        for name, text in (("update", _UPDATE_HOOK), ("post-receive", _POST_RECEIVE_HOOK)):
            (hooks / name).write_text(text)
            (hooks / name).chmod(0o755)

    def answer(self, incoming: Incoming) -> Answer:
        request = git_request(incoming)
        assert request
        full_name, service = request
        try:
            actor = self._hub.tokens.actor(incoming.headers.get("authorization"))
        except Refused:
            return _unauthorised()
        repository = self._hub.repositories.get(self._hub.moved.get(full_name.lower(), full_name).lower())
        refusal = _refusal(repository, actor, writing=service == "receive-pack")
        if refusal or repository is None:
            return refusal or _said(404, "Repository not found.")
        return self._backend(repository, actor, incoming)

    def _backend(self, repository: FakeRepository, actor: Actor, incoming: Incoming) -> Answer:
        path = _PATH.fullmatch(incoming.path)
        assert path
        with tempfile.TemporaryDirectory() as place:
            pushed = Path(place, "pushed")
            done = subprocess.run(
                [str(_backend_program())],
                env=self._environment(repository, actor, incoming, path[2], pushed),
                input=incoming.body,
                capture_output=True,
                timeout=LIMIT,
                check=False,
            )
            changes = [line.split(" ", 2) for line in pushed.read_text().splitlines()] if pushed.exists() else []
        with self._hub.lock:
            repository.note_pushes([(old, new, ref) for old, new, ref in changes], actor.login or "", via="git")
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        headers = dict(BytesHeaderParser().parsebytes(head + b"\r\n\r\n").items())
        status = int(headers.pop("Status", "200").split(" ")[0])
        return Answer(status=status, body=body, headers=headers)

    def _environment(
        self, repository: FakeRepository, actor: Actor, incoming: Incoming, path: str, pushed: Path
    ) -> dict[str, str]:
        settings = {
            "safe.directory": "*",
            "core.hooksPath": str(self._hooks),
            "receive.denyNonFastForwards": "true" if repository.refuses_force else "false",
            "receive.hideRefs": "refs/pull/",
            "receive.denyDeleteCurrent": "refuse",
            "http.receivepack": "true",
            "uploadpack.allowReachableSHA1InWant": "true",
            "gc.auto": "0",
        }
        config: dict[str, str] = {}
        for number, (name, value) in enumerate(settings.items()):
            config |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
        limited = actor.app is not None and not actor.may(("workflows=write",))
        return {
            **ENVIRONMENT,
            **config,
            "GIT_CONFIG_COUNT": str(len(settings)),
            "GIT_PROJECT_ROOT": str(repository.git.path.absolute()),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "REMOTE_USER": actor.login or "",
            "REMOTE_ADDR": "127.0.0.1",
            "REQUEST_METHOD": incoming.method,
            "QUERY_STRING": incoming.query,
            "CONTENT_TYPE": incoming.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(incoming.body)),
            "HTTP_CONTENT_ENCODING": incoming.headers.get("content-encoding", ""),
            "GIT_PROTOCOL": incoming.headers.get("git-protocol", ""),
            "FAKE_PROTECTED": " ".join(repository.protected),
            "FAKE_PUSHED": str(pushed),
            "FAKE_NO_WORKFLOWS": f"a GitHub App ({actor.login})" if limited else "",
        }


@cache
def _backend_program() -> Path:
    words = ["git", "--exec-path"]
    where = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT, check=True, env=dict(os.environ))
    return Path(where.stdout.strip(), "git-http-backend")


def _refusal(repository: FakeRepository | None, actor: Actor, *, writing: bool) -> Answer | None:
    if actor.jwt:
        return _unauthorised()
    if repository is None:
        return _unauthorised() if actor.anonymous else _said(404, "Repository not found.")
    if actor.anonymous:
        return _unauthorised() if writing or repository.private else None
    allowed = _may(repository, actor, writing=writing)
    if not allowed and repository.private and not writing:
        return _said(404, "Repository not found.")
    if not allowed:
        return _said(403, f"Permission to {repository.full_name}.git denied to {actor.login}.")
    if writing and repository.archived:
        return _said(403, "This repository was archived so it is read-only.")
    return None


def _may(repository: FakeRepository, actor: Actor, *, writing: bool) -> bool:
    if not writing and not repository.private:
        return True
    inside = actor.repositories is None or repository.full_name.lower() in actor.repositories
    if actor.permissions is not None and not (
        inside and actor.may(("contents=write" if writing else "contents=read",))
    ):
        return False
    if actor.app is None:
        scoped = (
            actor.scopes is None or "repo" in actor.scopes or (not repository.private and "public_repo" in actor.scopes)
        )
        return scoped and ROLES[repository.role(actor.user)] >= ROLES["write" if writing else "read"]
    return True


def _unauthorised() -> Answer:
    said = _said(401, "Invalid username or token. Password authentication is not supported for Git operations.")
    said.headers["WWW-Authenticate"] = 'Basic realm="GitHub"'
    return said


def _said(status: int, text: str) -> Answer:
    return Answer(status=status, body=f"{text}\n".encode(), headers={"Content-Type": "text/plain; charset=utf-8"})
