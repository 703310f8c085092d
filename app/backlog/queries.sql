-- Every statement that Mason sends to a backlog database. A section is "-- name: what it does"; `queries.py` reads it.
-- Rows come back, and go in, as JSON documents that Postgres fits to the table's own column types: a column may be
-- text in one generation of the tables and uuid, integer or jsonb in another (contracts §1).

-- approved_items: The approved items of one repository, the most important first (contracts §1, Whose items).
select to_jsonb(i) as item
from mason_pm_backlog_items i
where i.status = 'approved'
  and (
    i.repository_id in (
      select r.id from mason_github_repositories r where lower(r.github_full_name) = lower(%(repository)s::text)
    )
    or (
      i.repository_id is null
      and (select count(distinct lower(r.github_full_name)) from mason_github_repositories r) <= 1
    )
  )
order by i.priority_score desc nulls last, i.created_at, i.id

-- items: These items, whatever their status.
select to_jsonb(i) as item
from mason_pm_backlog_items i
where i.id = any (%(ids)s::uuid[])

-- add_item: An item as a person wrote it, for the repository with this name where it is connected.
with place as (
  select r.id, r.user_id
  from mason_github_repositories r
  where lower(r.github_full_name) = lower(%(repository)s::text)
  order by r.id
  limit 1
)
insert into mason_pm_backlog_items
  (id, user_id, repository_id, title, problem, solution, area, type, complexity, impact_score, effort_score, status,
   prd_content, evidence_status, evidence_summary, source)
select n.id, place.user_id, place.id, n.title, n.problem, n.solution, n.area, n.type, n.complexity, n.impact_score,
       n.effort_score, n.status, n.prd_content, n.evidence_status, n.evidence_summary, 'mason'
from jsonb_populate_record(null::mason_pm_backlog_items, %(own)s::jsonb) n
left join place on true
on conflict (id) do nothing

-- branch_owner: The item that had this branch first.
select i.id
from mason_pm_backlog_items i
where i.branch_name = %(branch)s
order by i.created_at, i.id
limit 1

-- open_run: One run, one row in each of the two tables, so that every generation's foreign keys hold.
with place as (
  select r.id, r.user_id
  from mason_github_repositories r
  where lower(r.github_full_name) = lower(%(repository)s::text)
  order by r.id in (select i.repository_id from mason_pm_backlog_items i where i.id = any (%(items)s::uuid[])) desc, r.id
  limit 1
),
remote as (
  insert into mason_remote_execution_runs
    (id, user_id, repository_id, item_ids, item_count, base_branch, status, started_at)
  select %(run)s::uuid, place.user_id, place.id, %(items)s::uuid[], cardinality(%(items)s::uuid[]),
         %(base_branch)s::text, 'in_progress', clock_timestamp()
  from (select) as always
  left join place on true
  on conflict (id) do nothing
)
insert into mason_pm_execution_runs (id, item_count, status, started_at)
values (%(run)s::uuid, cardinality(%(items)s::uuid[]), 'in_progress', clock_timestamp())
on conflict (id) do nothing

-- close_run: How a run ended, in both tables.
with remote as (
  update mason_remote_execution_runs r
  set status = %(status)s, completed_at = now(), error_message = %(error)s, item_count = %(items)s,
      success_count = %(succeeded)s, failure_count = %(failed)s, item_results = %(item_results)s::jsonb,
      validation_summary = %(summary)s::jsonb, total_fix_iterations = %(fix_iterations)s
  where r.id = %(run)s
)
update mason_pm_execution_runs r
set status = %(status)s, completed_at = now(), error_message = %(error)s, item_count = %(items)s,
    tasks_completed = %(tasks)s, validation_summary = %(summary)s::jsonb, total_fix_iterations = %(fix_iterations)s
where r.id = %(run)s

-- claim: Take an approved item, if nobody else did. `again` also finds our own claim whose answer was lost.
with claimed as (
  update mason_pm_backlog_items i
  set status = 'in_progress',
      execution_run_id = %(run)s,
      execution_attempt = %(attempt)s,
      claimed_by = %(claimed_by)s,
      heartbeat_at = clock_timestamp(),
      branch_name = %(branch)s,
      approved_digest = coalesce(i.approved_digest, mason_approval_digest(
        i.title, coalesce(i.problem, ''), coalesce(i.solution, ''), coalesce(i.type, ''), i.prd_content)),
      failure_reason = null, skip_reason = null, failed_base = null,
      validation_passed = null, validation_iterations = null,
      updated_at = now()
  where i.id = %(item)s
    and (
      (i.status = 'approved' and i.execution_attempt = %(attempt)s - 1)
      or (%(again)s and i.status = 'in_progress' and i.execution_run_id = %(run)s
          and i.execution_attempt = %(attempt)s and i.claimed_by = %(claimed_by)s)
    )
  returning i.*
),
noted as (
  insert into mason_item_events (id, item_id, event_type, old_value, new_value)
  select %(event)s::uuid, c.id, 'status_changed', 'approved', 'in_progress' from claimed c
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
  cross join jsonb_populate_record(null::mason_execution_progress, %(progress)s::jsonb) p
  where (select count(*) from cleared) >= 0
  on conflict (item_id) do update
  set run_id = excluded.run_id, execution_attempt = excluded.execution_attempt, started_at = excluded.started_at
)
select to_jsonb(c) as item from claimed c

