"""A verified delivery of Supabase's → whether items are to be looked at. The payload is never acted upon beyond that.

Shape: platform facts, Database webhooks.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.domain.deliveries import BacklogChanged
from app.domain.items import ItemStatus
from app.web.errors import Malformed

LIMIT = 10 * 1024 * 1024
"""Bytes of a payload. A row with its old self may be large, and Mason reads none of it."""

TABLE = "mason_pm_backlog_items"


class _Change(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    type: Literal["INSERT", "UPDATE", "DELETE"]
    table: Annotated[str, Field(max_length=200)]
    record: dict[str, object] | None = None


def read_change(body: bytes) -> BacklogChanged | None:
    """None when no item can have become approved. Raises Malformed."""
    try:
        change = _Change.model_validate_json(body)
    except ValidationError:
        raise Malformed("The payload is not what a database webhook sends.") from None
    if change.table != TABLE or change.type == "DELETE":
        return None
    status = (change.record or {}).get("status", ItemStatus.APPROVED.value)
    return BacklogChanged() if status == ItemStatus.APPROVED.value or not isinstance(status, str) else None
