-- Taking a job asks for each candidate who else has its lock; without this, a long queue is read as a whole every time
create index procrastinate_jobs_mason_lock on procrastinate_jobs (lock, status) where status in ('todo', 'doing');
