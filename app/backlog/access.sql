-- Who may use the tables and functions, by the profile in the setting mason.rls: 'default', 'strict', or '' for the one
-- that is in force (at first the default). Run at the end of every migration, in its transaction, and when a person
-- changes the profile. Running it again changes nothing.
--
-- default: the anon key works, as in the dashboard's own tables. A table that has no policy gets one.
-- strict:  service_role and authenticated alone; nothing is left to anon and to everybody.

do $access$
declare
  -- The profile in force is seen at a table that only Mason ever makes.
  was_strict constant boolean := exists (
    select from pg_policy where polname = 'mason_strict' and polrelid = to_regclass('mason_pm_validation_iterations')
  );
  is_strict constant boolean := case current_setting('mason.rls', true)
    when 'strict' then true when 'default' then false else was_strict end;
  known constant text[] := array(
    select rolname::text from pg_roles where rolname in ('anon', 'authenticated', 'service_role') order by 1
  );
  trusted constant text[] := array_remove(known, 'anon');
  ours record;
  role_name text;
  may text;
  allow_all text;
begin
  for ours in
    select c.oid::regclass as id, c.relname, c.relrowsecurity
    from pg_class c
    where c.relnamespace = current_schema()::regnamespace
      and c.relkind in ('r', 'p')
      and c.relname in (
        'mason_users', 'mason_github_repositories', 'mason_pm_backlog_items', 'mason_pm_execution_runs',
        'mason_remote_execution_runs', 'mason_execution_logs', 'mason_execution_progress',
        'mason_pm_execution_tasks', 'mason_pm_validation_iterations', 'mason_item_events',
        'mason_pm_execution_results', 'mason_migrations'
      )
    order by c.relname
  loop
    -- The ledger is for everybody to read and for nobody but its owner to write.
    may := case ours.relname when 'mason_migrations' then 'select' else 'select, insert, update, delete' end;
    -- The dashboard replaces policies of this name by its own, so there is never a second one.
    allow_all := 'Allow all on ' || ours.relname;

    if is_strict then
      if exists (select from pg_policy where polrelid = ours.id and polname = allow_all) then
        execute format('drop policy %I on %s', allow_all, ours.id);
      end if;
      if not ours.relrowsecurity then
        execute format('alter table %s enable row level security', ours.id);
      end if;
      execute format('revoke all on %s from public', ours.id);
      if 'anon' = any (known) then
        execute format('revoke all on %s from anon', ours.id);
      end if;
      foreach role_name in array trusted loop
        execute format('grant %s on %s to %I', may, ours.id, role_name);
      end loop;
      -- A table with policies of the user's own keeps exactly those: one more would only open it.
      if not exists (select from pg_policy where polrelid = ours.id) then
        execute format(
          'create policy mason_strict on %s for %s to %s using (true) %s', ours.id,
          case may when 'select' then may else 'all' end,
          coalesce((select string_agg(quote_ident(name), ', ') from unnest(trusted) as t (name)), 'current_user'),
          case may when 'select' then '' else 'with check (true)' end
        );
      end if;
    else
      if exists (select from pg_policy where polrelid = ours.id and polname = 'mason_strict') then
        execute format('drop policy mason_strict on %s', ours.id);
      end if;
      if was_strict and 'anon' = any (known) then
        execute format('grant %s on %s to anon', may, ours.id);
      end if;
      if not exists (select from pg_policy where polrelid = ours.id) then
        execute format(
          'create policy %I on %s for %s using (true) %s', allow_all, ours.id,
          case may when 'select' then may else 'all' end,
          case may when 'select' then '' else 'with check (true)' end
        );
      end if;
    end if;
  end loop;

  -- Functions may be called by everybody from the moment they are made, unless that is taken back.
  for ours in
    select p.oid, p.oid::regprocedure as id
    from pg_proc p
    where p.pronamespace = current_schema()::regnamespace
      and p.prokind = 'f'
      and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)
      and starts_with(p.proname::text, 'mason_')
      and pg_has_role(p.proowner, 'usage')
  loop
    if is_strict then
      execute format('revoke execute on function %s from public', ours.id);
      if 'anon' = any (known) then
        execute format('revoke execute on function %s from anon', ours.id);
      end if;
    elsif was_strict then
      execute format('grant execute on function %s to public', ours.id);
    end if;
    foreach role_name in array case when is_strict then trusted else known end loop
      if not has_function_privilege(role_name, ours.oid, 'execute') then
        execute format('grant execute on function %s to %I', ours.id, role_name);
      end if;
    end loop;
  end loop;
end
$access$;
