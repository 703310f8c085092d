-- Adds what is read of runs to be shown: what each item left to look at, the order of the log, and reading all of it.

-- What became of an item in a run. It is no column of the item: dashboards read and follow those rows whole, and an item
-- that goes on to another run is still shown as this one had it.
do $$
declare
  grantee name;
begin
  if to_regclass('mason_pm_execution_results') is null then
    create table mason_pm_execution_results (
      run_id uuid not null references mason_pm_execution_runs (id) on delete cascade,
      item_id uuid not null references mason_pm_backlog_items (id) on delete cascade,
      execution_attempt integer not null,
      created_at timestamptz not null default now(),
      started_at timestamptz,
      result jsonb not null,
      evidence jsonb not null default '{}',
      diff text not null default '',
      primary key (run_id, item_id)
    );
    alter table mason_pm_execution_results enable row level security;
    for grantee in select rolname from pg_roles where rolname in ('anon', 'authenticated', 'service_role') loop
      -- Supabase gives away more by itself, TRUNCATE included, which row level security does not see.
      execute format('revoke all on mason_pm_execution_results from %I', grantee);
      execute format('grant select, insert, update, delete on mason_pm_execution_results to %I', grantee);
    end loop;
  end if;
end
$$;

create index if not exists mason_results_by_item on mason_pm_execution_results (item_id);

-- The number of a line in its run's log, by which it is read: clocks differ, and lines come late. 0: from before.
alter table mason_execution_logs
  add column if not exists line bigint not null default 0;

create index if not exists mason_logs_in_order on mason_execution_logs
  (execution_run_id, line, (coalesce(created_at, '-infinity'::timestamptz)), id);
create index if not exists mason_runs_by_start on mason_remote_execution_runs
  ((coalesce(started_at, '-infinity'::timestamptz)), id);

-- ready: The ledger's entries, and the tables that this role cannot use: no grant, or row security without a policy.
create or replace function mason_ready(args jsonb) returns jsonb
language sql stable security invoker set search_path from current
as $$
  with denied as (
    select c.relname as name
    from pg_class c
    where c.relnamespace = current_schema()::regnamespace
      and c.relname in (
        'mason_pm_backlog_items', 'mason_pm_execution_runs', 'mason_remote_execution_runs', 'mason_execution_logs',
        'mason_execution_progress', 'mason_pm_execution_tasks', 'mason_pm_validation_iterations', 'mason_item_events',
        'mason_pm_execution_results', 'mason_migrations'
      )
      and (
        not has_table_privilege(c.oid, 'select')
        or (c.relname <> 'mason_migrations' and not has_table_privilege(c.oid, 'insert'))
        or (
          row_security_active(c.oid)
          and not exists (
            select from pg_policy p
            where p.polrelid = c.oid and p.polpermissive
              and exists (select from unnest(p.polroles) as r (id) where r.id = 0 or pg_has_role(r.id, 'usage'))
          )
        )
      )
  )
  select jsonb_build_array(jsonb_build_object(
    'role', current_user,
    'denied', (select coalesce(jsonb_agg(d.name order by d.name), '[]') from denied d),
    'applied', (
      select coalesce(jsonb_object_agg(m.name, m.checksum), '{}') from mason_migrations m where m.checksum is not null
    )
  ))
$$;

-- append_logs: Log rows, each written once, numbered in the order in which they become visible: writers of one run's log
-- wait for each other, so whoever has read a line has missed none before it.
create or replace function mason_append_logs(args jsonb) returns void
language plpgsql volatile security invoker set search_path from current
as $$
begin
  perform pg_advisory_xact_lock(hashtextextended('mason log ' || writes.run, 0))
  from (
    select distinct given.doc ->> 'execution_run_id' as run
    from jsonb_array_elements(args -> 'rows') as given (doc)
    where given.doc ->> 'execution_run_id' is not null
    order by 1
  ) writes;

  with added as (
    select given.place, l.*
    from jsonb_array_elements(args -> 'rows') with ordinality as given (doc, place)
    cross join jsonb_populate_record(null::mason_execution_logs, given.doc) l
  ),
  ends as (
    select a.run, coalesce(
      (
        -- Beyond that are no numbers of ours: whoever writes one there ends the log of no run.
        select k.line from mason_execution_logs k
        where k.execution_run_id = a.run and k.line < 1000000000000000000
        order by k.line desc
        limit 1
      ),
      0
    ) as line
    from (select distinct execution_run_id as run from added) a
  )
  insert into mason_execution_logs (id, execution_run_id, log_level, message, metadata, created_at, line)
  select a.id, a.execution_run_id, a.log_level, a.message, a.metadata, a.created_at,
         e.line + row_number() over (partition by a.execution_run_id order by a.place)
  from added a
  join ends e on e.run is not distinct from a.execution_run_id
  on conflict (id) do nothing;
