"""Print the part of requirements.lock that the package needs with some of its extras, hashes included.

    python3 .ci/locked.py embedded claude > chosen.txt       the package's dependencies with two extras
    python3 .ci/locked.py --only image > chosen.txt          an extra alone

The lock file holds every extra. pip takes all of a file or, with it as constraints, ignores its hashes; so the image
chooses here. A name that the lock file lacks is an error.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9._-]+")


def normal(requirement: str) -> str:
    """The name in a requirement as package indexes compare it: ``Psycopg[binary]>=3`` is ``psycopg``."""
    found = _NAME.match(requirement.strip())
    return re.sub(r"[-_.]+", "-", found[0]).lower() if found else ""


def blocks(lock: str) -> dict[str, str]:
    """Each locked package with its lines: the pin, its hashes, and the comments that say who needs it."""
    found: dict[str, str] = {}
    name = ""
    for line in lock.splitlines(keepends=True):
        if not line.startswith((" ", "#")):
            name = normal(line)
        if name:
            found[name] = found.get(name, "") + line
    return found


def needed(roots: Iterable[str], locked: dict[str, str]) -> list[str]:
    """The roots and everything that the lock file says they need, sorted. Raises KeyError for what it lacks."""
    needs: dict[str, set[str]] = {}
    for name, block in locked.items():
        for parent in re.findall(r"^ +# +(?:via +)?([A-Za-z0-9._-]+)$", block, re.MULTILINE):
            needs.setdefault(normal(parent), set()).add(name)
    found: set[str] = set()
    waiting = [normal(root) for root in roots]
    while waiting:
        name = waiting.pop()
        if name not in locked:
            raise KeyError(name)
        if name not in found:
            found.add(name)
            waiting.extend(needs.get(name, ()))
    return sorted(found)


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("extras", nargs="*")
    parser.add_argument("--only", action="store_true")
    options = parser.parse_args(words)
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    locked = blocks(Path("requirements.lock").read_text(encoding="utf-8"))
    roots = [] if options.only else list(project["dependencies"])
    for extra in options.extras:
        roots += project["optional-dependencies"][extra]
    sys.stdout.write("".join(locked[name] for name in needed(roots, locked)))


if __name__ == "__main__":
    main(sys.argv[1:])
