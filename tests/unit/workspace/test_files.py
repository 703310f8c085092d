"""Many files of one state at a time, and pictures taken out of a hostile tree."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.ports.workspace import READABLE
from app.workspace.files import GitFiles
from app.workspace.git import Git
from app.workspace.images import MOST_BYTES, keep_images
from tests.unit.workspace.repositories import git

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def files(tmp_path: Path) -> GitFiles:
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.ts").write_text("import x from './b'\n")
    (tmp_path / "src" / "copy.ts").write_text("import x from './b'\n")
    (tmp_path / "src" / "b\nü.ts").write_text("export const x = 1 // -e\n")
    (tmp_path / "empty").write_text("")
    (tmp_path / "binary").write_bytes(b"\0\xffimport\0")
    (tmp_path / "huge.ts").write_text("import " * (READABLE // 7 + 1))
    (tmp_path / "link.ts").symlink_to("src/a.ts")
    git(tmp_path, "add", "-A")
    git(tmp_path, "-c", "user.name=A", "-c", "user.email=a@b", "commit", "-qm", "one")
    return GitFiles(Git(git_dir=tmp_path / ".git", path=os.environ["PATH"]), "HEAD")


def test_paths__are_all_there(files: GitFiles) -> None:
    assert files.paths() == ["binary", "empty", "huge.ts", "link.ts", "src/a.ts", "src/b\nü.ts", "src/copy.ts"]


def test_read__regular_files_of_a_readable_size(files: GitFiles) -> None:
    found = files.read([*files.paths(), "none"])
    assert found["src/a.ts"] == found["src/copy.ts"] == b"import x from './b'\n"
    assert found["binary"] == b"\0\xffimport\0"
    assert found["empty"] == b""
    assert found.keys() == {"binary", "empty", "src/a.ts", "src/b\nü.ts", "src/copy.ts"}
    assert files.read([]) == {}


def test_mentioning__literal_words_in_text_files(files: GitFiles) -> None:
    assert files.mentioning(["import x", "export"]) == ["src/a.ts", "src/b\nü.ts", "src/copy.ts"]
    assert files.mentioning(["-e"]) == ["src/b\nü.ts"]
    assert files.mentioning([".*", "nowhere"]) == []
    assert files.mentioning(["", "a\nb"]) == []


def test_images__only_plain_pictures_are_taken(tmp_path: Path) -> None:
    place, kept = tmp_path / "shots", tmp_path / "kept"
    place.mkdir()
    (place / "01.png").write_bytes(PNG + b"data")
    (place / "02.png").write_text("no picture")
    (place / "03.png").symlink_to("/etc/passwd")
    os.mkfifo(place / "04.png")
    with (place / "05.png").open("wb") as large:
        large.write(PNG)
        large.truncate(MOST_BYTES + 1)
    os.link(place / "01.png", place / "06.png")
    (place / "07.png").write_bytes(PNG)
    (place / "08.txt").write_bytes(PNG)
    assert [Path(path).read_bytes() for path in keep_images(place, kept)] == [PNG]
    (place / "06.png").unlink()
    assert len(keep_images(place, kept)) == 2


def test_images__a_directory_that_is_none_holds_none(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    assert keep_images(tmp_path / "link", tmp_path / "kept") == []
    assert keep_images(tmp_path / "none", tmp_path / "kept") == []
