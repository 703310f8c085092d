"""``owner/name`` from the URLs that remotes have."""

from __future__ import annotations

import pytest

from app.forge.names import repository_name


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/ada/engine.git",
        "https://github.com/ada/engine",
        "https://github.com/ada/engine/",
        "HTTPS://GitHub.com/ada/engine.git",
        "https://x-access-token:ghs_1@github.com/ada/engine.git",
        "https://ghe.example.com:8443/ada/engine.git",
        "http://localhost:3000/ada/engine.git",
        "ssh://git@github.com/ada/engine.git",
        "ssh://git@ssh.github.com:443/ada/engine.git",
        "git://github.com/ada/engine.git",
        "git@github.com:ada/engine.git",
        "git@github.com:ada/engine",
        "git@ghe.example.com:/ada/engine.git",
        "org-1234@github.com:ada/engine.git",
        "github.com:ada/engine.git",
        " git@github.com:ada/engine.git\n",
    ],
)
def test_repository_name__of_a_forge(url: str) -> None:
    assert repository_name(url) == "ada/engine"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("git@github.com:ada/.github.git", "ada/.github"),
        ("https://github.com/a-d.a/my.engine_2.git.git", "a-d.a/my.engine_2.git"),
    ],
)
def test_repository_name__odd_names(url: str, name: str) -> None:
    assert repository_name(url) == name


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "/srv/git/ada/engine.git",
        "../ada/engine.git",
        "ada/engine",
        "file:///ada/engine.git",
        "C:\\git\\ada\\engine",
        "C:/ada/engine",
        "https://github.com/engine.git",
        "https://gitlab.com/group/sub/engine.git",
        "https://github.com/ada/..",
        "https://github.com/ada/engine?x=1",
        "git@github.com:engine.git",
        "https://github.com/ädä/engine",
        "https://github.com/ada/en gine",
    ],
)
def test_repository_name__none(url: str | None) -> None:
    assert repository_name(url) is None
