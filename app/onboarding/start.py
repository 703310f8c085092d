"""What `mason init` writes into a repository: the workflow that calls Mason's, and a line in .gitignore.

A pin is a commit: a tag can be moved to other code by whoever can push there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app import process
from app.config_file import CONFIG_NAME, top_level
from app.errors import Unreachable, UsageError
from app.installation import ACTION, PACKAGE

WORKFLOW = ".github/workflows/mason.yml"
LOOK_UP_LIMIT = 30.0
"""Seconds for asking a server which commit a tag names."""

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REFERENCE = re.compile(r"([\w.-]+/[\w.-]+)@([\w./-]+)", re.ASCII)
_PINNED = re.compile(
    rf"uses: ([\w.-]+/[\w.-]+)/{re.escape(WORKFLOW)}@({_COMMIT.pattern})(?: # (\S+))?$", re.MULTILINE | re.ASCII
)
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701 - YAML and plain text
    keep_trailing_newline=True,
    trim_blocks=True,
    block_start_string="<%",
    block_end_string="%>",
    variable_start_string="<<",
    variable_end_string=">>",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Action:
    """Mason's repository on the server, as ``OWNER/REPO``, and a commit of it; ``tag`` named it, or is empty."""

    repository: str
    commit: str
    tag: str = ""


def own_release() -> str:
    """The release of the Mason that runs, as ``OWNER/REPO@v1.2.3``."""
    return f"{ACTION}@v{version(PACKAGE)}"


def find_action(reference: str, server: str, environ: dict[str, str]) -> Action:
    """The commit that ``OWNER/REPO@REFERENCE`` names; a tag's is asked from ``server`` (``https://github.com``).

    A version ``v1.2.3`` is the tag ``action/v1.2.3`` where there is one, which pins the release to its own image.
    Raises UsageError for a malformed or unknown reference, Unreachable when the server does not answer.
    """
    found = _REFERENCE.fullmatch(reference)
    if not found:
        raise UsageError(f"--action: {reference!r} must look like OWNER/REPO@v1.2.3, or @ and a commit's 40 digits")
    repository, named = found[1], found[2]
    if _COMMIT.fullmatch(named):
        return Action(repository=repository, commit=named)
    commits = _tags(f"{server}/{repository}", named, environ)
    for tag in (f"refs/tags/action/{named}", f"refs/tags/{named}"):
        if commit := commits.get(f"{tag}^{{}}") or commits.get(tag):
            return Action(repository=repository, commit=commit, tag=named)
    raise UsageError(f"{repository} has no tag {named}; give --action OWNER/REPO@TAG, or @ and a commit")


def _tags(address: str, named: str, environ: dict[str, str]) -> dict[str, str]:
    """Commit by tag, with ``^{}`` for what an annotated tag stands for."""
    words = ["git", "ls-remote", "--tags", "--", address, f"refs/tags/{named}*", f"refs/tags/action/{named}*"]
    env = process.base_environment(environ, {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "/bin/false"})
    done = process.run(words, cwd=Path("/"), env=env, timeout=LOOK_UP_LIMIT)
    if not done.ok:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no answer"]
        raise Unreachable(f"cannot ask {address} for its tags ({said[0]}); give --action OWNER/REPO@ and a commit")
    rows = (line.split("\t", 1) for line in done.text.splitlines())
    return {row[1]: row[0] for row in rows if len(row) == 2 and _COMMIT.fullmatch(row[0])}


def written_action(repository: Path) -> Action | None:
    """The action that the workflow in place pins; None without a workflow of ours."""
    path = top_level(repository) / WORKFLOW
    found = _PINNED.search(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else None
    return Action(repository=found[1], commit=found[2], tag=found[3] or "") if found else None


def start(repository: Path, action: Action, *, force: bool = False) -> str:
    """Write what is missing; a second time nothing is. What was done and what is left to do, for a person to read.

    Raises UsageError, before anything is written, for a workflow that differs, unless ``force`` says to replace it.
    """
    root = top_level(repository)
    if not (root / ".git").exists():
        raise UsageError(f"{root} is no git repository; run `git init` first, or say --repository")
    text = _TEMPLATES.get_template("mason.yml").render(action=action)
    path = root / WORKFLOW
    before = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
    if before not in (None, text) and not force:
        raise UsageError(f"{WORKFLOW} is there and differs; look at it, then say --force to replace it")
    if before != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    pinned = f"Mason {action.tag or action.commit[:12]}"
    did = "unchanged" if before == text else "written" if before is None else "replaced"
    changes = (f"{did}: {WORKFLOW}, {pinned}", _ignore_keys(root))
    return _TEMPLATES.get_template("next_steps.txt").render(changes=changes, workflow=WORKFLOW).rstrip("\n")


def _ignore_keys(root: Path) -> str:
    """Keep the file with the keys out of git, whoever creates it later."""
    path = root / ".gitignore"
    before = path.read_text(encoding="utf-8", errors="surrogateescape") if path.is_file() else ""
    if {CONFIG_NAME, f"/{CONFIG_NAME}"} & {line.strip() for line in before.splitlines()}:
        return f"unchanged: .gitignore, which has {CONFIG_NAME}"
    between = "" if not before or before.endswith("\n") else "\n"
    path.write_text(f"{before}{between}{CONFIG_NAME}\n", encoding="utf-8", errors="surrogateescape")
    return f"written: .gitignore, so that {CONFIG_NAME} and the keys in it are never committed"
