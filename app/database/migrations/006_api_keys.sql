-- Keys of the REST API; of a key's text only its SHA-256 is here. Revoked keys are kept, for who asks what they were
create table api_keys (
  prefix text primary key,
  name text not null,
  scope text not null,
  digest bytea not null,
  created_at timestamptz not null default clock_timestamp(),
  last_used_at timestamptz,
  revoked_at timestamptz
);
