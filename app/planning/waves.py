"""The plan: waves of tasks as a PRD's headings and tables give them, or three default waves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from app.domain.plans import Plan, Subagent, Task, Wave
from app.planning.document import Block, Document, Kind, Row, parse

MAX_TASKS = 500
MAX_WARNINGS = 50
_LONGEST_DESCRIPTION = 2_000
_LONGEST_TITLE = 200

_HEADING = re.compile(r"(?:phase\s+\d+\s*[:.-]\s*)?wave\s+(\d{1,3})(?!\d)\s*[:.–—-]?\s*(.*)", re.IGNORECASE)
_MARK = re.compile(r"\s*\((parallel|sequential)\)", re.IGNORECASE)
_BLOCKED = re.compile(r"blocked by\s*:?\s*(.*)", re.IGNORECASE)
_NUMBERS = re.compile(r"\d{1,6}")
_RANGE = re.compile(r"(\d{1,3})\s*(?:-|–|to|through)\s*(\d{1,3})(?!\d)")
_LABEL = re.compile(r"(?:task\s+)?(?:(\d{1,4})\.)?(\d{1,4})\.?", re.IGNORECASE)
_NOTHING = frozenset({"", "-", "–", "—", "none", "nothing", "n/a", "no one"})

_SUBAGENTS = {agent.value.lower(): agent for agent in Subagent}


@dataclass(kw_only=True, slots=True)
class _Warnings:
    """Collects sentences that name a line, within a limit."""

    sentences: list[str] = field(default_factory=list)

    def add(self, line: int, sentence: str) -> None:
        if len(self.sentences) < MAX_WARNINGS:
            self.sentences.append(f"line {line}: {sentence}")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Section:
    """A wave heading with the blocks below it. ``written`` is its number in the PRD."""

    heading: Block
    written: int
    title: str
    blocks: list[Block]


def make_plan(prd: str, *, frontend: bool = False) -> Plan:
    """The waves of a PRD in document order. Never raises; the same text gives the same plan.

    A PRD without usable waves gets the default plan, whose implementing task goes to ``frontend-design`` when
    ``frontend`` is set (item types ui and ux). What could not be used is a warning that names its line.
    """
    document = parse(prd)
    warnings = _Warnings()
    if document.cut_at is not None:
        warnings.add(document.cut_at, "the PRD is too long; what follows this line was not read")
    sections = list(_sections(document))
    if not any(_task_tables(section) for section in sections):
        warnings.add(*_why_default(document, sections))
        return replace(default_plan(frontend=frontend), warnings=tuple(warnings.sentences))
    waves = _within_limit(_waves(sections, warnings), sections, warnings)
    waves = _with_writer(waves, sections, warnings, frontend=frontend)
    return Plan(waves=tuple(waves), warnings=tuple(warnings.sentences))


def default_plan(*, frontend: bool = False) -> Plan:
    """Explore, implement, review: for a PRD that names no waves (design, The story of an item, 6)."""
    explore = Task(
        id="1.1", subagent=Subagent.EXPLORE, description="Find the code the PRD is about and the patterns it follows"
    )
    implement = Task(id="2.1", subagent=_writer(frontend), description="Implement what the PRD describes")
    review = Task(id="3.1", subagent=Subagent.REVIEWER, description="Review all changes against the PRD")
    return Plan(
        waves=(
            Wave(number=1, title="Exploration", tasks=(explore,)),
            Wave(number=2, title="Implementation", tasks=(implement,), blocked_by=(1,)),
            Wave(number=3, title="Review", tasks=(review,), blocked_by=(2,)),
        ),
        is_default=True,
    )


def _writer(frontend: bool) -> Subagent:
    return Subagent.FRONTEND if frontend else Subagent.GENERAL


def _sections(document: Document) -> Iterator[_Section]:
    """Wave headings with what stands below them, up to the next wave or the next heading of their rank."""
    current: _Section | None = None
    for block in document.blocks:
        if block.kind is Kind.HEADING:
            match = _HEADING.fullmatch(" ".join(block.text.split()))
            if match or (current and block.level <= current.heading.level):
                if current:
                    yield current
                current = None
            if match:
                title = _MARK.sub("", match[2]).strip()[:_LONGEST_TITLE]
                current = _Section(heading=block, written=int(match[1]), title=title, blocks=[])
                continue
        if current:
            current.blocks.append(block)
    if current:
        yield current


def _why_default(document: Document, sections: list[_Section]) -> tuple[int, str]:
    if not document.blocks:
        return 1, "the PRD says nothing; the default plan is used"
    if not sections:
        headings = (b for b in document.blocks if b.kind is Kind.HEADING and "implementation" in b.text.lower())
        line = next((heading.line for heading in headings), 1)
        return line, 'no heading like "Wave 1: Foundation" was found; the default plan is used'
    return _without_table(sections[0])[0], (
        f"wave {sections[0].written} has no table with the columns Task, Subagent and Description, nor has any other; "
        "the default plan is used"
    )


def _without_table(section: _Section) -> tuple[int, str]:
    tables = [block for block in section.blocks if block.kind is Kind.TABLE]
    return (tables[0].line if tables else section.heading.line), (
        f"wave {section.written} has no table with the columns Task, Subagent and Description; "
        "it is carried out as a single task"
    )


def _task_tables(section: _Section) -> list[Block]:
    """The tables that have the columns of tasks and at least one task."""
    tables = (block for block in section.blocks if block.kind is Kind.TABLE)
    return [t for t in tables if _columns(t.rows[0]) and any(_description(r, t) for r in t.rows[1:])]


def _columns(head: Row) -> tuple[int | None, int, int] | None:
    """Which columns hold label, subagent and description, or None when it is no table of tasks.

    Both forms of the seeds: ``Task, Subagent, Description`` and ``#, Subagent, Task``.
    """
    names = [text.lower() for text in head.texts]
    subagent = next((i for i, name in enumerate(names) if name in ("subagent", "agent", "subagent type")), None)
    description = next((i for wanted in ("description", "task") for i, n in enumerate(names) if n == wanted), None)
    if subagent is None or description is None:
        return None
    label = next((i for i, n in enumerate(names) if n in ("#", "id", "no", "no.", "task") and i != description), None)
    return label, subagent, description


def _description(row: Row, table: Block) -> str:
    columns = _columns(table.rows[0])
    if columns is None:
        return ""
    label, _, description = columns
    text = " ".join(row.texts[description].split())
    if not text and label is not None and not _LABEL.fullmatch(row.texts[label]):
        text = " ".join(row.texts[label].split())
    return text[:_LONGEST_DESCRIPTION]


def _waves(sections: list[_Section], warnings: _Warnings) -> list[Wave]:
    waves: list[Wave] = []
    numbers: dict[int, int] = {}
    spare = max(section.written for section in sections) + 1
    for section in sections:
        number = section.written
        if number in numbers:
            number, spare = spare, spare + 1
            warnings.add(section.heading.line, f"wave {section.written} was there before; this one is wave {number}")
        tasks = tuple(_tasks(section, number, warnings))
        blocked_by = _blocked_by(section, numbers, warnings)
        numbers[section.written] = number
        parallel = not re.search(r"\(sequential\)", section.heading.text, re.IGNORECASE)
        waves.append(
            Wave(number=number, title=section.title, tasks=tasks, blocked_by=blocked_by, parallel=parallel),
        )
    return waves


def _tasks(section: _Section, number: int, warnings: _Warnings) -> Iterator[Task]:
    tables = _task_tables(section)
    if not tables:
        warnings.add(*_without_table(section))
        description = f"Carry out wave {section.written} of the PRD: {section.title}".rstrip(": ")
        yield Task(id=f"{number}.1", subagent=Subagent.GENERAL, description=description)
        return
    rows: list[tuple[int | None, Subagent, str]] = []
    for table in tables:
        columns = _columns(table.rows[0])
        for row in table.rows[1:]:
            text = _description(row, table)
            if text and columns:
                name = row.texts[columns[1]].strip("`*_ ").lower()
                label = _label(row.texts[columns[0]], section.written) if columns[0] is not None else None
                rows.append((label, _SUBAGENTS.get(name, Subagent.GENERAL), text))
            elif any(row.texts):
                warnings.add(row.line, "this task has no description; it is left out")
    for own, (_, subagent, text) in zip(_own_numbers([label for label, _, _ in rows]), rows, strict=True):
        yield Task(id=f"{number}.{own}", subagent=subagent, description=text)


def _label(text: str, wave: int) -> int | None:
    """The task's number within its wave that ``2.1``, ``1`` or ``Task 2.1`` gives."""
    match = _LABEL.fullmatch(text.strip("`*_ "))
    if not match or (match[1] is not None and int(match[1]) != wave):
        return None
    return int(match[2])


