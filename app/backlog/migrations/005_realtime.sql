-- Realtime for the dashboard: whole rows, in the publication where there is one.

do $$
declare
  live_table text;
  covering record;
  whole_rows boolean;
begin
  foreach live_table in array array['mason_execution_progress', 'mason_pm_backlog_items'] loop
    if exists (select from pg_publication where pubname = 'supabase_realtime' and not puballtables)
       and not exists (
         select from pg_publication_tables
         where pubname = 'supabase_realtime' and schemaname = current_schema() and tablename = live_table
       )
    then
      begin
        execute format('alter publication supabase_realtime add table %I', live_table);
      exception when insufficient_privilege then
        -- Somebody else's publication; `mason migrate` and `mason doctor` tell what is missing.
        raise log 'mason: % could not be added to supabase_realtime', live_table;
      end;
    end if;

    -- Postgres refuses every UPDATE and DELETE on a table of full replica identity that is published with some columns
    -- only, be it by a list of columns or, since version 18, without its generated ones. An item can be changed first,
    -- and be seen whole second.
    whole_rows := true;
    for covering in
      select p.pubname, p.pubname = 'supabase_realtime' as ours,
             exists (
               select from pg_publication_rel r
               where r.prpubid = p.oid and r.prrelid = to_regclass(live_table) and r.prattrs is not null
             ) as by_list,
             coalesce(to_jsonb(p) ->> 'pubgencols' = 'n', false) and exists (
               select from pg_attribute a
               where a.attrelid = to_regclass(live_table) and a.attgenerated = 's' and not a.attisdropped
             ) as without_generated
      from pg_publication p
      join pg_publication_tables t on t.pubname = p.pubname
      where t.schemaname = current_schema() and t.tablename = live_table and (p.pubupdate or p.pubdelete)
    loop
      if covering.without_generated and covering.ours and not covering.by_list then
        begin
          alter publication supabase_realtime set (publish_generated_columns = stored);
        exception when insufficient_privilege then
          whole_rows := false;
        end;
      elsif covering.without_generated or covering.by_list then
        whole_rows := false;
      end if;
    end loop;
    if whole_rows then
      execute format('alter table %I replica identity full', live_table);
    end if;
  end loop;
end
$$;
