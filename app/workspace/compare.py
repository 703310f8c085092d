"""What differs between two git trees. Trees are compared as stored: no work tree, attribute or driver has a say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from app.ports.workspace import Change, ChangeKind, FileKind, TreeEntry
from app.workspace.git import Git, raw, text

_PLAIN = ("-r", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules=none")
_KINDS = {"A": ChangeKind.ADDED, "D": ChangeKind.DELETED}
_FILES = {"100755": FileKind.EXECUTABLE, "120000": FileKind.SYMLINK, "160000": FileKind.SUBMODULE}
_CUT = "\n… {:,} more characters of the diff are left out …\n"


def changes(git: Git, before: str, after: str) -> list[Change]:
    """The changed paths, sorted. A rename is a deletion and an addition; a new mode or type is a modification."""
    entries = _trees(before, after)
    records = iter(
        git.records("diff-tree", "-z", "--raw", "--numstat", "--full-index", "--abbrev=64", *_PLAIN, *entries)
    )
    stored: dict[str, tuple[str, str, str]] = {}
    counts: dict[str, tuple[str, str]] = {}
    for record in records:
        if record.startswith(":"):
            stored_entry = _raw_entry(record)
            stored[next(records)] = stored_entry
        else:
            added, removed, path = record.split("\t", 2)
            counts[path] = (added, removed)
    targets = contents(git, [blob for mode, blob, _ in stored.values() if mode == "120000"])
    return [_change(path, *stored[path], counts.get(path, ("0", "0")), targets) for path in sorted(stored)]


def stored(git: Git, before: str, after: str) -> list[TreeEntry]:
    """The changed paths as git stores them afterwards, sorted."""
    records = iter(
        git.records("diff-tree", "-z", "--raw", "--full-index", "--abbrev=64", *_PLAIN, *_trees(before, after))
    )
    found = []
    for record in records:
        mode, blob, status = _raw_entry(record)
        gone = status == "D"
        found.append(TreeEntry(path=next(records), mode="" if gone else mode, object="" if gone else blob))
    return sorted(found, key=lambda entry: entry.path)


def _raw_entry(record: str) -> tuple[str, str, str]:
    """(mode, object, status) after the change; before it, when the path was deleted."""
    old_mode, new_mode, old, new, status = record[1:].split(" ")
    return (old_mode, old, status) if status == "D" else (new_mode, new, status)


def _change(
    path: str, mode: str, blob: str, status: str, counted: tuple[str, str], targets: dict[str, bytes]
) -> Change:
    added, removed = counted
    binary = added == "-"
    return Change(
        path=path,
        kind=_KINDS.get(status, ChangeKind.MODIFIED),
        file=_FILES.get(mode, FileKind.FILE),
        target=text(targets[blob]) if mode == "120000" else None,
        added_lines=0 if binary else int(added),
        removed_lines=0 if binary else int(removed),
        binary=binary,
    )


def contents(git: Git, blobs: list[str]) -> dict[str, bytes]:
    """The content of each blob, read by one process."""
    if not blobs:
        return {}
    data = git.run("cat-file", "--batch", stdin="".join(f"{blob}\n" for blob in blobs).encode()).stdout
    found: dict[str, bytes] = {}
    at = 0
    for blob in blobs:
        end = data.index(b"\n", at)
        size = int(data[at:end].split()[2])
        found[blob] = data[end + 1 : end + 1 + size]
        at = end + size + 2
    return found


def diff(git: Git, before: str, after: str, limit: int) -> str:
    """The unified diff as text, at most ``limit`` characters. Bytes that are not UTF-8 become U+FFFD."""
    patch = git.run("diff-tree", "-p", "--text", *_PLAIN, *_trees(before, after)).stdout
    whole = patch.decode("utf-8", "replace")
    if len(whole) <= limit:
        return whole
    kept = max(limit - len(_CUT.format(len(whole))), 0)
    return whole[:kept] + _CUT.format(len(whole) - kept)[:limit]


def write_patch(git: Git, before: str, after: str, file: Path) -> None:
    """Write a patch that ``git apply`` takes, binary files included."""
    part = file.with_name(f".{file.name}.part")
    git.run("diff-tree", "-p", "--binary", "--full-index", *_PLAIN, f"--output={part}", *_trees(before, after))
    part.replace(file)


def entries(git: Git, commit: str, *paths: str) -> Iterator[tuple[str, str, str]]:
    """(mode, object, path) of everything in a commit, or of these paths."""
    for record in git.records("ls-tree", "-z", "--full-tree", *(() if paths else ("-r",)), commit, "--", *paths):
        about, _, path = record.partition("\t")
        mode, _, blob = about.split(" ")
        yield mode, blob, path


def read(git: Git, commit: str, path: str) -> bytes | None:
    """The content of a regular file, None where there is none."""
    if "\0" in path or {"", ".", ".."} & set(path.split("/")):
        return None  # git holds no such path, and answers with an error
    for mode, blob, found in entries(git, commit, path):
        if raw(found) == raw(path) and mode.startswith("100"):
            return git.run("cat-file", "blob", blob).stdout
    return None


def _trees(before: str, after: str) -> tuple[str, str]:
    return f"{before}^{{tree}}", f"{after}^{{tree}}"
