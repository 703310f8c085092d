-- US dollars: what an execution may spend (null without a limit), and what it had spent when its runner last told.
alter table executions
  add column budget_usd double precision,
  add column spent_usd double precision not null default 0;

create index executions_by_end on executions (completed_at);
