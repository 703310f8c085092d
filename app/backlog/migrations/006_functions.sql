-- Installs the functions through which Mason reads and writes: one for each call of the backlog.

-- They are the same for every way in. One jsonb object goes in and a jsonb array of rows comes back, or nothing.
-- Postgres fits the documents to the tables' own column types: a column may be text in one generation and uuid, integer
-- or jsonb in another (contracts §1). One array instead of a set of rows, because an API's limit on rows would cut a
-- set short without a word. Their caller's rights decide what they may do.

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
        'mason_migrations'
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

-- rule: The columns that a CHECK constraint looks at and what it asks for, to tell a person which value was refused.
create or replace function mason_rule(args jsonb) returns jsonb
language sql stable security invoker set search_path from current
as $$
  select coalesce(jsonb_agg(jsonb_build_object('column', a.attname, 'rule', pg_get_constraintdef(c.oid))), '[]')
  from pg_constraint c
  join pg_class t on t.oid = c.conrelid
  join pg_attribute a on a.attrelid = c.conrelid and a.attnum = any (c.conkey)
  where t.relnamespace = current_schema()::regnamespace
    and t.relname = args ->> 'table' and c.conname = args ->> 'constraint'
$$;

-- approved_items: The approved items of one repository, the most important first (contracts §1, Whose items).
create or replace function mason_approved_items(args jsonb) returns jsonb
language sql stable security invoker set search_path from current
as $$
  select coalesce(jsonb_agg(to_jsonb(i) order by i.priority_score desc nulls last, i.created_at, i.id), '[]')
  from mason_pm_backlog_items i
  where i.status = 'approved'
    and (
      i.repository_id in (
        select r.id from mason_github_repositories r where lower(r.github_full_name) = lower(args ->> 'repository')
      )
      or (
        i.repository_id is null
        and (select count(distinct lower(r.github_full_name)) from mason_github_repositories r) <= 1
      )
    )
$$;

-- items: These items, whatever their status.
create or replace function mason_items(args jsonb) returns jsonb
language sql stable security invoker set search_path from current
as $$
  select coalesce(jsonb_agg(to_jsonb(i)), '[]')
  from mason_pm_backlog_items i
  where i.id in (select wanted.id::uuid from jsonb_array_elements_text(args -> 'ids') as wanted (id))
$$;

-- add_item: An item as a person wrote it, for the repository with this name where it is connected.
create or replace function mason_add_item(args jsonb) returns void
language sql volatile security invoker set search_path from current
as $$
  with place as (
    select r.id, r.user_id
    from mason_github_repositories r
    where lower(r.github_full_name) = lower(args ->> 'repository')
    order by r.id
    limit 1
  )
  insert into mason_pm_backlog_items
    (id, user_id, repository_id, title, problem, solution, area, type, complexity, impact_score, effort_score, status,
     prd_content, evidence_status, evidence_summary, source)
  select n.id, place.user_id, place.id, n.title, n.problem, n.solution, n.area, n.type, n.complexity, n.impact_score,
         n.effort_score, n.status, n.prd_content, n.evidence_status, n.evidence_summary, 'mason'
  from jsonb_populate_record(null::mason_pm_backlog_items, args -> 'own') n
  left join place on true
  on conflict (id) do nothing
$$;

-- branch_owner: The item that had this branch first.
create or replace function mason_branch_owner(args jsonb) returns jsonb
language sql stable security invoker set search_path from current
as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', first.id)), '[]')
  from (
    select i.id
    from mason_pm_backlog_items i
    where i.branch_name = args ->> 'branch'
    order by i.created_at, i.id
    limit 1
  ) first
$$;

-- open_run: One run, one row in each of the two tables, so that every generation's foreign keys hold.
create or replace function mason_open_run(args jsonb) returns void
language sql volatile security invoker set search_path from current
as $$
  with chosen as (
    select array(select given.id::uuid from jsonb_array_elements_text(args -> 'items') as given (id)) as ids
  ),
  place as (
    select r.id, r.user_id
    from mason_github_repositories r
    cross join chosen
    where lower(r.github_full_name) = lower(args ->> 'repository')
    order by r.id in (select i.repository_id from mason_pm_backlog_items i where i.id = any (chosen.ids)) desc, r.id
    limit 1
  ),
  remote as (
    insert into mason_remote_execution_runs
      (id, user_id, repository_id, item_ids, item_count, base_branch, status, started_at)
    select (args ->> 'run')::uuid, place.user_id, place.id, chosen.ids, cardinality(chosen.ids),
           args ->> 'base_branch', 'in_progress', clock_timestamp()
    from chosen
    left join place on true
    on conflict (id) do nothing
  )
  insert into mason_pm_execution_runs (id, item_count, status, started_at)
  select (args ->> 'run')::uuid, cardinality(chosen.ids), 'in_progress', clock_timestamp()
  from chosen
  on conflict (id) do nothing
