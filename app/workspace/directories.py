"""The directories of workspaces that outlive their execution (port `app.ports.executions.WorkspaceDirectories`)."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from app.removal import remove


class Directories:
    """Below ``root``, by the workspace's id: whatever a row says, nothing else is ever removed.

    ``tree`` is the name of the tree in which the agent works, ``path`` the ``PATH`` on which programs are found.
    Several Masons may share a root.
    """

    def __init__(self, root: Path, tree: str, path: str) -> None:
        self._root = root
        self._tree = tree
        self._path = path

    def directory(self, workspace_id: UUID) -> Path:
        """All that belongs to it."""
        return self._root / str(workspace_id)

    def place(self, workspace_id: UUID) -> Path:
        return self.directory(workspace_id) / "trees" / self._tree

    def seal(self, workspace_id: UUID) -> bool:
        try:
            self.directory(workspace_id).chmod(0o700)
        except FileNotFoundError:
            return False
        return True

    def remove(self, workspace_id: UUID) -> bool:
        return remove(self.directory(workspace_id), self._path)

    def older_than(self, age: timedelta) -> Sequence[UUID]:
        newest = time.time() - age.total_seconds()
        found = []
        with contextlib.suppress(FileNotFoundError), os.scandir(self._root) as entries:
            for entry in entries:
                with contextlib.suppress(ValueError, FileNotFoundError):
                    workspace_id = UUID(entry.name)
                    if str(workspace_id) == entry.name and entry.stat(follow_symlinks=False).st_mtime <= newest:
                        found.append(workspace_id)
        return sorted(found)
