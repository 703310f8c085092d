"""What the tests of the web app's side of GitHub share: the App's repositories on the fake GitHub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.forge.github.limits import Pace
from app.forge.github.repositories import GithubApp, GithubRepositories, WebOptions
from tests.unit.forge.github_kit import World

WORKFLOW = (Path(__file__).parents[3] / ".github" / "workflows" / "mason.yml").read_text(encoding="utf-8")


def app_repositories(here: World, learned: list[str] | None = None, **options: Any) -> GithubRepositories:
    """On the machine's clock, which signs the JWT; waits take no time."""
    app = here.github.app
    given: dict[str, Any] = {
        "acts_as": GithubApp(id=str(app.id), private_key=app.private_key),
        "pace": Pace(patience=20.0, sleep=lambda _: None),
        "timeout": 1,
    }
    kept: list[str] = [] if learned is None else learned
    return GithubRepositories(WebOptions(api_url=here.github.url, **(given | options)), kept.append)


def add_workflow(here: World, text: str = WORKFLOW, name: str = "mason.yml") -> str:
    return here.repository.push_as_person("main", {f".github/workflows/{name}": text})
