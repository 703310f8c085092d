-- Adds what a start by the REST API asks, however many items it names: one call for each question.

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
      (id, user_id, repository_id, item_ids, item_count, base_branch, branch_name, status, started_at)
    select (args ->> 'run')::uuid, place.user_id, place.id, chosen.ids, cardinality(chosen.ids),
           args ->> 'base_branch', args ->> 'branch_name', 'in_progress', clock_timestamp()
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

-- placed_items: These items without their PRDs, whatever their status, each with the repository that it is of, and the
-- name of one repository. Not placed: it names no repository, and several are connected.
create or replace function mason_placed_items(args jsonb) returns jsonb
language sql stable security invoker set search_path from current
as $$
  select jsonb_build_array(jsonb_build_object(
    'repository', (
      select r.github_full_name from mason_github_repositories r where r.id = (args ->> 'repository')::uuid
    ),
    'items', (
      select coalesce(
        jsonb_agg(jsonb_build_object(
          'item', to_jsonb(w), 'placed', p.placed is not null, 'repository', p.full_name
        )),
        '[]'
      )
      from (
        select i.id, i.repository_id, i.title, i.status, i.problem, i.solution, i.type, i.area, i.complexity,
               i.priority_score, i.evidence_status, i.evidence_summary, i.branch_name, i.pr_url, i.approved_digest,
               i.approved_at, i.execution_attempt, i.execution_run_id, i.failed_base, i.failure_reason, i.skip_reason,
               i.tags
        from mason_pm_backlog_items i
        where i.id in (select wanted.id::uuid from jsonb_array_elements_text(args -> 'ids') as wanted (id))
      ) w
      left join (select places.*, true as placed from mason_places() places) p
        on p.repository_id is not distinct from w.repository_id
    )
  ))
$$;

-- branch_owners: The item that had each of these branches first.
create or replace function mason_branch_owners(args jsonb) returns jsonb
language sql stable security invoker set search_path from current
as $$
  select coalesce(jsonb_agg(jsonb_build_object('branch', first.branch_name, 'id', first.id)), '[]')
  from (
    select distinct on (i.branch_name) i.branch_name, i.id
    from mason_pm_backlog_items i
    where i.branch_name in (select wanted.name from jsonb_array_elements_text(args -> 'branches') as wanted (name))
    order by i.branch_name, i.created_at, i.id
  ) first
$$;

-- claim_all: Each of these claims as `claim` makes it, those that are ours without their PRDs. In the order of the
-- items' ids, so that two runs that want the same items wait for each other, and neither for ever.
create or replace function mason_claim_all(args jsonb) returns jsonb
language plpgsql volatile security invoker set search_path from current
as $$
declare
  wanted jsonb;
  taken jsonb := '[]';
begin
  for wanted in select c.value from jsonb_array_elements(args -> 'claims') as c (value) order by c.value ->> 'item' loop
    taken := taken || mason_claim(wanted || jsonb_build_object('again', args -> 'again'));
  end loop;
  return (
    select coalesce(jsonb_agg(t.value - 'prd_content' - 'execution_result'), '[]')
    from jsonb_array_elements(taken) as t (value)
  );
end
$$;
