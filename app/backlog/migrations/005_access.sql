-- The default access profile (the owner's own database: the anon key works) and realtime for the dashboard.

do $$
declare
  open_table name;
begin
  for open_table in
    select c.relname
    from pg_class c
    where c.relnamespace = current_schema()::regnamespace
      and c.relkind in ('r', 'p')
      and c.relname in (
        'mason_users', 'mason_github_repositories', 'mason_pm_backlog_items', 'mason_pm_execution_runs',
        'mason_remote_execution_runs', 'mason_execution_logs', 'mason_execution_progress',
        'mason_pm_execution_tasks', 'mason_pm_validation_iterations', 'mason_item_events', 'mason_migrations'
      )
      and not exists (select from pg_policy p where p.polrelid = c.oid)
  loop
    -- The dashboard replaces policies of this name by its own, so there is never a second one.
    execute format('create policy %I on %I for all using (true) with check (true)',
                   'Allow all on ' || open_table, open_table);
  end loop;
end
$$;

alter table mason_execution_progress replica identity full;
alter table mason_pm_backlog_items replica identity full;

do $$
declare
  live_table text;
begin
  foreach live_table in array array['mason_execution_progress', 'mason_pm_backlog_items'] loop
    continue when not exists (select from pg_publication where pubname = 'supabase_realtime' and not puballtables);
    continue when exists (
      select from pg_publication_rel r
      join pg_publication p on p.oid = r.prpubid
      where p.pubname = 'supabase_realtime' and r.prrelid = live_table::regclass
    );
    execute format('alter publication supabase_realtime add table %I', live_table);
  end loop;
end
$$;
