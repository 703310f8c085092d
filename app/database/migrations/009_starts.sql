-- What a start by the REST API notes of its dispatch: what no second unfinished one may be about, the project whose
-- credentials came with the request, the name for the run's row
alter table dispatches
  add column same text not null default '',
  add column project text not null default '',
  add column branch_name text not null default '';

create unique index dispatches_same on dispatches (same) where same <> '' and state <> 'ended';
