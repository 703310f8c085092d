"""The probes of this machine and the repository at hand. Each returns findings or raises one sentence."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from app import process
from app.config_file import CONFIG_NAME, top_level
from app.domain.policy import POLICY_PATH, parse_policy
from app.flows.doctor import Finding, Status, judge_git, ok, skipped
from app.gate.steps import Words
from app.gate.toolchain import detect
from app.settings import Settings, runs_dir
from app.workspace import compare
from app.workspace.source import Source

LITTLE, TOO_LITTLE = 2 * 2**30, 2**28
"""Bytes of free disk space: a warning below the one, a failure below the other."""

_BUILT_IN = frozenset(["cd", "exit", "export", "set", "exec", "if", "then", "fi", "for", "do", "done", "."])
_PARTS = re.compile(r"&&|\|\||[;|\n]")


def probe_git(environ: Mapping[str, str]) -> Sequence[Finding]:
    """Git's own version."""
    done = process.run(["git", "--version"], cwd=Path("/"), env=process.base_environment(environ), timeout=5)
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", done.text) if done.ok else None
    return [judge_git(tuple(int(part) for part in match.groups() if part) if match else None)]


def probe_repository(repository: Path, environ: Mapping[str, str]) -> Sequence[Finding]:
    """Whether it is a repository with a commit to start from, and whose remote it is."""
    source = Source.open(repository, environ.get("PATH", ""))
    base = source.pin(None)
    remote = "with a remote" if source.origin_url else "without a remote: branches stay here"
    return [ok("repository", f"{base.branch} at {base.commit[:10]}, {remote}")]


def probe_toolchain(repository: Path, environ: Mapping[str, str]) -> Sequence[Finding]:
    """The checks that the base commit brings, and whether their programs are on the PATH."""
    path = environ.get("PATH", "")
    source = Source.open(repository, path)
    commit = source.pin(None).commit

    def read(name: str) -> bytes | None:
        return compare.read(source.git, commit, name)

    paths = sorted(name for _, _, name in compare.entries(source.git, commit))
    toolchain = detect(paths, read, parse_policy(read(POLICY_PATH)))
    checks = ", ".join(check.kind.value for check in toolchain.checks)
    missing = sorted({word for check in toolchain.checks for word in _missing(check.command, path)})
    needed = sorted(set(_missing(toolchain.install.command, path))) if toolchain.install else []
    if not missing and not needed:
        return [ok("toolchain", f"{toolchain.name}: {checks}")]
    detail = f"{toolchain.name}: {checks}; not on the PATH: {', '.join([*needed, *missing])}"
    brings = toolchain.install is not None and not needed
    fix = "install them, unless the install step brings them" if brings else "install them"
    return [Finding(check="toolchain", status=Status.WARN if brings else Status.FAIL, detail=detail, fix=fix)]


def probe_disk(settings: Settings, state: Path) -> Sequence[Finding]:
    """The room where runs have their trees and where the state lies; the smaller one counts."""
    places = [_existing(runs_dir(settings)), _existing(state)]
    place = min(places, key=lambda each: shutil.disk_usage(each).free)
    free = shutil.disk_usage(place).free
    detail = f"{free / 2**30:.1f} GiB free at {place}"
    if free >= LITTLE:
        return [ok("disk space", detail)]
    status = Status.WARN if free >= TOO_LITTLE else Status.FAIL
    fix = "make room, or set MASON_RUNS_DIR and MASON_STATE_DIR"
    return [Finding(check="disk space", status=status, detail=detail, fix=fix)]


def probe_ignored(repository: Path, environ: Mapping[str, str]) -> Sequence[Finding]:
    """Whether git would ever commit the file that holds keys."""
    top, check = top_level(repository), "keys in git"
    git = replace(Source.open(repository, environ.get("PATH", "")).git, work_tree=top)
    if git.run("ls-files", "--cached", "-z", "--", CONFIG_NAME).stdout:
        fix = f"`git rm --cached {CONFIG_NAME}`, add it to .gitignore, and replace the key: it is in the history"
        return [Finding(check=check, status=Status.WARN, detail=f"git tracks {CONFIG_NAME}", fix=fix)]
    if not (top / CONFIG_NAME).exists():
        return [skipped(check, f"there is no {CONFIG_NAME}")]
    plain = {"GIT_LITERAL_PATHSPECS": "0"}  # check-ignore takes nothing else
    if git.run("check-ignore", "--quiet", CONFIG_NAME, allowed=(0, 1), extra=plain).ok:
        return [ok(check, f"{CONFIG_NAME} is ignored")]
    fix = f"add {CONFIG_NAME} to .gitignore"
    return [Finding(check=check, status=Status.WARN, detail=f"git does not ignore {CONFIG_NAME}", fix=fix)]


def _missing(command: Words, path: str) -> Iterator[str]:
    """The programs of a command that are not there. A path is the repository's own and is not looked for."""
    scripts = _PARTS.split(command[2]) if command[:2] == ("sh", "-c") else [shlex.join(command)]
    for script in scripts:
        try:
            words = [word for word in shlex.split(script) if not re.match(r"\w+=", word)]
        except ValueError:
            continue  # quotes around a separator: not worth a shell's parser
        program = words[0] if words and re.fullmatch(r"[\w.+-]+", words[0]) else ""
        if program and program not in _BUILT_IN and not shutil.which(program, path=path):
            yield program


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.exists())
