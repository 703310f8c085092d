-- The middle generation: repositories, remote runs and their logs; the four legacy types; no progress table.

create table mason_users (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz default now(),
  github_id text unique not null,
  github_username text not null,
  github_email text,
  default_repository_id uuid,
  is_active boolean default true
);
create table mason_github_repositories (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz default now(),
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
  unique (user_id, github_repo_id)
);
create table mason_pm_backlog_items (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  user_id uuid references mason_users (id) on delete cascade,
  repository_id uuid references mason_github_repositories (id) on delete set null,
  title varchar(255) not null,
  problem text not null,
  solution text not null,
  area varchar(20) not null check (area in ('frontend', 'backend')),
  type varchar(20) not null check (type in ('dashboard', 'discovery', 'auth', 'backend')),
  complexity integer not null check (complexity >= 1 and complexity <= 5),
  impact_score integer not null check (impact_score between 1 and 10),
  effort_score integer not null check (effort_score between 1 and 10),
  priority_score integer generated always as (impact_score * 2 - effort_score) stored,
  benefits jsonb default '[]',
  status varchar(20) default 'new'
    check (status in ('new', 'approved', 'in_progress', 'completed', 'deferred', 'rejected')),
  branch_name varchar(255),
  pr_url text,
  prd_content text,
  prd_generated_at timestamptz
);
create table mason_remote_execution_runs (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz default now(),
  user_id uuid not null references mason_users (id) on delete cascade,
  repository_id uuid not null references mason_github_repositories (id) on delete cascade,
  item_ids uuid[] not null default '{}',
  item_count integer not null default 0,
  branch_name text not null,
  base_branch text not null default 'main',
  pr_url text,
  pr_number integer,
  status text not null default 'pending'
    check (status in ('pending', 'in_progress', 'success', 'failed', 'cancelled')),
  error_message text,
  files_changed integer default 0,
  lines_added integer default 0,
  lines_removed integer default 0,
  started_at timestamptz,
  completed_at timestamptz
);
create table mason_execution_logs (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz default now(),
  execution_run_id uuid not null references mason_remote_execution_runs (id) on delete cascade,
  log_level text not null default 'info' check (log_level in ('debug', 'info', 'warn', 'error')),
  message text not null,
  metadata jsonb default '{}'
);
alter table mason_pm_backlog_items enable row level security;
create policy "Allow all on mason_pm_backlog_items" on mason_pm_backlog_items for all using (true) with check (true);

insert into mason_users (id, github_id, github_username, github_email)
values ('00000000-0000-4000-8000-00000000000a', '1', 'ada', null), (gen_random_uuid(), '2', E'b\u00f6b', 'b@x.invalid');
insert into mason_github_repositories
  (id, user_id, github_repo_id, github_owner, github_name, github_full_name, github_clone_url, github_html_url)
select '00000000-0000-4000-8000-00000000000b', u.id, 9007199254740993, 'acme', 'shop', 'acme/shop',
       'https://github.invalid/acme/shop.git', 'https://github.invalid/acme/shop'
from mason_users u where u.github_id = '1';
insert into mason_pm_backlog_items
  (id, user_id, repository_id, title, problem, solution, area, type, complexity, impact_score, effort_score, benefits,
   status, prd_content)
values
  ('00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a',
   '00000000-0000-4000-8000-00000000000b', 'Header', 'p', 's', 'backend', 'auth', 3, 5, 5, '[{"a": null}]', 'approved',
   '# PRD'),
  (gen_random_uuid(), null, null, '😀 '' " \', E'\u2028', '%s', 'frontend', 'dashboard', 1, 10, 1, null, null, null),
  (gen_random_uuid(), null, null, repeat('ü', 255), '', repeat('long ', 300000), 'frontend', 'discovery', 5, 1, 10, '{}',
   'deferred', null);
insert into mason_remote_execution_runs (id, user_id, repository_id, item_ids, branch_name, status, error_message)
select '00000000-0000-4000-8000-00000000000c', r.user_id, r.id,
       array['00000000-0000-4000-8000-000000000001']::uuid[], 'mason/x', 'failed', E'boom\n\tat line 1'
from mason_github_repositories r;
insert into mason_execution_logs (execution_run_id, log_level, message, metadata)
select '00000000-0000-4000-8000-00000000000c', level, 'line ' || n, case when n % 2 = 0 then jsonb_build_object('n', n) end
from generate_series(1, 50) n, unnest(array['debug', 'error']) level;
