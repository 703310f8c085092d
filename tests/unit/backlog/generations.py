"""Two older generations of the tables (contracts §1), filled, each with a trigger that tells when it fires."""

_WATCH = """
create table fired (at timestamptz default now());
create function tell() returns trigger language plpgsql as $$
begin insert into fired default values; return new; end $$;
create trigger tells before update on mason_pm_backlog_items for each row execute function tell();
"""

OLDEST = (
    """
create table mason_pm_backlog_items (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  title text not null,
  problem text not null,
  solution text not null,
  area text not null,
  type text not null,
  complexity text not null,
  impact_score integer not null check (impact_score >= 1 and impact_score <= 10),
  effort_score integer not null check (effort_score >= 1 and effort_score <= 10),
  priority_score integer generated always as ((impact_score * 2) - effort_score) stored,
  benefits_json jsonb default '[]',
  status text not null default 'new',
  branch_name text,
  pr_url text,
  prd_content text,
  prd_generated_at timestamptz,
  constraint valid_area check (area in ('frontend-ux', 'api-backend', 'reliability', 'security', 'code-quality')),
  constraint valid_type check (type in ('feature', 'fix', 'refactor', 'optimization')),
  constraint valid_complexity check (complexity in ('low', 'medium', 'high', 'very_high')),
  constraint valid_status check (status in ('new', 'approved', 'in_progress', 'completed', 'rejected'))
);
insert into mason_pm_backlog_items
  (title, problem, solution, area, type, complexity, impact_score, effort_score, benefits_json, status, prd_content)
values
  ('Ünïcode 😀', 'p', 's', 'security', 'fix', 'very_high', 9, 2, '["a"]', 'approved', '# PRD'),
  ('Other', '', '', 'reliability', 'feature', 'low', 1, 10, null, 'rejected', null);
"""
    + _WATCH
)

REMOTE = (
    """
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
  status varchar(20) default 'new'
    check (status in ('new', 'approved', 'in_progress', 'completed', 'deferred', 'rejected')),
  branch_name text,
  pr_url text,
  prd_content text,
  prd_generated_at timestamptz
);
create table mason_pm_execution_runs (
  id uuid primary key default gen_random_uuid(),
  item_count integer not null default 0,
  status text not null default 'pending'
    check (status in ('pending', 'in_progress', 'success', 'failed', 'cancelled'))
);
create table mason_execution_progress (
  id uuid primary key default gen_random_uuid(),
  item_id uuid not null unique references mason_pm_backlog_items (id) on delete cascade,
  run_id uuid references mason_pm_execution_runs (id) on delete set null,
  current_phase text check (current_phase in (
    'site_review', 'foundation', 'building', 'inspection', 'complete', 'failed')),
  current_wave integer default 0,
  total_waves integer default 4,
  wave_status text default 'pending' check (wave_status in ('pending', 'in_progress', 'completed')),
  current_task text,
  tasks_completed integer default 0,
  tasks_total integer default 0,
  validation_typescript text default 'pending' check (validation_typescript in ('pending', 'running', 'pass', 'fail')),
  validation_eslint text default 'pending' check (validation_eslint in ('pending', 'running', 'pass', 'fail')),
  validation_build text default 'pending' check (validation_build in ('pending', 'running', 'pass', 'fail')),
  validation_tests text default 'pending' check (validation_tests in ('pending', 'running', 'pass', 'fail')),
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
  branch_name text not null,
  status text not null default 'pending'
    check (status in ('pending', 'in_progress', 'success', 'failed', 'cancelled'))
);
create table mason_execution_logs (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz default now(),
  execution_run_id uuid references mason_pm_execution_runs (id) on delete cascade,
  log_level text not null default 'info' check (log_level in ('debug', 'info', 'warn', 'error')),
  message text not null,
  metadata jsonb default '{}'
);
insert into mason_users (github_id, github_username) values ('1', 'ada');
insert into mason_github_repositories (user_id, github_repo_id, github_full_name, github_clone_url)
select id, 7, 'acme/shop', 'https://example.invalid/x.git' from mason_users;
insert into mason_pm_backlog_items
  (user_id, repository_id, title, problem, solution, area, type, complexity, impact_score, effort_score, status)
select user_id, id, 'T', 'p', 's', 'backend', 'auth', 3, 5, 5, 'approved' from mason_github_repositories;
insert into mason_execution_progress (item_id, current_phase) select id, 'failed' from mason_pm_backlog_items;
insert into mason_remote_execution_runs (user_id, repository_id, branch_name)
select user_id, id, 'b' from mason_github_repositories;
"""
    + _WATCH
)