end
$$;

-- settle: End a claim: move the item, note it with what it cost, keep what it left to look at, finish or remove its
-- progress row. Held also when it was done before.
create or replace function mason_settle(args jsonb) returns jsonb
language sql volatile security invoker set search_path from current
as $$
  with moved as (
    update mason_pm_backlog_items i
    set status = args ->> 'status',
        execution_attempt = case when (args ->> 'given_back')::boolean
          then coalesce(
            (
              select min(e.attempts_before)
              from mason_item_events e
              where e.item_id = i.id and e.execution_run_id = i.execution_run_id
                and e.execution_attempt = i.execution_attempt
            ),
            i.execution_attempt - 1
          )
          else i.execution_attempt end,
        execution_run_id = case when (args ->> 'given_back')::boolean then null else i.execution_run_id end,
        claimed_by = null, heartbeat_at = null,
        failure_reason = args ->> 'failure_reason', skip_reason = args ->> 'skip_reason',
        failed_base = args ->> 'failed_base', execution_result = args -> 'result',
        validation_passed = (args ->> 'passed')::boolean,
        validation_iterations = (args ->> 'iterations')::integer,
        branch_name = coalesce(args ->> 'branch', i.branch_name),
        pr_url = coalesce(args ->> 'pull_request', i.pr_url),
        updated_at = now()
    where i.id = (args ->> 'item')::uuid and i.execution_run_id = (args ->> 'run')::uuid
      and i.execution_attempt = (args ->> 'attempt')::integer and i.status = 'in_progress'
    returning i.id
  ),
  noted as (
    insert into mason_item_events
      (id, created_at, item_id, event_type, old_value, new_value, notes, execution_run_id, execution_attempt, cost_usd)
    select e.id, now(), m.id, e.event_type, e.old_value, e.new_value, e.notes, e.execution_run_id, e.execution_attempt,
           e.cost_usd
    from moved m
    cross join jsonb_populate_recordset(null::mason_item_events, args -> 'events') e
    on conflict (id) do nothing
  ),
  looked_at as (
    insert into mason_pm_execution_results
      (run_id, item_id, execution_attempt, created_at, started_at, result, evidence, diff)
    select r.id, m.id, (args ->> 'attempt')::integer, clock_timestamp(), p.started_at,
           coalesce(args -> 'result', '{}'), coalesce(args -> 'evidence', '{}'), coalesce(args ->> 'diff', '')
    from moved m
    join mason_pm_execution_runs r on r.id = (args ->> 'run')::uuid
    left join mason_execution_progress p on p.item_id = m.id and p.run_id::text = args ->> 'run'
    on conflict (run_id, item_id) do update
    set execution_attempt = excluded.execution_attempt, created_at = excluded.created_at,
        started_at = excluded.started_at, result = excluded.result, evidence = excluded.evidence, diff = excluded.diff
  ),
  hidden as (
    delete from mason_execution_progress p using moved m where p.item_id = m.id and args ->> 'progress' is null
  ),
  shown as (
    insert into mason_execution_progress as kept
      (item_id, run_id, execution_attempt, current_phase, wave_status, current_task, checkpoint_index, checkpoint_total,
       checkpoint_message, checkpoints_completed, validation_typescript, validation_eslint, validation_build,
       validation_tests, validation_smoke_test, started_at, updated_at, completed_at)
    select
       p.item_id, p.run_id, p.execution_attempt, p.current_phase, p.wave_status, p.current_task, p.checkpoint_index,
       p.checkpoint_total, p.checkpoint_message, p.checkpoints_completed, p.validation_typescript, p.validation_eslint,
       p.validation_build, p.validation_tests, p.validation_smoke_test, clock_timestamp(), now(), now()
    from moved m
    cross join jsonb_populate_record(null::mason_execution_progress, args -> 'progress') p
    where args ->> 'progress' is not null
    on conflict (item_id) do update
    set run_id = excluded.run_id, execution_attempt = excluded.execution_attempt,
        -- A failed item's phase and checkpoint stay where it failed.
        current_phase =
          case when (args ->> 'succeeded')::boolean then excluded.current_phase else kept.current_phase end,
        wave_status = case when (args ->> 'succeeded')::boolean then excluded.wave_status else kept.wave_status end,
        checkpoint_index = greatest(kept.checkpoint_index, excluded.checkpoint_index),
        checkpoint_total = excluded.checkpoint_total,
        current_task = excluded.current_task, checkpoint_message = excluded.checkpoint_message,
        validation_typescript = excluded.validation_typescript, validation_eslint = excluded.validation_eslint,
        validation_build = excluded.validation_build, validation_tests = excluded.validation_tests,
        validation_smoke_test =
          coalesce(nullif(excluded.validation_smoke_test, 'pending'), kept.validation_smoke_test),
        updated_at = excluded.updated_at, completed_at = excluded.completed_at
  )
  select jsonb_build_array(jsonb_build_object('held',
    exists (select from moved) or exists (select from mason_item_events e where e.id = (args ->> 'event')::uuid)))
