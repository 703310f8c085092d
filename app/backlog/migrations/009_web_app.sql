-- Adds what the web app asks: what waits, a person's decisions, what was spent, how runs are doing; fences used once.

alter table mason_item_events
  add column if not exists execution_run_id uuid,
  add column if not exists execution_attempt integer,
  add column if not exists attempts_before integer,
  add column if not exists cost_usd double precision;

create index if not exists mason_events_by_cost on mason_item_events (created_at) where cost_usd > 0;
create index if not exists mason_runs_in_progress on mason_remote_execution_runs (started_at)
  where status = 'in_progress';

-- places: Which repository an item is of, by its repository_id (contracts §1, Whose items): null stands for the only
-- connected one, for a nameless one where none is connected, and for none where several are.
create or replace function mason_places() returns table (repository_id uuid, full_name text)
language sql stable security invoker set search_path from current
as $$
  select r.id, r.github_full_name from mason_github_repositories r where r.github_full_name is not null
  union all
  select null, min(r.github_full_name) from mason_github_repositories r
  having count(distinct lower(r.github_full_name)) <= 1
$$;

-- waiting_items: All approved items with their repositories, the most important first; age is in seconds since the
-- approval, null where that is not known. Their PRDs and results stay behind: there may be thousands, looked at each
-- minute.
create or replace function mason_waiting_items(args jsonb) returns jsonb
language sql stable security invoker set search_path from current
as $$
  select coalesce(
    jsonb_agg(
      jsonb_build_object('item', to_jsonb(w), 'repository', p.full_name, 'age', case
        when isfinite(w.approved_at) and w.approved_at <= clock_timestamp()
        then extract(epoch from clock_timestamp() - w.approved_at)
      end)
      order by w.priority_score desc nulls last, w.created_at, w.id
    ),
    '[]'
  )
  from (
    select i.id, i.created_at, i.repository_id, i.title, i.status, i.problem, i.solution, i.type, i.area, i.complexity,
           i.priority_score, i.evidence_status, i.evidence_summary, i.branch_name, i.pr_url, i.approved_digest,
           i.approved_at, i.execution_attempt, i.execution_run_id, i.failed_base, i.failure_reason, i.skip_reason,
           i.tags
    from mason_pm_backlog_items i
    where i.status = 'approved'
  ) w
  join mason_places() p on p.repository_id is not distinct from w.repository_id
$$;

-- item_of: An item, if it is of this repository.
create or replace function mason_item_of(args jsonb) returns jsonb
language sql stable security invoker set search_path from current
as $$
  select coalesce(jsonb_agg(to_jsonb(i)), '[]')
  from mason_pm_backlog_items i
  join mason_places() p on p.repository_id is not distinct from i.repository_id
  where i.id = (args ->> 'item')::uuid
    and (p.full_name is null or lower(p.full_name) = lower(args ->> 'repository'))
$$;

-- item_of_branch: The newest item of this repository that names this branch.
create or replace function mason_item_of_branch(args jsonb) returns jsonb
language sql stable security invoker set search_path from current
as $$
  select coalesce(jsonb_agg(to_jsonb(newest)), '[]')
  from (
    select i.*
    from mason_pm_backlog_items i
    join mason_places() p on p.repository_id is not distinct from i.repository_id
    where i.branch_name = args ->> 'branch'
      and (p.full_name is null or lower(p.full_name) = lower(args ->> 'repository'))
    order by i.created_at desc, i.id desc
    limit 1
  ) newest
$$;

-- approve: A person approves an item; the trigger stamps it. One that is approved already has its waiting for another
-- base lifted. Held also when it was done before, whatever became of the item since.
create or replace function mason_approve(args jsonb) returns jsonb
language sql volatile security invoker set search_path from current
as $$
  with found as (
    select i.*
    from mason_pm_backlog_items i
    where i.id = (args ->> 'item')::uuid and i.status in ('new', 'deferred', 'rejected', 'approved')
    for no key update of i
  ),
  moved as (
    update mason_pm_backlog_items i
    set status = 'approved', failure_reason = null, skip_reason = null, failed_base = null, validation_passed = null,
        updated_at = now()
    from found
    where i.id = found.id and (found.status <> 'approved' or found.failed_base is not null)
    returning i.*
  ),
  noted as (
    insert into mason_item_events (id, item_id, event_type, old_value, new_value)
    select (args ->> 'event')::uuid, f.id, 'status_changed', f.status, 'approved'
    from found f
    where f.status <> 'approved'
    on conflict (id) do nothing
  ),
  hidden as (
    delete from mason_execution_progress p using found f where p.item_id = f.id and f.status <> 'approved'
  ),
  shown as (
    select to_jsonb(m) as item from moved m
    union all
    select to_jsonb(f) from found f where not exists (select from moved)
    union all
    select to_jsonb(i)
    from mason_pm_backlog_items i
    join mason_item_events e on e.item_id = i.id and e.id = (args ->> 'event')::uuid
    where not exists (select from found)
  )
  select coalesce(jsonb_agg(s.item), '[]') from shown s
$$;

