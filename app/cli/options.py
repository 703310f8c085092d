"""What options of several commands are made of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])

DIRECTORY = click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path)
