"""The wiring: the only place that chooses adapters and puts the parts together."""

from app.reporting.commands import InertStream
from app.reporting.job_files import write_outputs, write_summary
from app.wiring.databases import has_backlog
from app.wiring.items import add_item, approve_items, defer_items, list_items
from app.wiring.requests import RunRequest, Surface, run_options
from app.wiring.runs import runner
from app.wiring.shown import (
    inert_output,
    kept_rows,
    mask_secrets,
    result_outputs,
    show_decided,
    show_error,
    show_items,
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
    "approve_items",
    "defer_items",
    "has_backlog",
    "inert_output",
    "kept_rows",
    "list_items",
    "mask_secrets",
    "result_outputs",
    "run_options",
    "runner",
    "show_decided",
    "show_error",
    "show_items",
    "show_judgement",
    "show_plan",
    "show_result",
    "with_stored",
    "write_outputs",
    "write_summary",
]
