-- A version whose logs belong to mason_pm_execution_runs, with tasks, and a progress table that knows no run and no
-- checkpoint.

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
  repository_id uuid references mason_github_repositories (id) on delete set null,
  title text not null,
  problem text not null,
  solution text not null,
  area text not null check (area in ('frontend', 'backend')),
  type text not null check (type in ('feature', 'fix', 'refactor', 'optimization')),
  complexity integer not null check (complexity between 1 and 5),
  impact_score integer not null check (impact_score between 1 and 10),
  effort_score integer not null check (effort_score between 1 and 10),
  priority_score integer generated always as (impact_score * 2 - effort_score) stored,
  benefits jsonb,
  status text default 'new'
    check (status in ('new', 'approved', 'in_progress', 'completed', 'deferred', 'rejected')),
  prd_content text
);
create table mason_pm_execution_runs (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz default now(),
  item_count integer not null default 0,
  started_at timestamptz,
  completed_at timestamptz,
  status text not null default 'pending'
    check (status in ('pending', 'in_progress', 'success', 'failed', 'cancelled')),
  error_message text
);
create table mason_pm_execution_tasks (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz default now(),
  run_id uuid not null references mason_pm_execution_runs (id) on delete cascade,
  item_id uuid references mason_pm_backlog_items (id) on delete cascade,
  wave_number integer not null,
  task_number integer not null,
  description text not null,
  subagent_type text not null
    check (subagent_type in ('Explore', 'general-purpose', 'Bash', 'code-reviewer', 'frontend-design', 'Plan')),
  status text not null default 'pending'
    check (status in ('pending', 'in_progress', 'completed', 'failed', 'skipped')),
  result_summary text
);
create table mason_execution_logs (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz default now(),
  execution_run_id uuid references mason_pm_execution_runs (id) on delete cascade,
  log_level text not null default 'info' check (log_level in ('debug', 'info', 'warn', 'error')),
  message text not null
);
create table mason_execution_progress (
  id uuid primary key default gen_random_uuid(),
  item_id uuid not null unique references mason_pm_backlog_items (id) on delete cascade,
  current_phase text default 'site_review'
    check (current_phase in ('site_review', 'foundation', 'building', 'inspection', 'complete')),
  wave_status text default 'pending' check (wave_status in ('pending', 'in_progress', 'completed')),
  current_task text,
  validation_typescript text default 'pending' check (validation_typescript in ('pending', 'running', 'pass', 'fail')),
  validation_eslint text default 'pending' check (validation_eslint in ('pending', 'running', 'pass', 'fail')),
  validation_build text default 'pending' check (validation_build in ('pending', 'running', 'pass', 'fail')),
  validation_tests text default 'pending' check (validation_tests in ('pending', 'running', 'pass', 'fail')),
  started_at timestamptz default now(),
  completed_at timestamptz
);
create view approved_titles as select title from mason_pm_backlog_items where status = 'approved';

insert into mason_users (github_id, github_username) values ('1', 'ada');
insert into mason_pm_backlog_items
  (id, title, problem, solution, area, type, complexity, impact_score, effort_score, status, prd_content)
values
  ('00000000-0000-4000-8000-000000000001', 'Header', 'p', 's', 'backend', 'optimization', 3, 5, 5, 'approved', '#'),
  (gen_random_uuid(), '', '', '', 'frontend', 'fix', 5, 10, 10, null, E'\u0085\ufeff😀');
insert into mason_pm_execution_runs (id, status) values ('00000000-0000-4000-8000-00000000000d', 'failed');
insert into mason_pm_execution_tasks (run_id, item_id, wave_number, task_number, description, subagent_type, status)
select '00000000-0000-4000-8000-00000000000d', id, 1, 1, title, 'Explore', 'skipped' from mason_pm_backlog_items;
insert into mason_execution_logs (execution_run_id, message)
values ('00000000-0000-4000-8000-00000000000d', repeat('m', 1000000)), (null, 'of no run');
insert into mason_execution_progress (item_id, current_phase, wave_status, validation_tests)
select id, null, null, null from mason_pm_backlog_items;
