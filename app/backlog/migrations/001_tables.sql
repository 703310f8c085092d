-- Creates the tables that Mason reads and writes, where they are missing.
-- Tables that exist, of whatever generation, are left as they are here; 002 and 003 bring them up to date.

create temporary table mason_before on commit drop as
select c.relname
from pg_class c
where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p');

create table if not exists mason_users (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  github_id text unique,
  github_username text,
  github_email text,
  github_avatar_url text,
  default_repository_id uuid,
  is_active boolean default true
);

create table if not exists mason_github_repositories (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  user_id uuid references mason_users (id) on delete cascade,
  github_repo_id bigint,
  github_owner text,
  github_name text,
  github_full_name text not null,
  github_default_branch text default 'main',
  github_private boolean default false,
  github_clone_url text,
  github_html_url text,
  is_active boolean default true,
  last_synced_at timestamptz,
  unique (user_id, github_repo_id)
);

create table if not exists mason_pm_backlog_items (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  user_id uuid references mason_users (id) on delete set null,
  repository_id uuid references mason_github_repositories (id) on delete set null,
  title text not null,
  problem text not null,
  solution text not null,
  area text not null check (area in ('frontend', 'backend')),
  type text not null check (type in (
    'feature', 'ui', 'ux', 'api', 'data', 'security', 'performance', 'code-quality',
    'dashboard', 'discovery', 'auth', 'backend'
  )),
  complexity integer not null check (complexity between 1 and 5),
  impact_score integer not null check (impact_score between 1 and 10),
  effort_score integer not null check (effort_score between 1 and 10),
  priority_score integer generated always as (impact_score * 2 - effort_score) stored,
  benefits jsonb default '[]',
  status text default 'new' check (status in (
    'new', 'approved', 'in_progress', 'completed', 'deferred', 'rejected'
  ))
);

create table if not exists mason_pm_execution_runs (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz default now(),
  item_count integer default 0,
  started_at timestamptz default now(),
  completed_at timestamptz,
  status text default 'pending' check (status in ('pending', 'in_progress', 'success', 'failed', 'cancelled')),
  error_message text,
  tasks_completed integer default 0,
  tasks_failed integer default 0,
  total_tasks integer default 0
);

create table if not exists mason_remote_execution_runs (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz default now(),
  user_id uuid references mason_users (id) on delete cascade,
  repository_id uuid references mason_github_repositories (id) on delete cascade,
  item_ids uuid[] default '{}',
  item_count integer default 0,
  branch_name text,
  base_branch text default 'main',
  pr_url text,
  pr_number integer,
  started_at timestamptz default now(),
  completed_at timestamptz,
  status text default 'pending' check (status in ('pending', 'in_progress', 'success', 'failed', 'cancelled')),
  error_message text,
  files_changed integer default 0,
  lines_added integer default 0,
  lines_removed integer default 0
);

create table if not exists mason_execution_logs (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz default now(),
  execution_run_id uuid not null references mason_remote_execution_runs (id) on delete cascade,
  log_level text default 'info' check (log_level in ('debug', 'info', 'warn', 'error')),
  message text not null,
  metadata jsonb default '{}'
);

create table if not exists mason_execution_progress (
  id uuid primary key default gen_random_uuid(),
  item_id uuid not null unique references mason_pm_backlog_items (id) on delete cascade,
  run_id text,
  current_phase text default 'site_review' check (current_phase in (
    'site_review', 'foundation', 'building', 'inspection', 'complete'
  )),
  current_wave integer default 0,
  total_waves integer default 4,
  wave_status text default 'pending' check (wave_status in ('pending', 'in_progress', 'completed')),
  current_task text,
  tasks_completed integer default 0,
  tasks_total integer default 0,
  current_file text,
  files_touched text[] default '{}',
  lines_changed integer default 0,
  validation_typescript text default 'pending'
    check (validation_typescript in ('pending', 'running', 'pass', 'fail', 'skipped')),
  validation_eslint text default 'pending'
    check (validation_eslint in ('pending', 'running', 'pass', 'fail', 'skipped')),
  validation_build text default 'pending'
    check (validation_build in ('pending', 'running', 'pass', 'fail', 'skipped')),
  validation_tests text default 'pending'
    check (validation_tests in ('pending', 'running', 'pass', 'fail', 'skipped')),
  inspector_findings text[] default '{}',
  fix_iteration integer default 0,
  max_iterations integer default 5,
  started_at timestamptz default now(),
  updated_at timestamptz default now(),
  completed_at timestamptz
);

create table if not exists mason_pm_execution_tasks (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz default now(),
  run_id uuid not null references mason_pm_execution_runs (id) on delete cascade,
  item_id uuid references mason_pm_backlog_items (id) on delete cascade,
  wave_number integer not null,
  task_number integer not null,
  description text not null,
  subagent_type text not null check (subagent_type in (
    'Explore', 'general-purpose', 'Bash', 'code-reviewer', 'frontend-design', 'Plan'
  )),
  status text default 'pending' check (status in ('pending', 'in_progress', 'completed', 'failed', 'skipped')),
  started_at timestamptz,
  completed_at timestamptz,
  error_message text,
  result_summary text
);

create table if not exists mason_pm_validation_iterations (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz default now(),
  run_id uuid not null references mason_pm_execution_runs (id) on delete cascade,
  item_id uuid not null references mason_pm_backlog_items (id) on delete cascade,
  execution_attempt integer not null,
  iteration_number integer not null,
  checks_passed integer not null,
  checks_failed integer not null,
  passed boolean not null,
  tried text not null,
  failure_details jsonb not null default '[]'
);

create table if not exists mason_item_events (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz default now(),
  item_id uuid not null references mason_pm_backlog_items (id) on delete cascade,
  event_type text not null check (event_type in (
    'status_changed', 'prd_generated', 'branch_created', 'pr_created', 'note_added'
  )),
  old_value text,
  new_value text,
  user_id uuid references mason_users (id) on delete set null,
  notes text
);

-- Row level security and Supabase's grants, on what was created just now and on nothing else.
do $$
declare
  created name;
  grantee name;
begin
  for created in
    select c.relname
    from pg_class c
    where c.relnamespace = current_schema()::regnamespace
      and c.relkind = 'r'
      and c.relname in (
        'mason_users', 'mason_github_repositories', 'mason_pm_backlog_items', 'mason_pm_execution_runs',
        'mason_remote_execution_runs', 'mason_execution_logs', 'mason_execution_progress',
        'mason_pm_execution_tasks', 'mason_pm_validation_iterations', 'mason_item_events'
      )
      and c.relname not in (select b.relname from mason_before b)
  loop
    execute format('alter table %I enable row level security', created);
    for grantee in select rolname from pg_roles where rolname in ('anon', 'authenticated', 'service_role') loop
      -- Supabase gives away more by itself, TRUNCATE included, which row level security does not see.
      execute format('revoke all on %I from %I', created, grantee);
      execute format('grant select, insert, update, delete on %I to %I', created, grantee);
    end loop;
  end loop;
end
$$;
