"""What a repository declares as dependencies, and what it may import without declaring it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from app.gate import javascript, python
from app.gate.repository import Read, Repository


def declared(paths: Sequence[str], read: Read) -> frozenset[str]:
    """Every package that the manifests name: Python distributions normalised, npm packages as written.

    Raises UsageError for a manifest that cannot be parsed.
    """
    repository = Repository(paths, read)
    manifests = [path for path in repository.paths if path == "package.json" or path.endswith("/package.json")]
    npm = (name for path in manifests for name in javascript.dependencies(repository.json(path)))
    return python.dependencies(repository) | frozenset(npm)


def local(paths: Sequence[str], read: Read) -> frozenset[str]:
    """Names by which the repository's own files may be imported.

    Every directory and every file without its extension, wherever it lies; the aliases of tsconfig.json and the
    packages of workspaces.
    """
    repository = Repository(paths, read)
    names = {part.partition(".")[0] for path in repository.paths for part in path.split("/")}
    return (javascript.aliases(repository) | names) - {""}
