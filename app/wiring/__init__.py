"""The wiring: the only place that chooses adapters and puts the parts together."""

from app.reporting.commands import InertStream
from app.reporting.job_files import write_outputs, write_summary
from app.wiring.databases import add_item, has_backlog
from app.wiring.requests import RunRequest, Surface, run_options
from app.wiring.runs import runner
from app.wiring.shown import (
    inert_output,
    kept_rows,
    mask_secrets,
    result_outputs,
    show_error,
    show_judgement,
    show_plan,
    show_result,
)
from app.wiring.stored_settings import with_stored

__all__ = [
    "InertStream",
    "RunRequest",
    "Surface",
    "add_item",
    "has_backlog",
    "inert_output",
    "kept_rows",
    "mask_secrets",
    "result_outputs",
    "run_options",
    "runner",
    "show_error",
    "show_judgement",
    "show_plan",
    "show_result",
    "with_stored",
    "write_outputs",
    "write_summary",
]
