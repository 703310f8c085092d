"""Signed links to the run page, for those who make them: the web app's flows, and who sits at its machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from app.settings import Settings, state_dir
from app.web.pages.links import RUNS, Links
from app.wiring.sealing import MasterKeys, master_keys


def run_links(settings: Settings, keys: MasterKeys) -> Callable[[UUID], str]:
    """The signed address of a run's page, "" as long as the app does not know its own."""
    if not settings.app_url:
        return lambda _: ""
    return Links(keys=keys.signing, base=settings.app_url.rstrip("/")).to_run


def link_to_runs(settings: Settings, repository: Path, base: str, run_id: UUID | None = None) -> str:
    """A signed address of all runs, or of one, of the app at ``base``, for who may read its state directory."""
    links = Links(keys=master_keys(settings, state_dir(settings, repository)).signing, base=base)
    return links.to_run(run_id) if run_id else links.to(RUNS)