def _own_numbers(labels: list[int | None]) -> list[int]:
    """Each label once; the rest get the numbers after the highest."""
    free = max((label for label in labels if label is not None), default=0) + 1
    seen: set[int] = set()
    numbers = []
    for label in labels:
        if label is not None and label not in seen:
            number = label
        else:
            number, free = free, free + 1
        seen.add(number)
        numbers.append(number)
    return numbers


def _blocked_by(section: _Section, numbers: dict[int, int], warnings: _Warnings) -> tuple[int, ...]:
    """The waves before this one that it waits for; what else it names is a warning, and document order holds."""
    found: dict[int, None] = {}
    for line, text in _blocked_lines(section):
        wanted = _wave_numbers(text)
        if not wanted and text.strip(" .*_").lower() not in _NOTHING:
            warnings.add(line, f'"Blocked by" names no wave: {text[:80]!r}')
        for wave in wanted:
            if wave in numbers:
                found.setdefault(numbers[wave])
            else:
                warnings.add(line, f"wave {section.written} cannot wait for wave {wave}, which is not before it")
    return tuple(found)


def _blocked_lines(section: _Section) -> Iterator[tuple[int, str]]:
    for block in section.blocks:
        if block.kind is Kind.TEXT:
            for offset, text in enumerate(block.text.split("\n")):
                if match := _BLOCKED.fullmatch(text.strip()):
                    yield block.line + offset, match[1].strip()[:200]


