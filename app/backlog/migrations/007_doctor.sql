-- What `mason doctor` asks a database about itself, for callers that have no SQL but only function calls.

create or replace function mason_doctor(args jsonb) returns jsonb
language sql volatile security invoker
set search_path from current
as $$
  with ours as (
    select c.oid, c.relname::text as name, c.relrowsecurity, c.relreplident
    from pg_class c
    where c.relnamespace = current_schema()::regnamespace
      and c.relkind in ('r', 'p')
      and starts_with(c.relname, 'mason_')
      and c.relname <> 'mason_migrations'  -- which everybody may read
  ),
  open_tables as (
    -- A table is open when anon has a grant, and row security is off or a policy that holds for anon lets every row pass.
    select o.name
    from ours o
    join pg_roles anon on anon.rolname = 'anon'
    where has_table_privilege(anon.oid, o.oid, 'select, insert, update, delete')
      and (
        not o.relrowsecurity
        or exists (
          select from pg_policy p, unnest(p.polroles) as holder (role)
          where p.polrelid = o.oid
            and p.polpermissive
            and (holder.role = 0 or pg_has_role(anon.oid, holder.role, 'usage'))
            and 'true' in (pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
        )
      )
  )
  select jsonb_build_array(jsonb_build_object(
    'server_time', clock_timestamp(),
    'migrations', (
      select coalesce(jsonb_object_agg(m.name, m.checksum), '{}') from mason_migrations m where m.checksum is not null
    ),
    'publication', exists (select from pg_publication where pubname = 'supabase_realtime'),
    'live', (
      select coalesce(jsonb_agg(t.tablename order by t.tablename), '[]') from pg_publication_tables t
      where t.pubname = 'supabase_realtime' and t.schemaname = current_schema()
    ),
    'replica_full', (select coalesce(jsonb_agg(o.name order by o.name), '[]') from ours o where o.relreplident = 'f'),
    'has_anon', exists (select from pg_roles where rolname = 'anon'),
    'open_to_anon', (select coalesce(jsonb_agg(t.name order by t.name), '[]') from open_tables t)
  ))
$$;