$$;

-- run_line: One run as it stands in a list. Who ended it without counting has counted nothing.
create or replace function mason_run_line(run uuid) returns jsonb
language sql stable security invoker set search_path from current
as $$
  select jsonb_build_object(
    'id', r.id, 'status', r.status, 'base_branch', left(r.base_branch, 1000), 'base_commit', left(p.base_commit, 100),
    'repository', left(g.github_full_name, 1000), 'reason', left(r.error_message, 4000),
    'items', coalesce(r.item_count, cardinality(r.item_ids)),
    'succeeded', greatest(r.success_count, ended.succeeded), 'failed', greatest(r.failure_count, ended.failed),
    'started_at', r.started_at, 'completed_at', r.completed_at
  )
  from mason_remote_execution_runs r
  join mason_pm_execution_runs p on p.id = r.id
  left join mason_github_repositories g on g.id = r.repository_id
  cross join lateral (
    select count(*) filter (where s.result ->> 'verdict' in ('completed', 'already_resolved')) as succeeded,
           count(*) filter (where s.result ->> 'verdict' = 'rejected') as failed
    from mason_pm_execution_results s
    where s.run_id = r.id
  ) ended
  where r.id = run
$$;

-- run_lines: Mason's newest runs (they have a row in both tables), at most `limit`, older than the run `before`.
create or replace function mason_run_lines(args jsonb) returns jsonb
language plpgsql stable security invoker set search_path from current
as $$
declare
  start_before timestamptz := 'infinity';
  id_before uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
  lines jsonb;
begin
  if args ->> 'before' is not null then
    select coalesce(r.started_at, '-infinity'), r.id
    into start_before, id_before
    from mason_remote_execution_runs r
    where r.id = (args ->> 'before')::uuid;
    if not found then
      return jsonb_build_array(jsonb_build_object('known', false));
    end if;
  end if;

  select coalesce(jsonb_agg(mason_run_line(newest.id) order by newest.start desc, newest.id desc), '[]')
  into lines
  from (
    select r.id, coalesce(r.started_at, '-infinity') as start
    from mason_remote_execution_runs r
    join mason_pm_execution_runs p on p.id = r.id
    where (coalesce(r.started_at, '-infinity'), r.id) < (start_before, id_before)
    order by coalesce(r.started_at, '-infinity') desc, r.id desc
    limit (args ->> 'limit')::integer
  ) newest;
  return jsonb_build_array(jsonb_build_object('known', true, 'lines', lines));
end
$$;