$$;

-- close_run: How a run ended, in both tables.
create or replace function mason_close_run(args jsonb) returns void
language sql volatile security invoker set search_path from current
as $$
  with remote as (
    update mason_remote_execution_runs r
    set status = args ->> 'status', completed_at = now(), error_message = args ->> 'error',
        item_count = (args ->> 'items')::integer, success_count = (args ->> 'succeeded')::integer,
        failure_count = (args ->> 'failed')::integer, item_results = args -> 'item_results',
        validation_summary = args -> 'summary', total_fix_iterations = (args ->> 'fix_iterations')::integer
    where r.id = (args ->> 'run')::uuid
  )
  update mason_pm_execution_runs r
  set status = args ->> 'status', completed_at = now(), error_message = args ->> 'error',
      item_count = (args ->> 'items')::integer, tasks_completed = (args ->> 'tasks')::integer,
      validation_summary = args -> 'summary', total_fix_iterations = (args ->> 'fix_iterations')::integer
  where r.id = (args ->> 'run')::uuid
$$;

-- claim: Take an approved item, if nobody else did. `again` also finds our own claim whose answer was lost.
create or replace function mason_claim(args jsonb) returns jsonb
language sql volatile security invoker set search_path from current
as $$
  with claimed as (
    update mason_pm_backlog_items i
    set status = 'in_progress',
        execution_run_id = (args ->> 'run')::uuid,
        execution_attempt = (args ->> 'attempt')::integer,
        claimed_by = args ->> 'claimed_by',
        heartbeat_at = clock_timestamp(),
        branch_name = args ->> 'branch',
        approved_digest = coalesce(i.approved_digest, mason_approval_digest(
          i.title, coalesce(i.problem, ''), coalesce(i.solution, ''), coalesce(i.type, ''), i.prd_content)),
        failure_reason = null, skip_reason = null, failed_base = null,
        validation_passed = null, validation_iterations = null,
        updated_at = now()
    where i.id = (args ->> 'item')::uuid
      and (
        (i.status = 'approved' and i.execution_attempt = (args ->> 'attempt')::integer - 1)
        or ((args ->> 'again')::boolean and i.status = 'in_progress'
            and i.execution_run_id = (args ->> 'run')::uuid
            and i.execution_attempt = (args ->> 'attempt')::integer and i.claimed_by = args ->> 'claimed_by')
      )
    returning i.*
  ),
  noted as (
    insert into mason_item_events (id, item_id, event_type, old_value, new_value)
    select (args ->> 'event')::uuid, c.id, 'status_changed', 'approved', 'in_progress' from claimed c
    on conflict (id) do nothing
  ),
  -- The dashboard's window opens on an INSERT, so the row of an earlier attempt, or the dashboard's own, makes room.
  cleared as (
    delete from mason_execution_progress p using claimed c where p.item_id = c.id returning p.item_id
  ),
  shown as (
    insert into mason_execution_progress
      (item_id, run_id, execution_attempt, current_phase, current_wave, total_waves, wave_status, current_task,
       current_file, tasks_completed, tasks_total, fix_iteration, checkpoint_index, checkpoint_total,
       checkpoint_message, checkpoints_completed, validation_typescript, validation_eslint, validation_build,
       validation_tests, validation_smoke_test, started_at, updated_at, completed_at)
    select
       p.item_id, p.run_id, p.execution_attempt, p.current_phase, p.current_wave, p.total_waves, p.wave_status,
       p.current_task, p.current_file, p.tasks_completed, p.tasks_total, p.fix_iteration, p.checkpoint_index,
       p.checkpoint_total, p.checkpoint_message, p.checkpoints_completed, p.validation_typescript,
       p.validation_eslint, p.validation_build, p.validation_tests, p.validation_smoke_test,
       clock_timestamp(), now(), p.completed_at
    from claimed c
    cross join jsonb_populate_record(null::mason_execution_progress, args -> 'progress') p
    where (select count(*) from cleared) >= 0
    on conflict (item_id) do update
    set run_id = excluded.run_id, execution_attempt = excluded.execution_attempt, started_at = excluded.started_at
  )
  select coalesce(jsonb_agg(to_jsonb(c)), '[]') from claimed c
