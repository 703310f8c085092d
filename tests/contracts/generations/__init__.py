"""Databases as the dashboard's generations left them (contracts §1), each with data; a test fills an empty one."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

HERE = Path(__file__).parent

GENERATIONS = {path.stem: path.read_text(encoding="utf-8") for path in sorted(HERE.glob("*.sql"))} | {"empty": ""}

APPROVED = UUID("00000000-0000-4000-8000-000000000001")
"""The approved item of every generation but the empty one."""

NAMED_CHECKS = """
do $$
declare rule record;
begin
  for rule in
    select c.conrelid::regclass as owner, c.conname, a.attname
    from pg_constraint c join pg_attribute a on a.attrelid = c.conrelid and c.conkey = array[a.attnum]
    where c.contype = 'c' and c.connamespace = 'public'::regnamespace
  loop
    execute format('alter table %s rename constraint %I to %I', rule.owner, rule.conname, 'valid_' || rule.attname);
  end loop;
end
$$;
"""
"""The other habit of naming CHECKs: valid_status, valid_type, …"""

WATCH = """
create table audit (at timestamptz default clock_timestamp(), what text);
create function audit() returns trigger language plpgsql as $$
begin
  insert into public.audit (what) values (tg_table_name || ' ' || tg_op || ' ' || tg_level);
  return null;
end
$$;
create function touch() returns trigger language plpgsql as $$
begin
  insert into public.audit (what) values (tg_table_name || ' touched');
  return new;
end
$$;
do $$
declare watched regclass;
begin
  for watched in
    select oid from pg_class
    where relnamespace = 'public'::regnamespace and relkind = 'r' and relname like 'mason%'
  loop
    execute format('create trigger audit_rows after insert or update or delete on %s
      for each row execute function audit()', watched);
    execute format('create trigger audit_statements after insert or update or delete or truncate on %s
      for each statement execute function audit()', watched);
    execute format('create trigger touch before insert or update on %s for each row execute function touch()', watched);
  end loop;
end
$$;
"""
"""Triggers of the user's on every table, which leave a trace when they fire."""

DASHBOARD = """
do $$
declare opened text;
begin
  foreach opened in array array['mason_users', 'mason_github_repositories', 'mason_pm_backlog_items'] loop
    continue when to_regclass(opened) is null;
    execute format('alter table %I enable row level security', opened);
    execute format('drop policy if exists %I on %I', 'Allow all on ' || opened, opened);
    execute format('create policy %I on %I for all using (true) with check (true)', 'Allow all on ' || opened, opened);
  end loop;
  if to_regclass('mason_pm_backlog_items') is not null then
    alter table mason_pm_backlog_items drop constraint if exists mason_pm_backlog_items_type_check;
    alter table mason_pm_backlog_items add constraint mason_pm_backlog_items_type_check check (type in (
      'feature', 'ui', 'ux', 'api', 'data', 'security', 'performance', 'code-quality',
      'dashboard', 'discovery', 'auth', 'backend'));
  end if;
end
$$;
"""
"""What the dashboard runs again whenever a page is opened."""
