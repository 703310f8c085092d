"""Whether the dashboard hears of every change: what the publication and the tables say."""

from __future__ import annotations

from dataclasses import dataclass

from app.backlog.migrate import Database, server

_ASK = """
select
  t.name,
  exists (select from pg_publication where pubname = 'supabase_realtime') as publication,
  exists (
    select from pg_publication_tables p
    where p.pubname = 'supabase_realtime' and p.schemaname = current_schema() and p.tablename = t.name
  ) as published,
  coalesce((select c.relreplident = 'f' from pg_class c where c.oid = to_regclass(t.name)), false) as whole_rows
from unnest(array['mason_execution_progress', 'mason_pm_backlog_items']) as t (name)
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Realtime:
    """``publication`` is whether `supabase_realtime` exists at all; the rest are the tables that are not as they should
    be: not in it, or without full replica identity."""

    publication: bool
    unpublished: tuple[str, ...]
    partial: tuple[str, ...]

    @property
    def works(self) -> bool:
        return self.publication and not self.unpublished and not self.partial


def verify_realtime(database: Database) -> Realtime:
    """Look, and change nothing. Raises DatabaseRefused, DatabaseUnreachable."""
    with server(database) as there:
        rows = there.run(_ASK)
    return Realtime(
        publication=bool(rows[0]["publication"]),
        unpublished=tuple(row["name"] for row in rows if not row["published"]),
        partial=tuple(row["name"] for row in rows if not row["whole_rows"]),
    )
