"""Which package of the repository a Go import path means: a directory, written with a slash at its end."""

from __future__ import annotations

import posixpath
import re

from app.validator.resolve_lookup import Lookup

_REQUIRED = re.compile(r"^(?:require)?[ \t]*([\w-]+(?:\.[\w-]+)+(?:/[^\s]+)?)[ \t]+v\d", re.MULTILINE)
_MODULE = re.compile(r"^module[ \t]+\"?([^\s\"]+)", re.MULTILINE)


class Go:
    def __init__(self, lookup: Lookup) -> None:
        self.members: dict[str, list[str]] = {}
        """Each package's files, without its tests."""
        for path in lookup.known:
            if path.endswith(".go") and not path.endswith("_test.go"):
                self.members.setdefault(package_of(path), []).append(path)
        self._manifests = lookup.texts(lambda name: name == "go.mod")
        self._modules = {
            found[1]: posixpath.dirname(path)
            for path, text in self._manifests.items()
            if (found := _MODULE.search(text))
        }

    def target(self, _: str, specifier: str, __: str = "") -> str | None:
        """The package that is meant; None when it is none of the repository's."""
        parts = specifier.split("/")
        for size in range(len(parts), 0, -1):
            home = self._modules.get("/".join(parts[:size]))
            if home is not None:
                directory = posixpath.normpath(posixpath.join(home, *[part for part in parts[size:] if part != ".."]))
                node = "./" if directory == "." else f"{directory}/"
                return node if node in self.members else None
        return None

    def package(self, _: str, specifier: str) -> str:
        """The import path of another module's package; empty for the standard library and our own."""
        parts = specifier.split("/")
        if "." not in parts[0] or any("/".join(parts[:size]) in self._modules for size in range(1, len(parts) + 1)):
            return ""
        return specifier

    def words(self, node: str) -> list[str]:
        """What stands literally in a file that imports this package."""
        directory = node.rstrip("/").removeprefix(".")
        modules = [module for module, home in self._modules.items() if home == directory]
        return [f'{posixpath.basename(name)}"' for name in (directory, *modules) if name]

    def declared(self, path: str) -> frozenset[str] | None:
        """The modules that the nearest go.mod above a file requires; None without one."""
        directory = path
        while directory:
            directory = posixpath.dirname(directory)
            if (text := self._manifests.get(posixpath.join(directory, "go.mod"))) is not None:
                return frozenset(match[1] for match in _REQUIRED.finditer(text))
        return None

    def covers(self, names: frozenset[str], package: str) -> bool:
        """Whether one of those modules contains the package."""
        return any(package == name or package.startswith(f"{name}/") for name in names)


def package_of(path: str) -> str:
    """The package that a file belongs to."""
    return f"{posixpath.dirname(path) or '.'}/"