-- run_view: A run, its items in its order (or the one that is asked for), and what became of them. The items share the
-- `room` for their diffs, in characters. Documents come as text, so that one that nobody can read (too deep, with a
-- number too long, or cut because it is longer than any that Mason writes) keeps nobody from the others;
-- and all of it is json, because there is much and none of it is looked into here.
create or replace function mason_run_view(args jsonb) returns json
language sql stable security invoker set search_path from current
as $$
  with members as materialized (
    select m.id, min(m.place) as place
    from mason_remote_execution_runs r
    cross join unnest(r.item_ids) with ordinality as m (id, place)
    where r.id = (args ->> 'run')::uuid and (args ->> 'item' is null or m.id = (args ->> 'item')::uuid)
    group by m.id
    order by place
    limit 1000
  ),
  shares as (
    select (args ->> 'room')::integer / greatest(count(*), 1)::integer as room from members
  )
  select coalesce(json_agg(json_build_object(
    'run', shown.line,
    'seen_at', clock_timestamp(),
    'room', (select room from shares),
    'items', (
      select coalesce(json_agg(json_build_object(
        'id', i.id, 'title', left(i.title, 1000), 'type', left(i.type, 100), 'status', i.status,
        'run', i.execution_run_id, 'attempt', i.execution_attempt,
        'failure_reason', left(i.failure_reason, 4000), 'skip_reason', left(i.skip_reason, 4000),
        'branch', left(i.branch_name, 1000), 'pull_request', left(i.pr_url, 2000), 'updated_at', i.updated_at,
        'progress', case when p.item_id is not null then
          json_build_object(
            'current_phase', p.current_phase, 'current_wave', p.current_wave, 'total_waves', p.total_waves,
            'current_task', left(p.current_task, 4000), 'current_file', left(p.current_file, 1000),
            'tasks_completed', p.tasks_completed, 'tasks_total', p.tasks_total, 'fix_iteration', p.fix_iteration,
            'validation_typescript', p.validation_typescript, 'validation_eslint', p.validation_eslint,
            'validation_build', p.validation_build, 'validation_tests', p.validation_tests,
            'validation_smoke_test', p.validation_smoke_test,
            'checkpoint_index', p.checkpoint_index, 'checkpoint_total', p.checkpoint_total,
            'checkpoints', case
              when jsonb_typeof(to_jsonb(p.checkpoints_completed)) = 'array'
              then jsonb_array_length(to_jsonb(p.checkpoints_completed))
            end,
            'started_at', p.started_at, 'updated_at', p.updated_at, 'completed_at', p.completed_at
          )
        end,
        'result', case
          when s.item_id is not null then left(s.result::text, 2000000)
          when i.execution_result ->> 'run' = args ->> 'run' then left(i.execution_result::text, 2000000)
        end,
        'evidence', left(s.evidence::text, 2000000), 'diff', left(s.diff, shares.room), 'diff_length', length(s.diff),
        'result_attempt', s.execution_attempt, 'started_at', s.started_at, 'ended_at', s.created_at,
        'began_at', (
          select min(e.created_at) from mason_item_events e
          where e.item_id = i.id and e.event_type = 'branch_created'
            and e.created_at >= coalesce(p.started_at, s.started_at)
            and (s.created_at is null or i.status = 'in_progress' or e.created_at <= s.created_at)
        )
      ) order by m.place), '[]')
      from members m
      join mason_pm_backlog_items i on i.id = m.id
      cross join shares
      left join mason_execution_progress p on p.item_id = i.id and p.run_id::text = args ->> 'run'
      left join mason_pm_execution_results s on s.item_id = i.id and s.run_id = (args ->> 'run')::uuid
    ),
    'tasks', (
      select coalesce(json_agg(to_json(t) order by t.wave_number, t.task_number), '[]')
      from (
        select t.item_id, t.wave_number, t.task_number, left(t.description, 1000) as description, t.subagent_type,
               t.status, left(t.error_message, 2000) as error_message, t.started_at, t.completed_at
        from mason_pm_execution_tasks t
        join members m on m.id = t.item_id
        where t.run_id = (args ->> 'run')::uuid
        limit 10000
      ) t
    ),
    'iterations', (
      select coalesce(json_agg(to_json(n) order by n.execution_attempt, n.iteration_number), '[]')
      from (
        select n.item_id, n.execution_attempt, n.iteration_number, n.passed, left(n.tried, 2000) as tried,
               left(n.failure_details::text, 500000) as failure_details, n.created_at
        from mason_pm_validation_iterations n
        join members m on m.id = n.item_id
        where n.run_id = (args ->> 'run')::uuid
        limit 2000
      ) n
    )
  )), '[]')
  from (select mason_run_line((args ->> 'run')::uuid) as line) shown
  where shown.line is not null
$$;

