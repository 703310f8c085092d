"""What a peer test needs of the machine, installed from pinned manifests. What is missing fails the test."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.unit.workspace.repositories import git

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
INSTALL_LIMIT = 300.0
"""Seconds for an installation; it takes a few."""


def install_packages(place: Path, manifest: Path = HERE) -> Path:
    """Install what package.json pins in ``place``; its ``node_modules``."""
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(manifest / name, place)
    words = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(words, cwd=place, capture_output=True, text=True, timeout=INSTALL_LIMIT, check=False)
    assert done.returncode == 0, f"npm ci failed:\n{done.stdout}{done.stderr}"
    return place / "node_modules"


def react_project(packages: Path, place: Path) -> Path:
    """The react-ts template of create-vite as a repository, with a type check, vitest and a test of its own added.

    Its pnpm-lock.yaml was made in such a project by ``pnpm install --lockfile-only``.
    """
    shutil.copytree(packages / "create-vite" / "template-react-ts", place)
    (place / "_gitignore").rename(place / ".gitignore")
    shutil.copytree(HERE / "react", place, dirs_exist_ok=True)
    manifest: dict[str, Any] = json.loads((place / "package.json").read_text())
    manifest["scripts"] |= {"typecheck": "tsc -b --noEmit", "test": "vitest run"}
    manifest["devDependencies"] |= {"vitest": "^4.1.12"}
    (place / "package.json").write_text(json.dumps(manifest, indent=2) + "\n")
    git(place, "init", "-q", "-b", "main")
    name_author(place)
    git(place, "add", "-A")
    git(place, "commit", "-qm", "A project")
    return place


def clone_of_mason(place: Path) -> Path:
    """What is committed in the checkout that this test runs in, as a repository on ``main``."""
    git(place.parent, "clone", "-q", "--no-hardlinks", str(CHECKOUT), str(place))
    name_author(place)
    git(place, "checkout", "-q", "-B", "main")
    return place


def name_author(place: Path) -> None:
    git(place, "config", "user.name", "Ada")
    git(place, "config", "user.email", "ada@example.com")


class Witness:
    """A program in front of the real one: it notes each call and what it saw there, then becomes the real one.

    ``directory`` goes to the front of the PATH. ``look`` is a shell command whose output is noted with the call.
    """

    def __init__(self, real: Path, place: Path, look: str) -> None:
        assert real.exists(), f"{real} was not installed"
        self.directory = place / "bin"
        self._notes = place / "notes"
        self.directory.mkdir(parents=True)
        self._notes.mkdir()
        note, program = shlex.quote(str(self._notes)) + '/"$$"', shlex.quote(str(real))
        script = self.directory / real.name
        script.write_text(f'#!/bin/sh\n{{ echo "$*"; {look}; }} >{note} 2>&1\nexec {program} "$@"\n')
        script.chmod(0o755)

    @property
    def calls(self) -> list[tuple[str, list[str]]]:
        """Arguments and what was seen, in no order."""
        found = [path.read_text().splitlines() for path in self._notes.iterdir()]
        return [(lines[0], lines[1:]) for lines in found]
