-- Executions of the agent runtime, and the workspaces that they leave behind for a while
create table executions (
  id uuid primary key,
  worker_id text not null,
  work_item_id uuid not null,
  template_id text not null,
  prompt text not null,
  gate boolean not null,
  status text not null default 'pending' check (status in ('pending', 'running', 'success', 'error', 'cancelled')),
  error text not null default '',
  output jsonb not null default '{}',
  usage jsonb not null default '{}',
  claimed_by text not null default '',
  heartbeat_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  started_at timestamptz,
  completed_at timestamptz,
  check ((status in ('pending', 'running')) = (completed_at is null))
);

create index executions_unfinished on executions (created_at) where completed_at is null;

create table workspaces (
  id uuid primary key,
  execution_id uuid not null unique references executions on delete cascade,
  repository text,
  path text not null,
  branch text not null,
  created_at timestamptz not null default clock_timestamp(),
  completed_at timestamptz,
  cleanup_at timestamptz not null,
  removed_at timestamptz
);

create index workspaces_active on workspaces (created_at) where removed_at is null;