$$;

-- heartbeat: Renew leases with the database's clock; the claims that still match their fence.
create or replace function mason_heartbeat(args jsonb) returns jsonb
language sql volatile security invoker set search_path from current
as $$
  with ours as (
    select i.id
    from mason_pm_backlog_items i
    join jsonb_to_recordset(args -> 'claims') as c (item uuid, run uuid, attempt integer) on i.id = c.item
    where i.status = 'in_progress' and i.execution_run_id = c.run and i.execution_attempt = c.attempt
    order by i.id
    for no key update of i
  ),
  renewed as (
    update mason_pm_backlog_items i
    set heartbeat_at = clock_timestamp()
    from ours
    where i.id = ours.id
    returning i.id
  )
  select coalesce(jsonb_agg(jsonb_build_object('id', r.id)), '[]') from renewed r
$$;

-- claimed_now: Every claim of Mason's, and whether its lease ran out.
create or replace function mason_claimed_now(args jsonb) returns jsonb
language sql volatile security invoker set search_path from current
as $$
  select coalesce(
    jsonb_agg(jsonb_build_object(
      'item', i.id, 'run', i.execution_run_id, 'attempt', i.execution_attempt, 'claimed_by', i.claimed_by,
      'expired', coalesce(
        i.heartbeat_at < clock_timestamp() - make_interval(secs => (args ->> 'lease')::double precision), true)
    )),
    '[]'
  )
  from mason_pm_backlog_items i
  where i.status = 'in_progress' and i.claimed_by is not null
$$;

-- take_back: End dead claims that are still the ones we saw, unless they were renewed meanwhile; then close Mason's
-- runs (they have a row in both tables) that nobody works for any more.
create or replace function mason_take_back(args jsonb) returns jsonb
language plpgsql volatile security invoker set search_path from current
as $$
declare
  oldest constant timestamptz := clock_timestamp() - make_interval(secs => (args ->> 'lease')::double precision);
  taken jsonb;
begin
  with lost as (
    select i.id, i.execution_run_id as run, i.execution_attempt >= (args ->> 'most')::integer as rejected, c.event
    from mason_pm_backlog_items i
    join jsonb_to_recordset(args -> 'claims')
      as c (item uuid, run uuid, attempt integer, claimed_by text, gone boolean, event uuid) on i.id = c.item
    where i.status = 'in_progress' and i.execution_run_id is not distinct from c.run
      and i.execution_attempt = c.attempt and i.claimed_by = c.claimed_by
      and (c.gone or coalesce(i.heartbeat_at < oldest, true))
    order by i.id
    for no key update of i
  ),
  moved as (
    update mason_pm_backlog_items i
    set status = case when lost.rejected then 'rejected' else 'approved' end,
        failure_reason = case when lost.rejected then args ->> 'reason' end,
        validation_passed = case when lost.rejected then false end,
        execution_run_id = null, claimed_by = null, heartbeat_at = null, updated_at = now()
    from lost
    where i.id = lost.id
    returning i.id, i.title, lost.run, lost.rejected, lost.event
  ),
  noted as (
    insert into mason_item_events (id, item_id, event_type, old_value, new_value, notes)
    select m.event, m.id, 'status_changed', 'in_progress', case when m.rejected then 'rejected' else 'approved' end,
           'The runner was lost.'
    from moved m
    on conflict (id) do nothing
  ),
  hidden as (
    delete from mason_execution_progress p using moved m where p.item_id = m.id
  )
  select coalesce(
    jsonb_agg(jsonb_build_object('item', m.id, 'title', m.title, 'run', m.run, 'rejected', m.rejected)), '[]')
  into taken
  from moved m;

  with ended as (
    update mason_remote_execution_runs r
    set status = 'failed', completed_at = now(), error_message = 'The runner was lost.'
    where r.status = 'in_progress'
      and (
        r.started_at < oldest
        or r.id in (select (t.claim ->> 'run')::uuid from jsonb_array_elements(taken) as t (claim))
      )
      and exists (select from mason_pm_execution_runs p where p.id = r.id)
      and not exists (
        select from mason_pm_backlog_items i where i.execution_run_id = r.id and i.status = 'in_progress'
      )
    returning r.id
  )
  update mason_pm_execution_runs p
  set status = 'failed', completed_at = now(), error_message = 'The runner was lost.'
  from ended
  where p.id = ended.id;

  return taken;
end
$$;

