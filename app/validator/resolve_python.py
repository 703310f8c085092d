"""Which file a Python import means.

Roots, from which absolute names count: the repository's, ``src`` and ``lib``, every directory with a pyproject.toml,
setup.py or setup.cfg (and its ``src``), and the parents of topmost packages; the one nearest to the importing file
first. A script's own directory counts too. A directory without ``__init__.py`` is a package if a module lies in it.
"""

from __future__ import annotations

import posixpath
import sys

from app.validator.resolve_distributions import contains, declared_by, distributions_of, is_manifest
from app.validator.resolve_lookup import Lookup, is_foreign

STANDARD = sys.stdlib_module_names | {"__future__", "asyncore", "asynchat", "distutils", "imp", "smtpd", "tomllib"}
"""The standard library's modules, those of other versions than this one included."""

_PROJECTS = frozenset({"pyproject.toml", "setup.py", "setup.cfg"})
_ENDINGS = (".py", "/__init__.py", ".pyi", "/__init__.pyi")


class Python:
    def __init__(self, lookup: Lookup) -> None:
        self._known = lookup.known
        sources = [path for path in self._known if path.endswith((".py", ".pyi")) and not is_foreign(path)]
        packages = {posixpath.dirname(path) for path in sources if posixpath.basename(path).startswith("__init__.py")}
        roots = {"", "src", "lib"}
        for path in self._known:
            directory, _, name = path.rpartition("/")
            if name in _PROJECTS and not is_foreign(path):
                roots |= {directory, posixpath.join(directory, "src")}
        roots |= {posixpath.dirname(p) for p in packages if posixpath.dirname(p) not in packages and p}
        self._roots = self._by_name(sources, roots)
        self._distributions = declared_by(lookup.texts(is_manifest))

    def target(self, path: str, specifier: str, name: str = "") -> str | None:
        """The module that is meant: the submodule ``name`` where there is one; None when none of the repository's."""
        dots = len(specifier) - len(specifier.lstrip("."))
        parts = [part for part in specifier[dots:].split(".") if part]
        if dots:
            parents = path.split("/")[:-dots]
            if dots > path.count("/") + 1:
                return None
            return self._module("/".join([*parents, *parts]), name)
        if not parts or parts[0] in STANDARD:
            return None
        homes = [
            posixpath.dirname(path),
            *sorted(self._roots.get(parts[0], ()), key=lambda root: _distance(root, path)),
        ]
        if homes[0] and any(f"{homes[0]}/__init__{ending}" in self._known for ending in (".py", ".pyi")):
            homes.pop(0)
        found = (self._module(posixpath.join(home, *parts), name) for home in homes)
        return next((file for file in found if file), None)

    def package(self, _: str, specifier: str) -> str:
        """The distribution's module that is meant, dotted; empty for relative ones, the standard library, our own."""
        first = specifier.partition(".")[0]
        return "" if not first or first in STANDARD or first in self._roots else specifier

    def words(self, node: str) -> list[str]:
        """What stands literally in a file that imports this one."""
        directory, name = posixpath.split(node)
        stem = name.partition(".")[0]
        return [stem] if stem != "__init__" else [posixpath.basename(directory) or "import", "from ."]

    def declared(self, _: str) -> frozenset[str] | None:
        """The distributions that any manifest of the repository names; None without a manifest."""
        return self._distributions

    def covers(self, names: frozenset[str], package: str) -> bool:
        """Whether one of those distributions most likely contains the module."""
        return not names.isdisjoint(distributions_of(package)) or any(contains(name, package) for name in names)

    def _module(self, base: str, name: str) -> str | None:
        tails = [f"/{name}{ending}" for ending in _ENDINGS] if name and name != "*" else []
        for tail in (*tails, *_ENDINGS):
            file = f"{base}{tail}".lstrip("/")
            if file in self._known:
                return self._known[file]
        return None

    @staticmethod
    def _by_name(sources: list[str], roots: set[str]) -> dict[str, set[str]]:
        """For each top-level name, the roots below which it stands."""
        found: dict[str, set[str]] = {}
        for path in sources:
            parts = path.split("/")
            for depth in range(len(parts)):
                root = "/".join(parts[:depth])
                if root in roots:
                    found.setdefault(parts[depth].partition(".")[0], set()).add(root)
        return found


def _distance(root: str, path: str) -> tuple[int, int, str]:
    """Roots above the file first, the nearest of them before the others."""
    return (0, -len(root), root) if not root or path.startswith(f"{root}/") else (1, root.count("/"), root)
