CREATE EXTENSION pg_oncall CASCADE;
SELECT oncall.ensure_log_partitions();

CREATE SCHEMA drill;
CREATE TABLE drill.run (key text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
-- Slow enough to be killed in the middle; the count is committed with the command, so a run that counts has happened.
CREATE FUNCTION drill.count_run(key text) RETURNS text LANGUAGE sql VOLATILE
    AS $$ INSERT INTO drill.run (key) VALUES (key); SELECT pg_sleep(0.03); SELECT key $$;
GRANT USAGE ON SCHEMA drill TO oncall_executor, oncall_observer;
GRANT INSERT ON drill.run TO oncall_executor;
GRANT SELECT ON drill.run TO oncall_observer;

INSERT INTO oncall.tool (name, kind, summary, template, parameters) VALUES
    ('count_run', 'remediation', 'Counts its runs', 'SELECT drill.count_run({key:literal})', '{"key": {"type": "identifier"}}');
INSERT INTO oncall.router_policy (confidence_threshold, max_actions_per_hour, note) VALUES (0.5, 100000, 'a drill');