-- settle: End a claim: move the item, note it, finish or remove its progress row. Held also when it was done before.
create or replace function mason_settle(args jsonb) returns jsonb
language sql volatile security invoker set search_path from current
as $$
  with moved as (
    update mason_pm_backlog_items i
    set status = args ->> 'status',
        execution_attempt = i.execution_attempt - case when (args ->> 'given_back')::boolean then 1 else 0 end,
        execution_run_id = case when (args ->> 'given_back')::boolean then null else i.execution_run_id end,
        claimed_by = null, heartbeat_at = null,
        failure_reason = args ->> 'failure_reason', skip_reason = args ->> 'skip_reason',
        failed_base = args ->> 'failed_base', validation_passed = (args ->> 'passed')::boolean,
        validation_iterations = (args ->> 'iterations')::integer,
        branch_name = coalesce(args ->> 'branch', i.branch_name),
        pr_url = coalesce(args ->> 'pull_request', i.pr_url),
        updated_at = now()
    where i.id = (args ->> 'item')::uuid and i.execution_run_id = (args ->> 'run')::uuid
      and i.execution_attempt = (args ->> 'attempt')::integer and i.status = 'in_progress'
    returning i.id
  ),
  noted as (
    insert into mason_item_events (id, item_id, event_type, old_value, new_value, notes)
    select e.id, m.id, e.event_type, e.old_value, e.new_value, e.notes
    from moved m
    cross join jsonb_populate_recordset(null::mason_item_events, args -> 'events') e
    on conflict (id) do nothing
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

-- store_prd: A PRD that Mason wrote, digested anew as part of what is approved.
create or replace function mason_store_prd(args jsonb) returns jsonb
language sql volatile security invoker set search_path from current
as $$
  with stored as (
    update mason_pm_backlog_items i
    set prd_content = args ->> 'prd', prd_generated_at = now(), updated_at = now(),
        approved_digest = mason_approval_digest(
          i.title, coalesce(i.problem, ''), coalesce(i.solution, ''), coalesce(i.type, ''), args ->> 'prd')
    where i.id = (args ->> 'item')::uuid and i.execution_run_id = (args ->> 'run')::uuid
      and i.execution_attempt = (args ->> 'attempt')::integer and i.status = 'in_progress'
    returning i.id
  ),
  noted as (
    insert into mason_item_events (id, item_id, event_type)
    select (args ->> 'event')::uuid, s.id, 'prd_generated' from stored s
    on conflict (id) do nothing
  )
  select jsonb_build_array(jsonb_build_object('held', exists (select from stored)))
$$;

-- create_follow_up: A copy of an item for a person, with its own words; nothing when the fence fell.
create or replace function mason_create_follow_up(args jsonb) returns jsonb
language sql volatile security invoker set search_path from current
as $$
  with original as (
    select i.*
    from mason_pm_backlog_items i
    where i.id = (args ->> 'item')::uuid and i.execution_run_id = (args ->> 'run')::uuid
      and i.execution_attempt = (args ->> 'attempt')::integer and i.status in ('in_progress', 'rejected')
  ),
  created as (
    insert into mason_pm_backlog_items
      (id, user_id, repository_id, title, problem, solution, area, type, complexity, impact_score, effort_score, tags,
       status)
    select n.id, n.user_id, n.repository_id, n.title, n.problem, n.solution, n.area, n.type, n.complexity,
           n.impact_score, n.effort_score, n.tags, 'new'
    from original o
    cross join jsonb_populate_record(null::mason_pm_backlog_items, to_jsonb(o) || (args -> 'own')) n
    on conflict (id) do nothing
  )
  select jsonb_build_array(jsonb_build_object('held', exists (select from original)))
$$;

-- save_progress: The newest state of each row, an upsert. A settled item takes only the row that says how it ended.
create or replace function mason_save_progress(args jsonb) returns void
language sql volatile security invoker set search_path from current
as $$
  with fenced as (
    select p.*
    from jsonb_populate_recordset(null::mason_execution_progress, args -> 'rows') p
    join mason_pm_backlog_items i on i.id = p.item_id
    where i.execution_run_id::text = p.run_id::text and i.execution_attempt = p.execution_attempt
      and (i.status = 'in_progress' or (i.status in ('completed', 'rejected') and p.completed_at is not null))
    order by i.id
    for share of i
  )
  insert into mason_execution_progress
    (item_id, run_id, execution_attempt, current_phase, current_wave, total_waves, wave_status, current_task,
     current_file, tasks_completed, tasks_total, fix_iteration, checkpoint_index, checkpoint_total,
     checkpoint_message, checkpoints_completed, validation_typescript, validation_eslint, validation_build,
     validation_tests, validation_smoke_test, started_at, updated_at, completed_at)
  select
     p.item_id, p.run_id, p.execution_attempt, p.current_phase, p.current_wave, p.total_waves, p.wave_status,
     p.current_task, p.current_file, p.tasks_completed, p.tasks_total, p.fix_iteration, p.checkpoint_index,
     p.checkpoint_total, p.checkpoint_message, p.checkpoints_completed, p.validation_typescript,
     p.validation_eslint, p.validation_build, p.validation_tests, p.validation_smoke_test,
     clock_timestamp(), now(), p.completed_at
  from fenced p
  on conflict (item_id) do update
  set run_id = excluded.run_id, execution_attempt = excluded.execution_attempt,
      current_phase = excluded.current_phase, current_wave = excluded.current_wave,
      total_waves = excluded.total_waves, wave_status = excluded.wave_status,
      current_task = excluded.current_task, current_file = excluded.current_file,
      tasks_completed = excluded.tasks_completed, tasks_total = excluded.tasks_total,
      fix_iteration = excluded.fix_iteration, checkpoint_index = excluded.checkpoint_index,
      checkpoint_total = excluded.checkpoint_total, checkpoint_message = excluded.checkpoint_message,
      checkpoints_completed = excluded.checkpoints_completed,
      validation_typescript = excluded.validation_typescript, validation_eslint = excluded.validation_eslint,
      validation_build = excluded.validation_build, validation_tests = excluded.validation_tests,
      validation_smoke_test = excluded.validation_smoke_test,
      updated_at = excluded.updated_at, completed_at = excluded.completed_at
$$;

-- save_tasks: The newest state of each task, fenced by its item's run and attempt, settled or not.
create or replace function mason_save_tasks(args jsonb) returns void
language sql volatile security invoker set search_path from current
as $$
  insert into mason_pm_execution_tasks as kept
    (id, run_id, item_id, wave_number, task_number, description, subagent_type, status, error_message, started_at,
     completed_at)
  select t.id, t.run_id, t.item_id, t.wave_number, t.task_number, t.description, t.subagent_type, t.status,
         t.error_message, t.started_at, t.completed_at
  from jsonb_array_elements(args -> 'rows') as given (doc)
  cross join jsonb_populate_record(null::mason_pm_execution_tasks, given.doc) t
  join mason_pm_backlog_items i on i.id = t.item_id
  where i.execution_run_id = t.run_id and i.execution_attempt = (given.doc ->> 'execution_attempt')::integer
  on conflict (id) do update
  set status = excluded.status, error_message = excluded.error_message,
      started_at = coalesce(excluded.started_at, kept.started_at), completed_at = excluded.completed_at
$$;

-- save_iterations: Fix iterations, each written once.
create or replace function mason_save_iterations(args jsonb) returns void
language sql volatile security invoker set search_path from current
as $$
  insert into mason_pm_validation_iterations
    (id, run_id, item_id, execution_attempt, iteration_number, checks_passed, checks_failed, passed, tried,
     failure_details, created_at)
  select n.id, n.run_id, n.item_id, n.execution_attempt, n.iteration_number, n.checks_passed, n.checks_failed,
         n.passed, n.tried, n.failure_details, n.created_at
  from jsonb_populate_recordset(null::mason_pm_validation_iterations, args -> 'rows') n
  join mason_pm_backlog_items i on i.id = n.item_id
  where i.execution_run_id = n.run_id and i.execution_attempt = n.execution_attempt
  on conflict (id) do nothing
$$;

-- append_logs: Log rows, each written once.
create or replace function mason_append_logs(args jsonb) returns void
language sql volatile security invoker set search_path from current
as $$
  insert into mason_execution_logs (id, execution_run_id, log_level, message, metadata, created_at)
  select l.id, l.execution_run_id, l.log_level, l.message, l.metadata, l.created_at
  from jsonb_populate_recordset(null::mason_execution_logs, args -> 'rows') l
  on conflict (id) do nothing
$$;

-- note_events: Events of items that still exist, each written once.
create or replace function mason_note_events(args jsonb) returns void
language sql volatile security invoker set search_path from current
as $$
  insert into mason_item_events (id, item_id, event_type, old_value, new_value, notes, created_at)
  select e.id, e.item_id, e.event_type, e.old_value, e.new_value, e.notes, e.created_at
  from jsonb_populate_recordset(null::mason_item_events, args -> 'rows') e
  where exists (select from mason_pm_backlog_items i where i.id = e.item_id)
  on conflict (id) do nothing
$$;
