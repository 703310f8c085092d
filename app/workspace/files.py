"""The files of one state of the repository, many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from app.ports.workspace import READABLE
from app.workspace import compare
from app.workspace.git import Git, raw, text


@dataclass(frozen=True)
class GitFiles:
    """See `app.ports.workspace.Files`. ``tree`` is a git tree or commit, so what is read once stays true."""

    git: Git
    tree: str

    def paths(self) -> list[str]:
        """Every path, submodules and links included, sorted."""
        return sorted([*self._blobs, *self._others])

    def read(self, paths: Sequence[str]) -> dict[str, bytes]:
        """The content of those paths that are regular files of at most `READABLE` bytes. Raises GitFailed."""
        small = {path: blob for path in paths if (blob := self._blobs.get(path)) and self._sizes[path] <= READABLE}
        found = compare.contents(self.git, list(dict.fromkeys(small.values())))
        return {path: found[blob] for path, blob in small.items()}

    def mentioning(self, words: Sequence[str]) -> list[str]:
        """The paths of text files in which one of the words stands literally, sorted. Raises GitFailed."""
        wanted = [word for word in words if word and "\n" not in word]
        if not wanted:
            return []
        found = self.git.run(
            *("grep", "-z", "-l", "-I", "-F", "--no-recurse-submodules", "--full-name", "-f", "-", self.tree, "--"),
            stdin="\n".join(wanted).encode("utf-8", "surrogateescape") + b"\n",
            allowed=(0, 1),
        ).stdout
        prefix = raw(f"{self.tree}:")
        return sorted(text(record.removeprefix(prefix)) for record in found.split(b"\0")[:-1])

    @cached_property
    def _entries(self) -> list[tuple[str, str, int, str]]:
        """(mode, object, size, path) of everything."""
        found = []
        for record in self.git.records("ls-tree", "-z", "-r", "-l", "--full-tree", self.tree):
            about, _, path = record.partition("\t")
            mode, _, blob, size = about.split()
            found.append((mode, blob, int(size) if size.isdecimal() else 0, path))
        return found

    @cached_property
    def _blobs(self) -> dict[str, str]:
        return {path: blob for mode, blob, _, path in self._entries if mode.startswith("100")}

    @cached_property
    def _sizes(self) -> dict[str, int]:
        return {path: size for _, _, size, path in self._entries}

    @cached_property
    def _others(self) -> list[str]:
        return [path for mode, _, _, path in self._entries if not mode.startswith("100")]