def _wave_numbers(text: str) -> list[int]:
    ranges = [n for first, last in _RANGE.findall(text) for n in range(int(first), int(last) + 1)]
    return ranges + [int(number) for number in _NUMBERS.findall(_RANGE.sub(" ", text))]


def _within_limit(waves: list[Wave], sections: list[_Section], warnings: _Warnings) -> list[Wave]:
    kept: list[Wave] = []
    left = MAX_TASKS
    for wave, section in zip(waves, sections, strict=True):
        if len(wave.tasks) > left:
            warnings.add(section.heading.line, f"the PRD has more than {MAX_TASKS} tasks; those after it are left out")
            if left:
                kept.append(replace(wave, tasks=wave.tasks[:left]))
            break
        left -= len(wave.tasks)
        kept.append(wave)
    return kept


def _with_writer(waves: list[Wave], sections: list[_Section], warnings: _Warnings, *, frontend: bool) -> list[Wave]:
    """Add an implementing wave before the first that reviews or checks, when no task of the plan writes."""
    if any(wave.writes for wave in waves):
        return waves
    number = max(*(wave.number for wave in waves), *(section.written for section in sections)) + 1
    warnings.add(sections[0].heading.line, f"no task of the plan changes anything; wave {number} implements the PRD")
    task = Task(id=f"{number}.1", subagent=_writer(frontend), description="Implement what the PRD describes")
    closing = (Subagent.REVIEWER, Subagent.BASH)
    place = next((i for i, w in enumerate(waves) if any(t.subagent in closing for t in w.tasks)), len(waves))
    return [*waves[:place], Wave(number=number, title="Implementation", tasks=(task,)), *waves[place:]]
