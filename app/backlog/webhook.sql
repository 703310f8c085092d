-- Tells Mason at once that an item was approved: a trigger that sends a signed request through pg_net.
--
-- The signature is that of Standard Webhooks: HMAC-SHA256 over "id.timestamp.body". The secret lies in a schema of its
-- own, to which no role but the owner gets in and which no API exposes; the trigger's function reads it as its owner.
-- Whoever holds a dump of the whole database holds the secret too. To take all of it away again:
-- drop schema mason_private cascade.
--
-- mason.webhook_url and mason.webhook_key (base64) are set before this text; pg_net and pgcrypto are there.

create schema if not exists mason_private;
revoke all on schema mason_private from public;

create table if not exists mason_private.webhook (
  only_one boolean primary key default true check (only_one),
  url text not null,
  key bytea not null
);
revoke all on mason_private.webhook from public;
alter table mason_private.webhook enable row level security;

insert into mason_private.webhook (url, key)
values (current_setting('mason.webhook_url'), decode(current_setting('mason.webhook_key'), 'base64'))
on conflict (only_one) do update set url = excluded.url, key = excluded.key;

do $install$
declare
  role_name text;
  hmac text := (
    select format('%I.hmac', n.nspname)
    from pg_proc p
    join pg_namespace n on n.oid = p.pronamespace
    where p.proname = 'hmac' and oidvectortypes(p.proargtypes) = 'bytea, bytea, text'
    order by n.nspname = 'extensions' desc, n.nspname
    limit 1
  );
begin
  for role_name in select rolname from pg_roles where rolname in ('anon', 'authenticated', 'service_role') loop
    execute format('revoke all on schema mason_private from %I', role_name);
    execute format('revoke all on mason_private.webhook from %I', role_name);
  end loop;

  execute format($create$
    create or replace function mason_private.announce_approval() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
    as $body$
    declare
      target mason_private.webhook;
      message text := 'msg_' || replace(gen_random_uuid()::text, '-', '');
      moment text := floor(extract(epoch from clock_timestamp()))::bigint::text;
      -- A hint and no more: Mason reads the row itself. pg_net sends exactly the text of this document.
      body jsonb := jsonb_build_object(
        'type', tg_op, 'table', tg_table_name, 'schema', tg_table_schema,
        'record', jsonb_build_object('id', new.id, 'status', new.status),
        'old_record', case when tg_op = 'UPDATE' then jsonb_build_object('id', old.id, 'status', old.status) end
      );
    begin
      if tg_op = 'UPDATE' and old.status = 'approved' then
        return null;
      end if;
      select * into target from mason_private.webhook;
      if found then
        perform net.http_post(
          url := target.url,
          body := body,
          headers := jsonb_build_object(
            'Content-Type', 'application/json',
            'webhook-id', message,
            'webhook-timestamp', moment,
            'webhook-signature', 'v1,' || encode(
              %s(convert_to(message || '.' || moment || '.' || body::text, 'UTF8'), target.key, 'sha256'), 'base64')
          ),
          timeout_milliseconds := 5000
        );
      end if;
      return null;
    exception when others then
      -- The approval stands whether or not anybody hears of it: Mason looks for approved items every minute.
      raise warning 'mason: the webhook could not be sent (%%)', sqlstate;
      return null;
    end
    $body$
  $create$, hmac);
end
$install$;

revoke all on function mason_private.announce_approval() from public;

drop trigger if exists mason_webhook on mason_pm_backlog_items;
create trigger mason_webhook
  after insert or update on mason_pm_backlog_items
  for each row when (new.status = 'approved') execute function mason_private.announce_approval();
