-- What the queue does with procrastinate's table, each thing in one round trip
--
-- A job is named by its queueing lock, so a thing waits at most once. "trouble" in its arguments is what its
-- predecessors met: "tries" (calls in a row that failed), "failures" (of those, the ones that count for parking),
-- "not_before" (somebody asked to be left alone until then); in a parked one also "reason" and "since".

create index procrastinate_jobs_mason_parked on procrastinate_jobs (queueing_lock) where status = 'failed';

-- Have a job done at a time. One that waits already is brought forward, as far as it may be.
create function put_job(a_task text, a_lock text, a_name text, some_args jsonb, an_at timestamptz)
returns void language plpgsql set search_path from current as $$
begin
  -- Nothing is locked when it waits for that time anyway: whoever takes it looks later than its caller has.
  perform from procrastinate_jobs
  where queueing_lock = a_name and status = 'todo'
    and scheduled_at <= greatest(an_at, (args #>> '{trouble,not_before}')::timestamptz);
  if found then
    return;
  end if;
  insert into procrastinate_jobs as waiting (queue_name, task_name, lock, queueing_lock, args, scheduled_at)
  values ('mason', a_task, a_lock, a_name, some_args, an_at)
  on conflict (queueing_lock) where status = 'todo' do update
  set scheduled_at = least(
    waiting.scheduled_at, greatest(excluded.scheduled_at, (waiting.args #>> '{trouble,not_before}')::timestamptz)
  );
  -- The library tells its workers about a new row only.
  perform pg_notify('procrastinate_queue_v1#mason', '{"type": "job_inserted", "job_id": 0}');
end
$$;

-- A running job's way to "failed": why, and since when this thing is parked. There is one parked job of a name.
create function park_job(an_id bigint, a_reason text, some_trouble jsonb)
returns void language plpgsql set search_path from current as $$
declare
  a_name text;
  parked_since text;
begin
  select queueing_lock into a_name from procrastinate_jobs where id = an_id and status = 'doing' for update;
  if not found then
    return;
  end if;
  with earlier as (
    delete from procrastinate_jobs where queueing_lock = a_name and status = 'failed' returning args
  )
  select min(args #>> '{trouble,since}') into parked_since from earlier;
  update procrastinate_jobs
  set args = (args - 'trouble') || jsonb_build_object('trouble', some_trouble || jsonb_build_object(
    'reason', a_reason, 'since', coalesce(parked_since, to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
  ))
  where id = an_id;
end
$$;

-- A parked job waits again, as if nothing had been. False when there is none.
create function retry_parked_job(an_id bigint)
returns boolean language plpgsql set search_path from current as $$
declare
  parked procrastinate_jobs;
begin
  delete from procrastinate_jobs where id = an_id and status = 'failed' returning * into parked;
  if not found then
    return false;
  end if;
  perform put_job(parked.task_name, parked.lock, parked.queueing_lock, parked.args - 'trouble', clock_timestamp());
  return true;
end
$$;

-- A running job that nobody runs any more waits again, as a new row: whatever its late worker says of the old one then
-- reaches nobody. `died`: its worker died on it, which counts. False when somebody was faster.
create function give_back_job(an_id bigint, died boolean, most_failures integer)
returns boolean language plpgsql set search_path from current as $$
declare
  lost procrastinate_jobs;
  failures integer;
begin
  select * into lost from procrastinate_jobs where id = an_id and status = 'doing' for update skip locked;
  if not found then
    return false;
  end if;
  failures := coalesce((lost.args #>> '{trouble,failures}')::integer, 0) + died::integer;
  if died then
    lost.args := jsonb_set(lost.args, '{trouble}', coalesce(lost.args -> 'trouble', '{}') || jsonb_build_object(
      'failures', failures, 'tries', coalesce((lost.args #>> '{trouble,tries}')::integer, 0) + 1
    ));
  end if;
  if died and failures >= most_failures then
    perform park_job(an_id, 'Its worker died of it, again and again', lost.args -> 'trouble');
    update procrastinate_jobs set status = 'failed', worker_id = null where id = an_id;
  else
    delete from procrastinate_jobs where id = an_id;
    perform put_job(lost.task_name, lost.lock, lost.queueing_lock, lost.args, clock_timestamp());
  end if;
  return true;
end
$$;

-- Jobs of workers without a heartbeat for so many seconds, and those that their own worker does not know: back to work.
create function revive_jobs(dead_after double precision, unknown bigint[], most_failures integer)
returns integer language sql set search_path from current as $$
  select count(*)::integer from (
    select give_back_job(job.id, not job.id = any (unknown), most_failures) as given_back
    from procrastinate_jobs job left join procrastinate_workers worker on worker.id = job.worker_id
    where job.status = 'doing' and (
      worker.id is null or worker.last_heartbeat < clock_timestamp() - make_interval(secs => dead_after)
      or job.id = any (unknown)
    )
  ) lost
  where given_back
$$;
