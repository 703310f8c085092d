-- Binds an approval to what was approved: a digest over five fields, stamped when an item becomes approved.

-- The same text that app.domain.items.approval_digest hashes: "<octets>:<text>" or "-" for null, joined by commas.
create or replace function mason_approval_digest(title text, problem text, solution text, type text, prd text)
returns text
language sql stable
set search_path from current
as $$
  select encode(
    sha256(convert_to(
      string_agg(
        case when part.value is null then '-'
             else octet_length(convert_to(part.value, 'UTF8')) || ':' || part.value end,
        ',' order by part.place
      ),
      'UTF8'
    )),
    'hex'
  )
  from unnest(array[$1, $2, $3, $4, $5]) with ordinality as part (value, place)
$$;

-- A return from in_progress keeps the stamp: the approval is still the same one.
create or replace function mason_stamp_approval() returns trigger
language plpgsql
set search_path from current
as $$
begin
  if new.status = 'approved'
     and (tg_op = 'INSERT' or old.status in ('new', 'deferred', 'rejected')) then
    new.approved_at := now();
    new.approved_digest := mason_approval_digest(
      new.title, coalesce(new.problem, ''), coalesce(new.solution, ''), coalesce(new.type, ''), new.prd_content
    );
    new.execution_attempt := 0;
  end if;
  return new;
end
$$;

drop trigger if exists mason_approval_digest on mason_pm_backlog_items;
create trigger mason_approval_digest
  before insert or update on mason_pm_backlog_items
  for each row execute function mason_stamp_approval();