-- heartbeat: Renew leases with the database's clock; the rows that still match their fence.
with ours as (
  select i.id
  from mason_pm_backlog_items i
  join unnest(%(items)s::uuid[], %(runs)s::uuid[], %(attempts)s::integer[]) as c (item, run, attempt) on i.id = c.item
  where i.status = 'in_progress' and i.execution_run_id = c.run and i.execution_attempt = c.attempt
  order by i.id
  for no key update of i
)
update mason_pm_backlog_items i
set heartbeat_at = clock_timestamp()
from ours
where i.id = ours.id
returning i.id

-- claimed_now: Every claim of Mason's, and whether its lease ran out.
select i.id, i.title, i.execution_run_id as run, i.execution_attempt as attempt, i.claimed_by,
       coalesce(i.heartbeat_at < clock_timestamp() - %(lease)s::interval, true) as expired
from mason_pm_backlog_items i
where i.status = 'in_progress' and i.claimed_by is not null

-- take_back: End dead claims that are still the ones we saw, unless they were renewed meanwhile.
with lost as (
  select i.id, i.execution_run_id as run, i.execution_attempt >= %(most)s as rejected, c.event
  from mason_pm_backlog_items i
  join unnest(
    %(items)s::uuid[], %(runs)s::uuid[], %(attempts)s::integer[], %(claimants)s::text[], %(gone)s::boolean[],
    %(events)s::uuid[]
  ) as c (item, run, attempt, claimed_by, gone, event) on i.id = c.item
  where i.status = 'in_progress' and i.execution_run_id is not distinct from c.run
    and i.execution_attempt = c.attempt and i.claimed_by = c.claimed_by
    and (c.gone or coalesce(i.heartbeat_at < clock_timestamp() - %(lease)s::interval, true))
  order by i.id
  for no key update of i
),
moved as (
  update mason_pm_backlog_items i
  set status = case when lost.rejected then 'rejected' else 'approved' end,
      failure_reason = case when lost.rejected then %(reason)s::text end,
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
select m.id, m.title, m.run, m.rejected from moved m

-- end_lost_runs: Close Mason's runs (they have a row in both tables) that nobody works for any more.
with ended as (
  update mason_remote_execution_runs r
  set status = 'failed', completed_at = now(), error_message = 'The runner was lost.'
  where r.status = 'in_progress'
    and (r.id = any (%(runs)s::uuid[]) or r.started_at < clock_timestamp() - %(lease)s::interval)
    and exists (select from mason_pm_execution_runs p where p.id = r.id)
    and not exists (
      select from mason_pm_backlog_items i where i.execution_run_id = r.id and i.status = 'in_progress'
    )
  returning r.id
)
update mason_pm_execution_runs p
set status = 'failed', completed_at = now(), error_message = 'The runner was lost.'
from ended
where p.id = ended.id

-- settle: End a claim: move the item, note it, finish or remove its progress row. True also when it was done before.
with moved as (
  update mason_pm_backlog_items i
  set status = %(status)s,
      execution_attempt = i.execution_attempt - case when %(given_back)s then 1 else 0 end,
      execution_run_id = case when %(given_back)s then null else i.execution_run_id end,
      claimed_by = null, heartbeat_at = null,
      failure_reason = %(failure_reason)s, skip_reason = %(skip_reason)s, failed_base = %(failed_base)s,
      validation_passed = %(passed)s, validation_iterations = %(iterations)s,
      branch_name = coalesce(%(branch)s, i.branch_name), pr_url = coalesce(%(pull_request)s, i.pr_url),
      updated_at = now()
  where i.id = %(item)s and i.execution_run_id = %(run)s and i.execution_attempt = %(attempt)s
    and i.status = 'in_progress'
  returning i.id
),
noted as (
  insert into mason_item_events (id, item_id, event_type, old_value, new_value, notes)
  select e.id, m.id, e.event_type, e.old_value, e.new_value, e.notes
  from moved m
  cross join jsonb_populate_recordset(null::mason_item_events, %(events)s::jsonb) e
  on conflict (id) do nothing
),
hidden as (
  delete from mason_execution_progress p using moved m where p.item_id = m.id and %(hide)s
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
  cross join jsonb_populate_record(null::mason_execution_progress, %(progress)s::jsonb) p
  where not %(hide)s
  on conflict (item_id) do update
  set run_id = excluded.run_id, execution_attempt = excluded.execution_attempt,
      -- A failed item's phase and checkpoint stay where it failed.
      current_phase = case when %(succeeded)s then excluded.current_phase else kept.current_phase end,
      wave_status = case when %(succeeded)s then excluded.wave_status else kept.wave_status end,
      checkpoint_index = greatest(kept.checkpoint_index, excluded.checkpoint_index),
      checkpoint_total = excluded.checkpoint_total,
      current_task = excluded.current_task, checkpoint_message = excluded.checkpoint_message,
      validation_typescript = excluded.validation_typescript, validation_eslint = excluded.validation_eslint,
      validation_build = excluded.validation_build, validation_tests = excluded.validation_tests,
      validation_smoke_test = coalesce(nullif(excluded.validation_smoke_test, 'pending'), kept.validation_smoke_test),
      updated_at = excluded.updated_at, completed_at = excluded.completed_at
)
select exists (select from moved) or exists (select from mason_item_events e where e.id = %(event)s) as held

-- store_prd: A PRD that Mason wrote, digested anew as part of what is approved.
with stored as (
  update mason_pm_backlog_items i
  set prd_content = %(prd)s, prd_generated_at = now(), updated_at = now(),
      approved_digest = mason_approval_digest(
        i.title, coalesce(i.problem, ''), coalesce(i.solution, ''), coalesce(i.type, ''), %(prd)s)
  where i.id = %(item)s and i.execution_run_id = %(run)s and i.execution_attempt = %(attempt)s
    and i.status = 'in_progress'
  returning i.id
),
noted as (
  insert into mason_item_events (id, item_id, event_type)
  select %(event)s::uuid, s.id, 'prd_generated' from stored s
  on conflict (id) do nothing
)
select exists (select from stored) as held

-- create_follow_up: A copy of an item for a person, with its own words; nothing when the fence fell.
with original as (
  select i.*
  from mason_pm_backlog_items i
  where i.id = %(item)s and i.execution_run_id = %(run)s and i.execution_attempt = %(attempt)s
    and i.status in ('in_progress', 'rejected')
),
created as (
  insert into mason_pm_backlog_items
    (id, user_id, repository_id, title, problem, solution, area, type, complexity, impact_score, effort_score, tags,
     status)
  select n.id, n.user_id, n.repository_id, n.title, n.problem, n.solution, n.area, n.type, n.complexity,
         n.impact_score, n.effort_score, n.tags, 'new'
  from original o
  cross join jsonb_populate_record(null::mason_pm_backlog_items, to_jsonb(o) || %(own)s::jsonb) n
  on conflict (id) do nothing
)
select exists (select from original) as held

-- save_progress: The newest state of each row, an upsert. A settled item takes only the row that says how it ended.
with fenced as (
  select p.*
  from jsonb_populate_recordset(null::mason_execution_progress, %(rows)s::jsonb) p
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

-- save_tasks: The newest state of each task, fenced by its item's run and attempt, settled or not.
insert into mason_pm_execution_tasks as kept
  (id, run_id, item_id, wave_number, task_number, description, subagent_type, status, error_message, started_at,
   completed_at)
select t.id, t.run_id, t.item_id, t.wave_number, t.task_number, t.description, t.subagent_type, t.status,
       t.error_message, t.started_at, t.completed_at
from jsonb_array_elements(%(rows)s::jsonb) as given (doc)
cross join jsonb_populate_record(null::mason_pm_execution_tasks, given.doc) t
join mason_pm_backlog_items i on i.id = t.item_id
where i.execution_run_id = t.run_id and i.execution_attempt = (given.doc ->> 'execution_attempt')::integer
on conflict (id) do update
set status = excluded.status, error_message = excluded.error_message,
    started_at = coalesce(excluded.started_at, kept.started_at), completed_at = excluded.completed_at

-- save_iterations: Fix iterations, each written once.
insert into mason_pm_validation_iterations
  (id, run_id, item_id, execution_attempt, iteration_number, checks_passed, checks_failed, passed, tried,
   failure_details, created_at)
select n.id, n.run_id, n.item_id, n.execution_attempt, n.iteration_number, n.checks_passed, n.checks_failed, n.passed,
       n.tried, n.failure_details, n.created_at
from jsonb_populate_recordset(null::mason_pm_validation_iterations, %(rows)s::jsonb) n
join mason_pm_backlog_items i on i.id = n.item_id
where i.execution_run_id = n.run_id and i.execution_attempt = n.execution_attempt
on conflict (id) do nothing

-- append_logs: Log rows, each written once.
insert into mason_execution_logs (id, execution_run_id, log_level, message, metadata, created_at)
select l.id, l.execution_run_id, l.log_level, l.message, l.metadata, l.created_at
from jsonb_populate_recordset(null::mason_execution_logs, %(rows)s::jsonb) l
on conflict (id) do nothing

-- note_events: Events of items that still exist, each written once.
insert into mason_item_events (id, item_id, event_type, old_value, new_value, notes, created_at)
select e.id, e.item_id, e.event_type, e.old_value, e.new_value, e.notes, e.created_at
from jsonb_populate_recordset(null::mason_item_events, %(rows)s::jsonb) e
where exists (select from mason_pm_backlog_items i where i.id = e.item_id)
on conflict (id) do nothing
