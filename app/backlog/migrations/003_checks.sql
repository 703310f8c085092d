-- Widens CHECK constraints, whatever their names, so that every value Mason writes is accepted.
-- A widened constraint keeps its name and everything it allowed before.

create function pg_temp.mason_widen(target regclass, target_column name, wanted text[]) returns void
language plpgsql as $$
declare
  rule record;
  accepts boolean;
begin
  for rule in
    select c.conname, c.convalidated, pg_get_expr(c.conbin, c.conrelid) as expression
    from pg_constraint c
    join pg_attribute a on a.attrelid = c.conrelid and a.attname = target_column
    where c.conrelid = target and c.contype = 'c' and c.conkey = array[a.attnum]
      -- A column of numbers has no words to widen by (complexity, in all but the oldest generation).
      and a.atttypid in ('text'::regtype, 'varchar'::regtype)
  loop
    -- The constraint itself is asked: its expression is run over the values in place of the column.
    execute format(
      'select bool_and(coalesce((%s), true)) from unnest(%L::text[]) as candidates (%I)',
      rule.expression, wanted, target_column
    ) into accepts;
    continue when accepts;
    execute format(
      'alter table %s drop constraint %I, add constraint %I check ((%s) or %I = any (%L::text[]))%s',
      target, rule.conname, rule.conname, rule.expression, target_column, wanted,
      case when rule.convalidated then '' else ' not valid' end
    );
  end loop;
end
$$;

select pg_temp.mason_widen(t.target::regclass, t.target_column, t.wanted)
from (
  values
    ('mason_pm_backlog_items', 'status',
      array['new', 'approved', 'in_progress', 'completed', 'deferred', 'rejected']),
    -- Exactly the dashboard's twelve: it puts its own constraint back, which more values here would break.
    ('mason_pm_backlog_items', 'type',
      array['feature', 'ui', 'ux', 'api', 'data', 'security', 'performance', 'code-quality',
            'dashboard', 'discovery', 'auth', 'backend']),
    ('mason_pm_backlog_items', 'area', array['frontend', 'backend']),
    ('mason_pm_backlog_items', 'complexity', array['1', '2', '3', '4', '5']),
    ('mason_pm_backlog_items', 'evidence_status', array['verified', 'refuted', 'inconclusive']),
    ('mason_execution_progress', 'current_phase',
      array['site_review', 'foundation', 'building', 'inspection', 'complete']),
    ('mason_execution_progress', 'wave_status', array['pending', 'in_progress', 'completed']),
    ('mason_execution_progress', 'validation_typescript', array['pending', 'running', 'pass', 'fail', 'skipped']),
    ('mason_execution_progress', 'validation_eslint', array['pending', 'running', 'pass', 'fail', 'skipped']),
    ('mason_execution_progress', 'validation_build', array['pending', 'running', 'pass', 'fail', 'skipped']),
    ('mason_execution_progress', 'validation_tests', array['pending', 'running', 'pass', 'fail', 'skipped']),
    ('mason_execution_progress', 'validation_smoke_test', array['pending', 'running', 'pass', 'fail', 'skipped']),
    ('mason_remote_execution_runs', 'status', array['pending', 'in_progress', 'success', 'failed', 'cancelled']),
    ('mason_pm_execution_runs', 'status', array['pending', 'in_progress', 'success', 'failed', 'cancelled']),
    ('mason_execution_logs', 'log_level', array['debug', 'info', 'warn', 'error']),
    ('mason_pm_execution_tasks', 'status', array['pending', 'in_progress', 'completed', 'failed', 'skipped']),
    ('mason_pm_execution_tasks', 'subagent_type',
      array['Explore', 'general-purpose', 'Bash', 'code-reviewer', 'frontend-design', 'Plan']),
    ('mason_item_events', 'event_type',
      array['status_changed', 'prd_generated', 'branch_created', 'pr_created', 'note_added'])
) as t (target, target_column, wanted);

drop function pg_temp.mason_widen(regclass, name, text[]);
