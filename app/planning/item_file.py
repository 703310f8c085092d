"""An item as a file: a PRD in Markdown, with what the PRD does not say in YAML front matter (pure)."""

from __future__ import annotations

import re
from uuid import UUID

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.domain.items import Item, ItemStatus, NewItem
from app.errors import UsageError
from app.planning.context import read_context

_FRONT = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*\r?$\n?", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#[ \t]+(\S.*)$", re.MULTILINE)
_NO_ID = UUID(int=0)


class _Front(BaseModel):
    """What front matter may say. ``shows`` is for people who read the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str | None = Field(None, min_length=1)
    type: str = "feature"
    area: str = "backend"
    problem: str | None = None
    solution: str | None = None
    complexity: int = Field(2, ge=1, le=5)
    impact_score: int = Field(5, ge=1, le=10)
    effort_score: int = Field(5, ge=1, le=10)
    evidence_status: str | None = Field(None, pattern="^(verified|refuted|inconclusive)$")
    evidence_summary: str | None = None
    shows: str = ""


def read_item_file(text: str, *, approved: bool = True) -> NewItem:
    """The item that a file describes; title, problem and solution come from the PRD where front matter is silent.

    Raises UsageError with one sentence that names the key at fault.
    """
    front, prd = _split(text)
    heading = _HEADING.search(prd)
    title = front.title or (heading[1].strip() if heading else "")
    if not title:
        raise UsageError("The file has no title: begin it with a “# Title” line, or give title: in its front matter")
    sketch = Item(id=_NO_ID, title=title, status=ItemStatus.NEW, prd=prd)
    context = read_context(sketch)
    return NewItem(
        title=title,
        problem=front.problem or context.problem or title,
        solution=front.solution or context.solution or title,
        type=front.type,
        area=front.area,
        complexity=front.complexity,
        impact_score=front.impact_score,
        effort_score=front.effort_score,
        status=ItemStatus.APPROVED if approved else ItemStatus.NEW,
        prd=prd if prd.strip() else None,
        evidence_status=front.evidence_status,
        evidence_summary=front.evidence_summary,
    )


def _split(text: str) -> tuple[_Front, str]:
    match = _FRONT.match(text)
    if not match:
        return _Front(), text
    try:
        data = yaml.safe_load(match[1]) or {}
        return _Front.model_validate(data), text[match.end() :].lstrip("\r\n")
    except yaml.YAMLError as problem:
        raise UsageError(f"The front matter is not valid YAML: {str(problem).splitlines()[0]}") from problem
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "it"
        raise UsageError(f"The front matter: {where}: {first['msg']}") from problem
