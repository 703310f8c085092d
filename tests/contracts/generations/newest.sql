-- The newest generation: twelve types, risk and evidence, checkpoints, events, a ledger without checksums; no tables of
-- runs and logs.

create table mason_migrations (
  id serial primary key,
  name text unique not null,
  applied_at timestamptz default now(),
  description text
);
create table mason_users (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  github_id text unique not null,
  github_username text not null,
  github_email text,
  github_avatar_url text,
  default_repository_id uuid,
  is_active boolean default true
);
create table mason_github_repositories (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  user_id uuid not null references mason_users (id) on delete cascade,
  github_repo_id bigint not null,
  github_owner text not null,
  github_name text not null,
  github_full_name text not null,
  github_default_branch text not null default 'main',
  github_private boolean default false,
  github_clone_url text not null,
  github_html_url text not null,
  is_active boolean default true,
  last_synced_at timestamptz,
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
  type text not null check (type in (
    'feature', 'ui', 'ux', 'api', 'data', 'security', 'performance', 'code-quality',
    'dashboard', 'discovery', 'auth', 'backend')),
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
  prd_generated_at timestamptz,
  risk_score integer check (risk_score between 1 and 10),
  risk_analyzed_at timestamptz,
  has_breaking_changes boolean default false,
  evidence_status text check (evidence_status in ('verified', 'refuted', 'inconclusive')),
  evidence_summary text,
  skip_reason text,
  tags text[] default '{}',
  source text default 'manual'
);
create table mason_execution_progress (
  id uuid primary key default gen_random_uuid(),
  item_id uuid not null references mason_pm_backlog_items (id) on delete cascade,
  run_id text,
  current_phase text not null default 'site_review'
    check (current_phase in ('site_review', 'foundation', 'building', 'inspection', 'complete')),
  current_wave integer default 0,
  total_waves integer default 4,
  wave_status text default 'pending' check (wave_status in ('pending', 'in_progress', 'completed')),
  current_task text,
  tasks_completed integer default 0,
  tasks_total integer default 0,
  current_file text,
  files_touched text[] default '{}',
  lines_changed integer default 0,
  checkpoint_index integer default 0,
  checkpoint_total integer default 0,
  checkpoint_message text,
  checkpoints_completed jsonb default '[]',
  validation_typescript text default 'pending' check (validation_typescript in ('pending', 'running', 'pass', 'fail')),
  validation_eslint text default 'pending' check (validation_eslint in ('pending', 'running', 'pass', 'fail')),
  validation_build text default 'pending' check (validation_build in ('pending', 'running', 'pass', 'fail')),
  validation_tests text default 'pending' check (validation_tests in ('pending', 'running', 'pass', 'fail')),
  validation_smoke_test text default 'pending'
    check (validation_smoke_test in ('pending', 'running', 'pass', 'fail', 'skipped')),
  inspector_findings text[] default '{}',
  fix_iteration integer default 0,
  max_iterations integer default 5,
  started_at timestamptz default now(),
  updated_at timestamptz default now(),
  completed_at timestamptz,
  unique (item_id)
);
create table mason_item_events (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz default now(),
  item_id uuid not null references mason_pm_backlog_items (id) on delete cascade,
  event_type text not null check (event_type in (
    'status_changed', 'prd_generated', 'branch_created', 'pr_created', 'note_added')),
  old_value text,
  new_value text,
  user_id uuid references mason_users (id) on delete set null,
  notes text
);
create table mason_settings (name text primary key, value jsonb);

alter table mason_users enable row level security;
alter table mason_github_repositories enable row level security;
alter table mason_pm_backlog_items enable row level security;
alter table mason_execution_progress enable row level security;
create policy "Allow all on mason_users" on mason_users for all using (true) with check (true);
create policy "Allow all on mason_github_repositories" on mason_github_repositories for all using (true);
create policy "Allow all on mason_pm_backlog_items" on mason_pm_backlog_items for all using (true) with check (true);
create policy "Owners only" on mason_execution_progress for select using (current_user <> 'nobody');

insert into mason_migrations (name, description) values ('000_first', null), ('20250101_add_risk', 'Risk, "quoted"');
insert into mason_users (id, github_id, github_username) values ('00000000-0000-4000-8000-00000000000a', '1', 'ada');
insert into mason_github_repositories
  (user_id, github_repo_id, github_owner, github_name, github_full_name, github_clone_url, github_html_url)
values ('00000000-0000-4000-8000-00000000000a', 1, 'acme', 'shop', 'acme/shop', '', '');
insert into mason_pm_backlog_items
  (id, user_id, repository_id, title, problem, solution, area, type, complexity, impact_score, effort_score, benefits,
   status, evidence_status, tags, source, risk_score, prd_content)
select '00000000-0000-4000-8000-000000000001', user_id, id, 'Header', 'p', 's', 'frontend', 'ui', 2, 8, 2,
       '["fast", {"a": [1, null]}]', 'approved', 'inconclusive', array['a,b', '"', '', '😀', null], null, 10,
       repeat(E'## Wave ü\n', 100000)
from mason_github_repositories;
insert into mason_pm_backlog_items
  (title, problem, solution, area, type, complexity, impact_score, effort_score, status, tags, benefits, skip_reason)
select E'Item \u200d' || kind, '', '', 'backend', kind, 1 + n % 5, 1 + n % 10, 10 - n % 10, status, null, null, status
from unnest(array['feature', 'security', 'code-quality', 'auth']) with ordinality as k (kind, n),
     unnest(array['new', 'in_progress', 'completed', 'deferred', 'rejected', null]) as s (status);
insert into mason_execution_progress (item_id, run_id, checkpoints_completed, files_touched, validation_smoke_test)
select id, 'not a uuid', '[{"id": 1, "name": "x"}]', array['{', '}', null], 'skipped' from mason_pm_backlog_items
where status in ('in_progress', 'completed');
insert into mason_item_events (item_id, event_type, old_value, notes)
select id, 'note_added', null, E'\\x00 '' ;--' from mason_pm_backlog_items;
insert into mason_settings values ('theme', '"dark"');
