"""What people and other jobs are shown, without a secret."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from app.domain.judgements import Judgement
from app.domain.runs import RunResult
from app.flows.decide_items import Decided
from app.flows.plan_items import PlannedItem, plan_items
from app.flows.work import Ports, RunOptions
from app.log import Redactor, printable
from app.ports.backlog import ItemList
from app.reporting import item_list, summary
from app.reporting.commands import InertStream, mask
from app.reporting.commands import command as workflow_command
from app.reporting.job_files import outputs
from app.settings import Settings, state_dir
from app.wiring.databases import spool_directory
from app.wiring.requests import RunRequest


def show_plan(redactor: Redactor, ports: Ports, options: RunOptions) -> str:
    """The dry run as text, without a secret."""
    base, planned = plan_items(ports, options)
    return redactor.text(summary.plan_text([_preview(item) for item in planned], base))


def _preview(planned: PlannedItem) -> summary.Preview:
    note = "" if planned.plan else "no PRD: it would be deferred, or get one with --generate-prd"
    return summary.Preview(item=planned.item, branch=planned.branch, plan=planned.plan, note=note)


def show_result(redactor: Redactor, result: RunResult, *, as_json: bool) -> str:
    """The end of a run as text, without a secret: the summary, or JSON."""
    result = redactor.value(result)
    if as_json:
        return json.dumps(summary.as_json(result), indent=2, ensure_ascii=False)
    return summary.markdown(result) if result.run_id else "Nothing to do: no item is approved."


def show_judgement(redactor: Redactor, judgement: Judgement) -> str:
    """What was found about a pull request, as Markdown without a secret."""
    return summary.judgement_text(redactor.value(judgement))


def show_items(found: ItemList, *, as_json: bool) -> str:
    """The backlog: a table, or JSON in ASCII, in which no title does anything to a terminal."""
    return json.dumps(item_list.as_json(found), indent=2) if as_json else item_list.as_text(found)


def show_decided(decided: Decided) -> str:
    """One line: what was done with an item, or why not."""
    if decided.item and decided.done:
        return item_list.decided(decided.item, already=decided.already)
    return item_list.refused(decided.item_id, decided.item, decided.wanted)


@contextmanager
def inert_output() -> Iterator[InertStream]:
    """The job's log: nothing that is written to it is a command to the runner, but for what is given as one."""
    stream = InertStream(sys.stdout)
    try:
        yield stream
    finally:
        stream.flush()


def mask_secrets(stream: InertStream, secrets: Sequence[str]) -> None:
    """Before anything else is written: what the runner must never show."""
    stream.command(*(mask(secret) for secret in dict.fromkeys(secrets)))


def show_error(stream: InertStream, sentence: str) -> None:
    """An error that ends the job, as an annotation on its page."""
    stream.command(workflow_command("error", printable(sentence), title="Mason"))


def result_outputs(redactor: Redactor, result: RunResult) -> dict[str, str]:
    return outputs(redactor.value(result))


def kept_rows(settings: Settings, request: RunRequest) -> str:
    """What the database did not take of this run: it would go with the machine."""
    place = spool_directory(settings, state_dir(settings, request.repository))
    files = sorted(place.glob("*.jsonl")) if place.is_dir() else []
    return "".join(file.read_text("utf-8", "replace") for file in files)
