-- What an execution may spend, in US dollars: it counts as spent until the cost is known. Null without a limit.
alter table executions add column budget_usd double precision;

create index executions_by_end on executions (completed_at);
