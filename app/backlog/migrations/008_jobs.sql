-- Adds what runs need whose items are taken by jobs of their own: a pinned commit, taking over, results to collect.

alter table mason_pm_execution_runs
  add column if not exists base_commit text,
  add column if not exists planned boolean not null default false;

alter table mason_pm_backlog_items
  add column if not exists execution_result jsonb;

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
  insert into mason_pm_execution_runs (id, item_count, status, started_at, base_commit, planned)
  select (args ->> 'run')::uuid, cardinality(chosen.ids), 'in_progress', clock_timestamp(),
         args ->> 'base_commit', coalesce((args ->> 'planned')::boolean, false)
  from chosen
  on conflict (id) do nothing
$$;

-- run: A run as it was opened.
create or replace function mason_run(args jsonb) returns jsonb
language sql stable security invoker set search_path from current
as $$
  select coalesce(
    jsonb_agg(jsonb_build_object(
      'id', r.id, 'base_branch', r.base_branch, 'base_commit', p.base_commit, 'planned', p.planned,
      'items', to_jsonb(r.item_ids)
    )),
    '[]'
  )
  from mason_remote_execution_runs r
  join mason_pm_execution_runs p on p.id = r.id
  where r.id = (args ->> 'run')::uuid
$$;

-- take_over: An item that was claimed for a run becomes its runner's, once: a second copy of the job finds it taken.
-- `again` also finds our own taking over whose answer was lost.
create or replace function mason_take_over(args jsonb) returns jsonb
language sql volatile security invoker set search_path from current
as $$
  with taken as (
    update mason_pm_backlog_items i
    set claimed_by = args ->> 'claimed_by', heartbeat_at = clock_timestamp(), updated_at = now()
    where i.id = (args ->> 'item')::uuid and i.status = 'in_progress'
      and i.execution_run_id = (args ->> 'run')::uuid
      and (
        i.claimed_by = args ->> 'from'
        or ((args ->> 'again')::boolean and i.claimed_by = args ->> 'claimed_by')
      )
    returning i.*
  )
  select coalesce(jsonb_agg(to_jsonb(t)), '[]') from taken t
$$;

-- results: How the items of a run ended, as far as they have.
create or replace function mason_results(args jsonb) returns jsonb
language sql stable security invoker set search_path from current
as $$
  select coalesce(jsonb_agg(to_jsonb(i)), '[]')
  from mason_remote_execution_runs r
  join mason_pm_backlog_items i on i.id = any (r.item_ids)
  where r.id = (args ->> 'run')::uuid
$$;

-- claimed_now: Every claim of Mason's, the commit its run started from, and whether its lease ran out.
create or replace function mason_claimed_now(args jsonb) returns jsonb
language sql volatile security invoker set search_path from current
as $$
  select coalesce(
    jsonb_agg(jsonb_build_object(
      'item', i.id, 'run', i.execution_run_id, 'attempt', i.execution_attempt, 'claimed_by', i.claimed_by,
      'base_commit', r.base_commit,
      'expired', coalesce(
        i.heartbeat_at < clock_timestamp() - make_interval(secs => (args ->> 'lease')::double precision), true)
    )),
    '[]'
  )
  from mason_pm_backlog_items i
  left join mason_pm_execution_runs r on r.id = i.execution_run_id
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
        execution_run_id = null, claimed_by = null, heartbeat_at = null, execution_result = null, updated_at = now()
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
      -- A planned run waits for its jobs, and is closed by the last of them; one of yesterday waits for nobody.
      and exists (
        select from mason_pm_execution_runs p
        where p.id = r.id and (not p.planned or p.started_at < clock_timestamp() - interval '1 day')
      )
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
