"""Real git repositories for the workspace's tests, made as a user would make them."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "LC_ALL": "C.UTF-8",
}


def git(directory: Path, *arguments: str) -> str:
    """Plain git as a user runs it: configuration and hooks of the repository are honoured."""
    done = subprocess.run(["git", *arguments], cwd=directory, env=ENVIRONMENT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    return done.stdout.decode("utf-8", "surrogateescape").strip()


def new_repository(path: Path, files: dict[str, str] | None = None, *, branch: str = "main") -> Path:
    """A repository with one commit of these files; without files it has no commit."""
    path.mkdir(parents=True, exist_ok=True)
    git(path, "init", "-q", "-b", branch)
    git(path, "config", "user.name", "Ada")
    git(path, "config", "user.email", "ada@example.com")
    if files:
        commit(path, files)
    return path


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content.encode("utf-8", "surrogateescape"))


def commit(path: Path, files: dict[str, str], message: str = "Change") -> str:
    """Commit these files on the branch that is checked out; its id."""
    write(path, files)
    git(path, "add", "-f", *files)
    git(path, "commit", "-qm", message)
    return git(path, "rev-parse", "HEAD")


def listing(root: Path, *, without: tuple[str, ...] = ()) -> dict[str, tuple[int, str]]:
    """Everything below a directory: path → (mode, digest of the content or target of the link)."""
    found = {}
    for directory, directories, files in os.walk(root):
        for name in (*directories, *files):
            path = Path(directory, name)
            relative = str(path.relative_to(root))
            if relative.startswith(without):
                continue
            if path.is_symlink():
                content = str(path.readlink())
            else:
                content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            found[relative] = (path.lstat().st_mode, content)
    return found