-- defer: A person puts an item off. Held also when it was done before, whatever became of the item since.
create or replace function mason_defer(args jsonb) returns jsonb
language sql volatile security invoker set search_path from current
as $$
  with found as (
    select i.id, i.status
    from mason_pm_backlog_items i
    where i.id = (args ->> 'item')::uuid and i.status in ('new', 'approved', 'rejected')
    for no key update of i
  ),
  moved as (
    update mason_pm_backlog_items i
    set status = 'deferred', skip_reason = args ->> 'reason', failure_reason = null, failed_base = null,
        validation_passed = null, updated_at = now()
    from found
    where i.id = found.id
    returning i.*
  ),
  noted as (
    insert into mason_item_events (id, item_id, event_type, old_value, new_value, notes)
    select (args ->> 'event')::uuid, f.id, 'status_changed', f.status, 'deferred', args ->> 'reason'
    from found f
    on conflict (id) do nothing
  ),
  hidden as (
    delete from mason_execution_progress p using found f where p.item_id = f.id
  ),
  shown as (
    select to_jsonb(m) as item from moved m
    union all
    select to_jsonb(i)
    from mason_pm_backlog_items i
    join mason_item_events e on e.item_id = i.id and e.id = (args ->> 'event')::uuid
    where not exists (select from found)
  )
  select coalesce(jsonb_agg(s.item), '[]') from shown s
$$;

-- spent_since: US dollars that items of a repository have cost that were settled in the last hours, every time counted.
create or replace function mason_spent_since(args jsonb) returns jsonb
language sql stable security invoker set search_path from current
as $$
  select jsonb_build_array(jsonb_build_object('spent', coalesce(sum(least(e.cost_usd, 1e9)), 0)))
  from mason_item_events e
  join mason_pm_backlog_items i on i.id = e.item_id
  join mason_places() p on p.repository_id is not distinct from i.repository_id
  where e.cost_usd > 0
    and e.created_at > now() - make_interval(secs => (args ->> 'hours')::double precision * 3600)
    and (p.full_name is null or lower(p.full_name) = lower(args ->> 'repository'))
$$;

-- open_runs: Mason's runs (they have a row in both tables) that have not ended, oldest first.
create or replace function mason_open_runs(args jsonb) returns jsonb
language sql stable security invoker set search_path from current
as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', r.id) order by r.started_at, r.id), '[]')
  from mason_remote_execution_runs r
  join mason_pm_execution_runs p on p.id = r.id
  where r.status = 'in_progress'
$$;

-- run: A run as it was opened, and how it is doing.
create or replace function mason_run(args jsonb) returns jsonb
language sql stable security invoker set search_path from current
as $$
  select coalesce(
    jsonb_agg(jsonb_build_object(
      'id', r.id, 'base_branch', r.base_branch, 'base_commit', p.base_commit, 'planned', p.planned,
      'items', to_jsonb(r.item_ids), 'status', r.status
    )),
    '[]'
  )
  from mason_remote_execution_runs r
  join mason_pm_execution_runs p on p.id = r.id
  where r.id = (args ->> 'run')::uuid
$$;

-- items_of_run: The items of a run in its order, whatever their status.
create or replace function mason_items_of_run(args jsonb) returns jsonb
language sql stable security invoker set search_path from current
as $$
  select coalesce(jsonb_agg(to_jsonb(i) order by array_position(r.item_ids, i.id)), '[]')
  from mason_remote_execution_runs r
  join mason_pm_backlog_items i on i.id = any (r.item_ids)
  where r.id = (args ->> 'run')::uuid
$$;

-- claim: Take an approved item, if nobody else did. `again` also finds our own claim whose answer was lost. A run that
-- had the item before, and gave it back or had it approved anew, gets a greater number than it has used: who held it
-- then must not pass for who holds it now.
create or replace function mason_claim(args jsonb) returns jsonb
language plpgsql volatile security invoker set search_path from current
as $$
declare
  fence integer;
  taken jsonb;
begin
  -- Locked before the numbers are read, so that no claim of this run can come between.
  perform from mason_pm_backlog_items i where i.id = (args ->> 'item')::uuid for no key update;

  select greatest((args ->> 'attempt')::integer, max(e.execution_attempt) + 1)
  into fence
  from mason_item_events e
  where e.item_id = (args ->> 'item')::uuid and e.execution_run_id = (args ->> 'run')::uuid;

  with claimed as (
    update mason_pm_backlog_items i
    set status = 'in_progress',
        execution_run_id = (args ->> 'run')::uuid,
        execution_attempt = case when i.status = 'approved' then fence else i.execution_attempt end,
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
            and i.execution_attempt >= (args ->> 'attempt')::integer and i.claimed_by = args ->> 'claimed_by')
      )
    returning i.*
  ),
  noted as (
    insert into mason_item_events
      (id, item_id, event_type, old_value, new_value, execution_run_id, execution_attempt, attempts_before)
    select (args ->> 'event')::uuid, c.id, 'status_changed', 'approved', 'in_progress', c.execution_run_id,
           c.execution_attempt, (args ->> 'attempt')::integer - 1
    from claimed c
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
       p.item_id, p.run_id, c.execution_attempt, p.current_phase, p.current_wave, p.total_waves, p.wave_status,
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
  select coalesce(jsonb_agg(to_jsonb(c)), '[]') into taken from claimed c;

  return taken;
end
$$;

-- settle: End a claim: move the item, note it with what it cost, finish or remove its progress row. Held also when it
-- was done before.
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
