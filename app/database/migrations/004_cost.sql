-- What the agents of a dispatch have cost, in US dollars, known once it has ended
alter table dispatches add column cost_usd double precision not null default 0;
