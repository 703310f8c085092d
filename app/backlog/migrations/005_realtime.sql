-- Realtime for the dashboard: whole rows, in the publication where there is one.

alter table mason_execution_progress replica identity full;
alter table mason_pm_backlog_items replica identity full;

do $$
declare
  live_table text;
begin
  foreach live_table in array array['mason_execution_progress', 'mason_pm_backlog_items'] loop
    continue when not exists (select from pg_publication where pubname = 'supabase_realtime' and not puballtables);
    continue when exists (
      select from pg_publication_tables
      where pubname = 'supabase_realtime' and schemaname = current_schema() and tablename = live_table
    );
    begin
      execute format('alter publication supabase_realtime add table %I', live_table);
    exception when insufficient_privilege then
      -- Somebody else's publication; `mason migrate` and `mason doctor` tell what is missing.
      raise log 'mason: % could not be added to supabase_realtime', live_table;
    end;
  end loop;
end
$$;
