-- Secrets, encrypted by Mason before they come here. The one without a name tells with which master secret
create table sealed (
  name text primary key,
  token text not null,
  put_at timestamptz not null default clock_timestamp()
);
