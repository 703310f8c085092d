-- Adds what the web app asks: what waits in all repositories, what a person decides, what was spent.

create index if not exists mason_pm_backlog_items_approved on mason_pm_backlog_items (created_at) where status = 'approved';
create index if not exists mason_pm_backlog_items_claimed on mason_pm_backlog_items (execution_run_id) where status = 'in_progress';

-- waiting_items: The approved items of all repositories, each with its repository's name and the seconds since it was
-- approved. Without a repository of its own it belongs to the only connected one (contracts §1, Whose items).
create or replace function mason_waiting_items(args jsonb) returns jsonb
language sql stable security invoker set search_path from current
as $$
  with connected as (
    select count(distinct lower(r.github_full_name)) as number, min(r.github_full_name) as name
    from mason_github_repositories r
  )
  select coalesce(
    jsonb_agg(
      to_jsonb(i) || jsonb_build_object(
        'waiting_repository', coalesce(r.github_full_name, connected.name),
        'waiting_seconds', extract(epoch from clock_timestamp() - coalesce(i.approved_at, '-infinity'))
      )
      order by i.priority_score desc nulls last, i.created_at, i.id
    ),
    '[]'
  )
  from mason_pm_backlog_items i
  cross join connected
  left join mason_github_repositories r on r.id = i.repository_id
  where i.status = 'approved'
    and (r.github_full_name is not null or (i.repository_id is null and connected.number <= 1))
$$;

-- item_of: An item, if it is of this repository.
create or replace function mason_item_of(args jsonb) returns jsonb
language sql stable security invoker set search_path from current
as $$
  select coalesce(jsonb_agg(to_jsonb(i)), '[]')
  from mason_pm_backlog_items i
  where i.id = (args ->> 'item')::uuid
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

-- item_of_branch: The newest item of this repository that has this branch.
create or replace function mason_item_of_branch(args jsonb) returns jsonb
language sql stable security invoker set search_path from current
as $$
  select coalesce(jsonb_agg(to_jsonb(newest)), '[]')
  from (
    select i.*
    from mason_pm_backlog_items i
    where i.branch_name = args ->> 'branch'
      and (
        i.repository_id in (
          select r.id from mason_github_repositories r where lower(r.github_full_name) = lower(args ->> 'repository')
        )
        or (
          i.repository_id is null
          and (select count(distinct lower(r.github_full_name)) from mason_github_repositories r) <= 1
        )
      )
    order by i.created_at desc, i.id
    limit 1
  ) newest
$$;

-- approve: A person wants this item done: the approval trigger digests it and sets its attempts to nought. Of an approved
-- one, what keeps it waiting is lifted. `again` finds our own approval whose answer was lost: an approved item.
create or replace function mason_approve(args jsonb) returns jsonb
language sql volatile security invoker set search_path from current
as $$
  with before as (
    select i.id, i.status
    from mason_pm_backlog_items i
    where i.id = (args ->> 'item')::uuid and i.status in ('new', 'deferred', 'rejected', 'approved')
    for no key update
  ),
  moved as (
    update mason_pm_backlog_items i
    set status = 'approved', failure_reason = null, skip_reason = null, failed_base = null, validation_passed = null,
        updated_at = now()
    from before
    where i.id = before.id
    returning i.*
  ),
  noted as (
    insert into mason_item_events (id, item_id, event_type, old_value, new_value)
    select (args ->> 'event')::uuid, b.id, 'status_changed', b.status, 'approved'
    from before b
    where b.status <> 'approved'
    on conflict (id) do nothing
  )
  select coalesce(jsonb_agg(to_jsonb(m)), '[]') from moved m
$$;

-- defer: A person wants this item left alone for now. `again` finds our own, whose answer was lost.
create or replace function mason_defer(args jsonb) returns jsonb
language sql volatile security invoker set search_path from current
as $$
  with before as (
    select i.id, i.status
    from mason_pm_backlog_items i
    where i.id = (args ->> 'item')::uuid
      and (i.status in ('new', 'approved', 'rejected') or ((args ->> 'again')::boolean and i.status = 'deferred'))
    for no key update
  ),
  moved as (
    update mason_pm_backlog_items i
    set status = 'deferred', skip_reason = args ->> 'reason', failure_reason = null, updated_at = now()
    from before
    where i.id = before.id
    returning i.*
  ),
  noted as (
    insert into mason_item_events (id, item_id, event_type, old_value, new_value, notes)
    select (args ->> 'event')::uuid, b.id, 'status_changed', b.status, 'deferred', args ->> 'reason'
    from before b
    where b.status <> 'deferred'
    on conflict (id) do nothing
  ),
  hidden as (
    delete from mason_execution_progress p using moved m where p.item_id = m.id
  )
  select coalesce(jsonb_agg(to_jsonb(m)), '[]') from moved m
$$;

-- spent: What the items of a repository that changed in the last hours have cost. A row that somebody else touched
-- meanwhile counts again: the limit errs to the side of spending less.
create or replace function mason_spent(args jsonb) returns jsonb
language sql stable security invoker set search_path from current
as $$
  select jsonb_build_array(jsonb_build_object('dollars', coalesce(sum(
    case when jsonb_typeof(i.execution_result #> '{usage,cost_usd}') = 'number'
      then (i.execution_result #>> '{usage,cost_usd}')::double precision end), 0)))
  from mason_pm_backlog_items i
  where i.execution_result is not null
    and i.updated_at > clock_timestamp() - make_interval(hours => (args ->> 'hours')::integer)
    and (
      i.repository_id in (
        select r.id from mason_github_repositories r where lower(r.github_full_name) = lower(args ->> 'repository')
      )
      or i.repository_id is null
    )
$$;
