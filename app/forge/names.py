"""The name of a repository on its forge, read from a remote's URL."""

from __future__ import annotations

import re

_URL = re.compile(r"(?:https?|ssh|git)://(?:[^/@]*@)?[^/@:]+(?::\d+)?/(?P<path>.+)", re.IGNORECASE)
_SCP = re.compile(r"(?:[^/@:\s]+@)?[^/@:\s]{2,}:(?!//)/?(?P<path>[^\\]+)")  # one letter before the colon is a drive
_PATH = re.compile(r"(?P<owner>[\w.-]+)/(?P<name>[\w.-]+?)(?:\.git)?/?", re.ASCII)


def repository_name(url: str | None) -> str | None:
    """``owner/name`` from an https, ssh, git or scp-like URL of GitHub or GitHub Enterprise Server; else None.

    Local paths and paths of more or fewer than two parts have no such name.
    """
    found = _URL.fullmatch((url or "").strip()) or _SCP.fullmatch((url or "").strip())
    path = _PATH.fullmatch(found["path"]) if found else None
    if path is None or {path["owner"], path["name"]} & {".", "..", ".git"}:
        return None
    return f"{path['owner']}/{path['name']}"
