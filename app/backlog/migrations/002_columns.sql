-- Adds the columns that older generations lack, and lifts three NOT NULLs that a run of Mason cannot fill.
-- Nothing is backfilled: no row is written, so no trigger fires and no value changes.

alter table mason_github_repositories
  add column if not exists user_id uuid references mason_users (id) on delete cascade,
  add column if not exists github_repo_id bigint,
  add column if not exists github_full_name text,
  add column if not exists github_default_branch text default 'main',
  add column if not exists github_clone_url text;

alter table mason_pm_backlog_items
  add column if not exists created_at timestamptz default now(),
  add column if not exists updated_at timestamptz default now(),
  add column if not exists user_id uuid references mason_users (id) on delete set null,
  add column if not exists repository_id uuid references mason_github_repositories (id) on delete set null,
  add column if not exists priority_score integer generated always as (impact_score * 2 - effort_score) stored,
  add column if not exists branch_name text,
  add column if not exists pr_url text,
  add column if not exists prd_content text,
  add column if not exists prd_generated_at timestamptz,
  add column if not exists evidence_status text
    check (evidence_status in ('verified', 'refuted', 'inconclusive')),
  add column if not exists evidence_summary text,
  add column if not exists skip_reason text,
  add column if not exists tags text[] default '{}',
  add column if not exists source text default 'manual',
  add column if not exists execution_attempt integer not null default 0,
  add column if not exists execution_run_id uuid,
  add column if not exists claimed_by text,
  add column if not exists heartbeat_at timestamptz,
  add column if not exists approved_at timestamptz,
  add column if not exists approved_digest text,
  add column if not exists failure_reason text,
  add column if not exists validation_passed boolean,
  add column if not exists validation_iterations integer,
  add column if not exists failed_base text;

alter table mason_execution_progress
  add column if not exists run_id text,
  add column if not exists execution_attempt integer,
  add column if not exists current_phase text default 'site_review',
  add column if not exists current_wave integer default 0,
  add column if not exists total_waves integer default 4,
  add column if not exists wave_status text default 'pending',
  add column if not exists current_task text,
  add column if not exists tasks_completed integer default 0,
  add column if not exists tasks_total integer default 0,
  add column if not exists current_file text,
  add column if not exists checkpoint_index integer default 0,
  add column if not exists checkpoint_total integer default 0,
  add column if not exists checkpoint_message text,
  add column if not exists checkpoints_completed jsonb default '[]',
  add column if not exists validation_typescript text default 'pending',
  add column if not exists validation_eslint text default 'pending',
  add column if not exists validation_build text default 'pending',
  add column if not exists validation_tests text default 'pending',
  add column if not exists validation_smoke_test text default 'skipped'
    check (validation_smoke_test in ('pending', 'running', 'pass', 'fail', 'skipped')),
  add column if not exists fix_iteration integer default 0,
  add column if not exists max_iterations integer default 5,
  add column if not exists started_at timestamptz default now(),
  add column if not exists updated_at timestamptz default now(),
  add column if not exists completed_at timestamptz;

alter table mason_remote_execution_runs
  add column if not exists user_id uuid references mason_users (id) on delete cascade,
  add column if not exists repository_id uuid references mason_github_repositories (id) on delete cascade,
  add column if not exists item_ids uuid[] default '{}',
  add column if not exists item_count integer default 0,
  add column if not exists branch_name text,
  add column if not exists base_branch text default 'main',
  add column if not exists started_at timestamptz default now(),
  add column if not exists completed_at timestamptz,
  add column if not exists error_message text,
  add column if not exists idempotency_key text,
  add column if not exists item_results jsonb,
  add column if not exists success_count integer,
  add column if not exists failure_count integer,
  add column if not exists validation_summary jsonb,
  add column if not exists total_fix_iterations integer;

alter table mason_remote_execution_runs
  alter column user_id drop not null,
  alter column repository_id drop not null,
  alter column branch_name drop not null;

alter table mason_pm_execution_runs
  add column if not exists item_count integer default 0,
  add column if not exists started_at timestamptz default now(),
  add column if not exists completed_at timestamptz,
  add column if not exists error_message text,
  add column if not exists tasks_completed integer default 0,
  add column if not exists validation_summary jsonb,
  add column if not exists total_fix_iterations integer;

alter table mason_pm_execution_tasks
  add column if not exists started_at timestamptz,
  add column if not exists completed_at timestamptz,
  add column if not exists error_message text;

alter table mason_item_events
  add column if not exists old_value text,
  add column if not exists new_value text,
  add column if not exists notes text;

alter table mason_execution_logs
  add column if not exists metadata jsonb default '{}';

create index if not exists mason_items_by_status on mason_pm_backlog_items (status);
create index if not exists mason_items_by_run on mason_pm_backlog_items (execution_run_id);
create index if not exists mason_items_by_branch on mason_pm_backlog_items (branch_name);
create index if not exists mason_logs_by_run on mason_execution_logs (execution_run_id, created_at);
create index if not exists mason_tasks_by_run on mason_pm_execution_tasks (run_id);
create index if not exists mason_iterations_by_item on mason_pm_validation_iterations (item_id, run_id);
create index if not exists mason_events_by_item on mason_item_events (item_id, created_at);
