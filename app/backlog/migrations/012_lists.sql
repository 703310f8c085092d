-- Adds what people at a terminal ask: the backlog as a list, and which of the items they name are of their repository.
-- Beside a table an argument is $1: a column of its name, in somebody's table, would be taken for it.

-- run_places: The repository_ids whose items a run in this repository takes (contracts §1, Whose items): those with its
-- name, and null where at most one repository is connected.
create or replace function mason_run_places(repository text) returns table (repository_id uuid)
language sql stable security invoker set search_path from current
as $$
  select r.id from mason_github_repositories r where lower(r.github_full_name) = lower($1)
  union all
  select null from mason_github_repositories r having count(distinct lower(r.github_full_name)) <= 1
$$;

-- own_items: Those of these items that are of this repository, whatever their status; what a decision looks at.
create or replace function mason_own_items(args jsonb) returns jsonb
language sql stable security invoker set search_path from current
as $$
  select coalesce(
    jsonb_agg(jsonb_build_object(
      'id', i.id, 'title', left(i.title, 1000), 'status', i.status, 'failed_base', left(i.failed_base, 100)
    )),
    '[]'
  )
  from mason_pm_backlog_items i
  join mason_run_places($1 ->> 'repository') p on p.repository_id is not distinct from i.repository_id
  where i.id in (select wanted.id::uuid from jsonb_array_elements_text($1 -> 'ids') as wanted (id))
$$;

-- listed_items: The items of this repository in these states, at most `limit`, `ended` of them completed or rejected,
-- and how many there are of each status. What is worked on comes first, then what is next, by priority and age; what
-- has ended comes last, the latest first. Only what a line shows, as json: there may be thousands, and jsonb has an end.
create or replace function mason_listed_items(args jsonb) returns json
language sql stable security invoker set search_path from current
as $$
  with own as materialized (
    select i.id, i.status, i.priority_score, i.created_at, i.status in ('completed', 'rejected') as ended,
           case i.status when 'in_progress' then 1 when 'approved' then 2 when 'new' then 3 when 'deferred' then 4 else 5
           end as turn,
           case when i.status in ('completed', 'rejected') then i.updated_at end as ended_at
    from mason_pm_backlog_items i
    join mason_run_places($1 ->> 'repository') p on p.repository_id is not distinct from i.repository_id
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
  select json_build_array(json_build_object(
    'counts', (
      select coalesce(jsonb_object_agg(counted.status, counted.items), '{}')
      from (select o.status, count(*) as items from own o group by o.status) counted
    ),
    'items', (
      select coalesce(
        json_agg(
          json_build_object(
            'id', i.id, 'title', left(i.title, 1000), 'type', left(i.type, 100), 'area', left(i.area, 100),
            'status', i.status, 'priority_score', i.priority_score, 'execution_attempt', i.execution_attempt,
            'execution_run_id', i.execution_run_id, 'branch_name', left(i.branch_name, 1000),
            'pr_url', left(i.pr_url, 1000), 'failed_base', left(i.failed_base, 100),
            'verdict', left(i.execution_result ->> 'verdict', 100),
            -- A result is of the last run, whatever became of the item since: it tells of a completed item alone.
            'reason', left(
              case
                when i.status = 'rejected' then i.failure_reason
                when i.status = 'completed' and i.execution_result ->> 'verdict' = 'already_resolved'
                then i.execution_result ->> 'reason'
                else i.skip_reason
              end,
              1001
            )
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
