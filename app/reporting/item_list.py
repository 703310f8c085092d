"""The backlog as `mason list` shows it, and what `mason approve` and `mason defer` say of each item (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from app.domain.claims import MAX_ATTEMPTS
from app.domain.items import Item, ItemStatus
from app.ports.backlog import ItemList, ListedItem
from app.reporting.text import one_line

_HEADINGS = ("ID", "STATUS", "TYPE", "PRIORITY", "TITLE")
_LONGEST_TYPE = 20
_LONGEST_TITLE = 120
_LONGEST_DETAIL = 300


def as_text(found: ItemList) -> str:
    """A line an item, below it what became of it, and how many more there are."""
    if not any(found.counts.values()):
        return "The backlog has no item for this repository: `mason add FILE` adds one, a PRD in Markdown."
    lines = _table(found.items)
    if more := _counted(found.more):
        lines.append(f"… {sum(found.more.values())} more: {more} (--status and --limit show them)")
    if lines:
        return "\n".join(lines)
    if unusable := _counted({state: found.counts[state] for state in found.more}):
        return f"No item that can be shown. What is wrong with the others ({unusable}) is in the warnings."
    return f"No such item. There are: {_counted(found.counts)}."


def _table(items: Sequence[ListedItem]) -> list[str]:
    if not items:
        return []
    rows = [_row(one.item) for one in items]
    widths = [max(len(row[place]) for row in (_HEADINGS, *rows)) for place in range(len(_HEADINGS) - 1)]
    lines = [_line(_HEADINGS, widths)]
    for one, row in zip(items, rows, strict=True):
        lines.append(_line(row, widths))
        lines += [f"    {one_line(detail, _LONGEST_DETAIL)}" for detail in [_detail(one)] if detail]
    return lines


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
    return "  ".join([*cells, row[-1]])


def _row(item: Item) -> tuple[str, ...]:
    return (
        str(item.id),
        item.status.value,
        one_line(item.type, _LONGEST_TYPE),
        str(item.priority_score),
        one_line(item.title, _LONGEST_TITLE),
    )


def _detail(one: ListedItem) -> str:
    """What helps most to know of an item in its state; "" where there is nothing to say."""
    item = one.item
    match item.status:
        case ItemStatus.IN_PROGRESS:
            return _work(item)
        case ItemStatus.COMPLETED if one.resolved:
            return f"already resolved: {one.reason}" if one.reason else "already resolved"
        case ItemStatus.COMPLETED:
            return item.pull_request_url or item.branch or ""
        case ItemStatus.APPROVED if item.failed_base:
            return f"waits until the base branch moves: it failed its own checks at {item.failed_base[:10]}"
        case _:
            return one.reason


def _work(item: Item) -> str:
    """Without an attempt it was not Mason that put the item in progress."""
    attempt = [f"attempt {item.attempt} of {MAX_ATTEMPTS}"] if item.attempt else []
    return " ".join(attempt + ([f"on {item.branch}"] if item.branch else []))


def _counted(counts: Mapping[ItemStatus, int]) -> str:
    return ", ".join(f"{count} {state.value}" for state, count in counts.items() if count)


def decided(item: Item, *, already: bool) -> str:
    """What a decision did: an item as it is now."""
    return f"{item.id} is {item.status.value}{' already' if already else ''}: {one_line(item.title, _LONGEST_TITLE)}"


def refused(item_id: UUID, item: Item | None, wanted: str) -> str:
    """Why a decision could not be carried out; ``wanted`` are the states in which it could, "" where it is in one."""
    if item is None:
        return f"There is no item {item_id} in this repository's backlog (`mason list` shows it)"
    if not wanted:
        return f"Item {item_id} stays {item.status.value}: the database does not let this role change it"
    return f"Item {item_id} is {item.status.value}, not {wanted}"


def as_json(found: ItemList) -> dict[str, object]:
    """The list for ``--json``, a stable shape; keys may be added, none is renamed or removed.

    ``items``: [{id, title, type, area, priority, status, reason, attempt, run, branch, pull_request}] ·
    ``more``: {status: how many that are not listed}.
    """
    return {
        "items": [_item_json(one) for one in found.items],
        "more": {state.value: count for state, count in found.more.items() if count},
    }


def _item_json(one: ListedItem) -> dict[str, object]:
    item = one.item
    return {
        "id": str(item.id),
        "title": item.title,
        "type": item.type,
        "area": item.area,
        "priority": item.priority_score,
        "status": item.status.value,
        "reason": one.reason,
        "attempt": item.attempt,
        "run": str(item.run_id) if item.run_id else None,
        "branch": None if one.resolved else item.branch,
        "pull_request": item.pull_request_url,
    }
