-- When each item of a dispatch was approved, as its backlog said then: that database's clock is not this one's
alter table dispatches add column approvals timestamptz[] not null default '{}';
