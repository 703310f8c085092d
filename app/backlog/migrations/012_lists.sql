-- Adds what people at a terminal ask: the backlog as a list, and which of the items they name are of their repository.

-- run_places: The repository_ids whose items a run in this repository takes (contracts §1, Whose items): those with its
-- name, and null where at most one repository is connected.
create or replace function mason_run_places(repository text) returns table (repository_id uuid)
language sql stable security invoker set search_path from current
as $$
  select r.id from mason_github_repositories r where lower(r.github_full_name) = lower(repository)
  union all
  select null from mason_github_repositories r having count(distinct lower(r.github_full_name)) <= 1
$$;

-- own_items: Those of these items that are of this repository, whatever their status.
create or replace function mason_own_items(args jsonb) returns jsonb
language sql stable security invoker set search_path from current
as $$
  select coalesce(jsonb_agg(to_jsonb(i) - 'prd_content' - 'execution_result'), '[]')
  from mason_pm_backlog_items i
  join mason_run_places(args ->> 'repository') p on p.repository_id is not distinct from i.repository_id
  where i.id in (select wanted.id::uuid from jsonb_array_elements_text(args -> 'ids') as wanted (id))
$$;

-- listed_items: The items of this repository in these states, at most `limit`, `ended` of them completed or rejected,
-- and how many there are of each status. What is worked on comes first, then what is next, by priority and age; what
-- has ended comes last, the latest first. Only what a line shows: there may be thousands.
create or replace function mason_listed_items(args jsonb) returns jsonb
language sql stable security invoker set search_path from current
as $$
  with own as materialized (
    select i.id, i.status, i.priority_score, i.created_at, i.status in ('completed', 'rejected') as ended,
           case i.status when 'in_progress' then 1 when 'approved' then 2 when 'new' then 3 when 'deferred' then 4 else 5
           end as turn,
           case when i.status in ('completed', 'rejected') then i.updated_at end as ended_at
    from mason_pm_backlog_items i
    join mason_run_places(args ->> 'repository') p on p.repository_id is not distinct from i.repository_id
    where i.status is not null
  ),
  placed as (
    select o.id, o.ended, row_number() over (
      partition by o.ended
      order by o.turn, o.ended_at desc nulls last, o.priority_score desc nulls last, o.created_at, o.id
    ) as place
    from own o
    where o.status in (select wanted.name from jsonb_array_elements_text(args -> 'states') as wanted (name))
  ),
  listed as (
    select s.id, s.ended, s.place
    from placed s
    where not s.ended or s.place <= (args ->> 'ended')::integer
    order by s.ended, s.place
    limit (args ->> 'limit')::integer
  )
  select jsonb_build_array(jsonb_build_object(
    'counts', (
      select coalesce(jsonb_object_agg(counted.status, counted.items), '{}')
      from (select o.status, count(*) as items from own o group by o.status) counted
    ),
    'items', (
      select coalesce(
        jsonb_agg(
          jsonb_build_object(
            'id', i.id, 'title', left(i.title, 1000), 'type', left(i.type, 100), 'area', left(i.area, 100),
            'status', i.status, 'priority_score', i.priority_score, 'execution_attempt', i.execution_attempt,
            'execution_run_id', i.execution_run_id, 'branch_name', left(i.branch_name, 1000),
            'pr_url', left(i.pr_url, 2000), 'failed_base', left(i.failed_base, 100),
            'failure_reason', left(i.failure_reason, 4000), 'skip_reason', left(i.skip_reason, 4000),
            'verdict', left(i.execution_result ->> 'verdict', 100),
            'reason', left(i.execution_result ->> 'reason', 4000)
          )
          order by l.ended, l.place
        ),
        '[]'
      )
      from listed l
      join mason_pm_backlog_items i on i.id = l.id
    )
  ))
$$;
