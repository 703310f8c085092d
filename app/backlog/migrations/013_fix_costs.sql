-- Lets an event say what was spent on an item outside of its runs, as by a fix of its pull request.

-- note_events: Events of items that still exist, each written once. What is spent has the database's time, by which
-- spent_since counts it.
create or replace function mason_note_events(args jsonb) returns void
language sql volatile security invoker set search_path from current
as $$
  insert into mason_item_events (id, item_id, event_type, old_value, new_value, notes, created_at, cost_usd)
  select e.id, e.item_id, e.event_type, e.old_value, e.new_value, e.notes,
         case when e.cost_usd is null then e.created_at else now() end, e.cost_usd
  from jsonb_populate_recordset(null::mason_item_events, args -> 'rows') e
  where exists (select from mason_pm_backlog_items i where i.id = e.item_id)
  on conflict (id) do nothing
$$;
