-- What people asked for, what was sent to runners, and who may write for what
create table requests (
  key text primary key,
  repository text not null,
  number bigint not null,
  on_pull_request boolean not null,
  person_id bigint not null,
  person_login text not null,
  person_is_user boolean not null,
  body text not null,
  received_at timestamptz not null,
  comment_id bigint,
  subject text,
  answer text not null default '',
  well boolean not null default false,
  finished boolean not null default false,
  heard_at timestamptz not null default clock_timestamp()
);

create index requests_unfinished on requests (heard_at) where not finished;

create table dispatches (
  id uuid primary key,
  work text not null,
  repository text,
  items uuid[] not null,
  base_commit text,
  base_branch text,
  number bigint not null,
  instructions text not null,
  smoke_test boolean not null,
  e2e boolean not null,
  request text not null,
  state text not null,
  tries integer not null,
  workflow_run text not null,
  url text not null,
  cancelled_by text not null,
  outcome text not null,
  reason text not null,
  created_at timestamptz not null,
  tried_at timestamptz,
  dispatched_at timestamptz,
  ended_at timestamptz,
  check ((base_commit is null) = (base_branch is null))
);

create index dispatches_unfinished on dispatches (created_at) where state <> 'ended';
create index dispatches_newest on dispatches (repository, created_at desc);

-- A held key. The number comes from one sequence for all keys, so it grows even where a row was deleted in between.
create sequence fences;

create table locks (
  key text primary key,
  number bigint not null default nextval('fences'),
  holder uuid not null,
  expires_at timestamptz not null
);
