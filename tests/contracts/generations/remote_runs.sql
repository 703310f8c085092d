-- Between the middle and the newest: remote runs with idempotency and results, and a progress table whose run_id is a
-- uuid that refers to mason_pm_execution_runs and whose phases know 'failed'.

create table mason_users (
  id uuid primary key default gen_random_uuid(),
  github_id text unique not null,
  github_username text not null
);
create table mason_github_repositories (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references mason_users (id) on delete cascade,
  github_repo_id bigint not null,
  github_full_name text not null,
  github_default_branch text not null default 'main',
  github_clone_url text not null,
  unique (user_id, github_repo_id)
);
create table mason_pm_backlog_items (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  user_id uuid references mason_users (id) on delete cascade,
  repository_id uuid references mason_github_repositories (id) on delete set null,
  title text not null,
  problem text not null,
  solution text not null,
  area text not null check (area in ('frontend', 'backend')),
  type text not null check (type in ('dashboard', 'discovery', 'auth', 'backend')),
  complexity integer not null check (complexity between 1 and 5),
  impact_score integer not null check (impact_score between 1 and 10),
  effort_score integer not null check (effort_score between 1 and 10),
  priority_score integer generated always as (impact_score * 2 - effort_score) stored,
  benefits jsonb default '[]',
  status text default 'new'
    check (status in ('new', 'approved', 'in_progress', 'completed', 'deferred', 'rejected')),
  branch_name text,
  pr_url text,
  prd_content text,
  prd_generated_at timestamptz
);
create table mason_pm_execution_runs (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz default now(),
  item_count integer not null default 0,
  status text not null default 'pending'
    check (status in ('pending', 'in_progress', 'success', 'failed', 'cancelled')),
  tasks_completed integer default 0,
  tasks_failed integer default 0,
  total_tasks integer default 0
);
create table mason_execution_progress (
  id uuid primary key default gen_random_uuid(),
  item_id uuid not null unique references mason_pm_backlog_items (id) on delete cascade,
  run_id uuid references mason_pm_execution_runs (id) on delete set null,
  current_phase text not null default 'site_review'
    check (current_phase in ('site_review', 'foundation', 'building', 'inspection', 'complete', 'failed')),
  current_wave integer default 0,
  total_waves integer default 4,
  wave_status text default 'pending' check (wave_status in ('pending', 'in_progress', 'completed')),
  current_task text,
  tasks_completed integer default 0,
  tasks_total integer default 0,
  current_file text,
  files_touched text[] default '{}',
  lines_changed integer default 0,
  validation_typescript text default 'pending' check (validation_typescript in ('pending', 'running', 'pass', 'fail')),
  validation_eslint text default 'pending' check (validation_eslint in ('pending', 'running', 'pass', 'fail')),
  validation_build text default 'pending' check (validation_build in ('pending', 'running', 'pass', 'fail')),
  validation_tests text default 'pending' check (validation_tests in ('pending', 'running', 'pass', 'fail')),
  inspector_findings text[] default '{}',
  fix_iteration integer default 0,
  max_iterations integer default 5,
  started_at timestamptz default now(),
  updated_at timestamptz default now(),
  completed_at timestamptz
);
create table mason_remote_execution_runs (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz default now(),
  user_id uuid not null references mason_users (id) on delete cascade,
  repository_id uuid not null references mason_github_repositories (id) on delete cascade,
  item_ids uuid[] not null default '{}',
  item_count integer not null default 0,
  branch_name text not null,
  status text not null default 'pending'
    check (status in ('pending', 'in_progress', 'success', 'failed', 'cancelled')),
  idempotency_key text unique,
  item_results jsonb default '[]',
  success_count integer default 0,
  failure_count integer default 0
);
create table mason_execution_logs (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz default now(),
  execution_run_id uuid not null references mason_remote_execution_runs (id) on delete cascade,
  log_level text not null default 'info' check (log_level in ('debug', 'info', 'warn', 'error')),
  message text not null,
  metadata jsonb default '{}'
);

insert into mason_users (github_id, github_username) values ('1', 'ada');
insert into mason_github_repositories (user_id, github_repo_id, github_full_name, github_clone_url)
select id, 7, 'Acme/Shop', 'https://github.invalid/x.git' from mason_users;
insert into mason_pm_backlog_items
  (id, user_id, repository_id, title, problem, solution, area, type, complexity, impact_score, effort_score, status)
select '00000000-0000-4000-8000-000000000001', user_id, id, 'Header', 'p', 's', 'backend', 'auth', 3, 5, 5, 'approved'
from mason_github_repositories;
insert into mason_pm_backlog_items
  (title, problem, solution, area, type, complexity, impact_score, effort_score, status, benefits)
values ('Lost 😀', E'\\', '''', 'frontend', 'backend', 1, 1, 1, 'in_progress', 'null');
insert into mason_pm_execution_runs (id, status) values ('00000000-0000-4000-8000-00000000000d', 'cancelled');
insert into mason_execution_progress (item_id, run_id, current_phase, files_touched, inspector_findings, current_task)
select id, '00000000-0000-4000-8000-00000000000d', 'failed', array['a "b".ts', 'c,d', null, ''], null,
       case when status = 'approved' then repeat('t', 100000) end
from mason_pm_backlog_items;
insert into mason_remote_execution_runs (user_id, repository_id, branch_name, idempotency_key, item_results)
select user_id, id, 'b', 'key', '[{"id": 1}]' from mason_github_repositories;
insert into mason_execution_logs (execution_run_id, message) select id, '' from mason_remote_execution_runs;
