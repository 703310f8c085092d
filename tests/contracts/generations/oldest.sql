-- The oldest generation: one table, complexity in words, no repositories, no deferred, an updated_at trigger.

create table mason_pm_backlog_items (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  title text not null,
  problem text not null,
  solution text not null,
  area text not null check (area in ('frontend-ux', 'api-backend', 'reliability', 'security', 'code-quality')),
  type text not null check (type in ('feature', 'fix', 'refactor', 'optimization')),
  complexity text not null check (complexity in ('low', 'medium', 'high', 'very_high')),
  impact_score integer not null check (impact_score >= 1 and impact_score <= 10),
  effort_score integer not null check (effort_score >= 1 and effort_score <= 10),
  priority_score integer generated always as ((impact_score * 2) - effort_score) stored,
  benefits_json jsonb default '[]',
  status text not null default 'new' check (status in ('new', 'approved', 'in_progress', 'completed', 'rejected')),
  branch_name text,
  pr_url text,
  prd_content text,
  prd_generated_at timestamptz
);
create index mason_pm_backlog_items_priority on mason_pm_backlog_items (priority_score desc);

create function update_updated_at_column() returns trigger language plpgsql as $$
begin
  new.updated_at = now();
  return new;
end
$$;
create trigger update_backlog_updated_at before update on mason_pm_backlog_items
  for each row execute function update_updated_at_column();

insert into mason_pm_backlog_items
  (id, title, problem, solution, area, type, complexity, impact_score, effort_score, benefits_json, status, prd_content)
values
  ('00000000-0000-4000-8000-000000000001', 'Header', 'p', 's', 'security', 'fix', 'very_high', 9, 2, '["a"]',
   'approved', '# PRD'),
  (gen_random_uuid(), E'Ünïcode 😀 \u202Eright to left \\ '' " %s {} $1', E'\n\t\r', '', 'reliability', 'feature', 'low',
   1, 10, null, 'rejected', null),
  (gen_random_uuid(), repeat('x', 10000), 'p', 's', 'api-backend', 'optimization', 'medium', 5, 5,
   '{"deep": [[[{"n": 12345678901234567890.123, "t": "\\u0041"}]]]}', 'new', repeat('Big. ', 200000)),
  (gen_random_uuid(), 'Running', 'p', 's', 'frontend-ux', 'refactor', 'high', 5, 5, '[]', 'in_progress', ''),
  (gen_random_uuid(), 'Done', 'p', 's', 'code-quality', 'fix', 'high', 5, 5, '"text"', 'completed', null);