-- run_version: A text that is another one after any row was written that a run is shown by.
create or replace function mason_run_version(args jsonb) returns jsonb
language sql stable security invoker set search_path from current
as $$
  select coalesce(jsonb_agg(jsonb_build_object('version', left(encode(sha256(convert_to(concat_ws(' ',
    r.xmin, p.xmin,
    (select concat_ws('/', count(*), sum(i.xmin::text::bigint))
     from mason_pm_backlog_items i where i.id = any (r.item_ids)),
    (select concat_ws('/', count(*), sum(g.xmin::text::bigint))
     from mason_execution_progress g where g.item_id = any (r.item_ids)),
    (select concat_ws('/', count(*), sum(s.xmin::text::bigint))
     from mason_pm_execution_results s where s.run_id = r.id),
    (select concat_ws('/', count(*), sum(t.xmin::text::bigint))
     from mason_pm_execution_tasks t where t.run_id = r.id),
    (select concat_ws('/', count(*), sum(n.xmin::text::bigint))
     from mason_pm_validation_iterations n where n.item_id = any (r.item_ids) and n.run_id = r.id),
    (select l.id
     from mason_execution_logs l
     where l.execution_run_id = r.id
     order by l.line desc, coalesce(l.created_at, '-infinity') desc, l.id desc
     limit 1)
  ), 'UTF8')), 'hex'), 32))), '[]')
  from mason_remote_execution_runs r
  join mason_pm_execution_runs p on p.id = r.id
  where r.id = (args ->> 'run')::uuid
$$;

-- log_lines: At most `limit` lines of a run's log behind the line `after`, or its newest; of one item, where it is named.
-- `next` is the last line of the page, and of the whole log where there is no more to be found.
create or replace function mason_log_lines(args jsonb) returns json
language plpgsql stable security invoker set search_path from current
as $$
declare
  wanted constant uuid := (args ->> 'run')::uuid;
  most constant integer := (args ->> 'limit')::integer;
  about constant text := args ->> 'item';
  newest constant boolean := coalesce((args ->> 'newest')::boolean, false);
  line_before bigint := -1;
  time_before timestamptz := '-infinity';
  id_before uuid := '00000000-0000-0000-0000-000000000000';
  ids uuid[];
  page json;
  last uuid;
begin
  if args ->> 'after' is not null then
    select l.line, coalesce(l.created_at, '-infinity'), l.id
    into line_before, time_before, id_before
    from mason_execution_logs l
    where l.id = (args ->> 'after')::uuid and l.execution_run_id = wanted;
    if not found then
      return json_build_array(json_build_object('known', false));
    end if;
  end if;

  if newest then
    select array_agg(shown.id order by shown.line, shown.at, shown.id)
    into ids
    from (
      select l.line, coalesce(l.created_at, '-infinity') as at, l.id
      from mason_execution_logs l
      where l.execution_run_id = wanted and (about is null or l.metadata ->> 'item_id' = about)
      order by l.line desc, coalesce(l.created_at, '-infinity') desc, l.id desc
      limit most
    ) shown;
  else
    select array_agg(shown.id order by shown.line, shown.at, shown.id)
    into ids
    from (
      select l.line, coalesce(l.created_at, '-infinity') as at, l.id
      from mason_execution_logs l
      where l.execution_run_id = wanted
        and (l.line, coalesce(l.created_at, '-infinity'), l.id) > (line_before, time_before, id_before)
        and (about is null or l.metadata ->> 'item_id' = about)
      order by l.line, coalesce(l.created_at, '-infinity'), l.id
      limit most + 1
    ) shown;
  end if;

  select coalesce(json_agg(json_build_object(
    'id', l.id, 'log_level', l.log_level, 'created_at', l.created_at, 'item_id', l.metadata ->> 'item_id',
    'message', case when length(l.message) > 4000 then left(l.message, 3999) || '…' else l.message end
  ) order by l.line, coalesce(l.created_at, '-infinity'), l.id), '[]')
  into page
  from mason_execution_logs l
  where l.id = any (ids[:most]);

  if cardinality(ids) > most then
    return json_build_array(json_build_object('known', true, 'lines', page, 'next', ids[most], 'more', true));
  end if;
  select l.id
  into last
  from mason_execution_logs l
  where l.execution_run_id = wanted
  order by l.line desc, coalesce(l.created_at, '-infinity') desc, l.id desc
  limit 1;
  return json_build_array(json_build_object('known', true, 'lines', page, 'next', last, 'more', false));
end
$$;
