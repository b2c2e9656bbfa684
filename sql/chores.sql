-- What keeps house: who is told of a change, how long things are kept, and the health of the pipeline over time.

------------------------------------------------------------------------------------------------------------------------
-- Every change of an incident is told on the channel oncall_incident
------------------------------------------------------------------------------------------------------------------------

-- NOTIFY in the transaction that treats an alert would make all such transactions take turns when they commit. So the
-- change is written down here, and the workers tell it.
CREATE TABLE oncall.announcement (
    announcement_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident_id     text NOT NULL,
    state           text NOT NULL,
    severity        text,
    route           text,
    acknowledged_by name,
    at              timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
COMMENT ON TABLE oncall.announcement IS 'Changes of incidents that the workers have not told yet, on the channel oncall_incident; a row is gone when it was told';

CREATE FUNCTION oncall_internal.announce_incident() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO oncall.announcement (incident_id, state, severity, route, acknowledged_by)
    VALUES (NEW.incident_id, NEW.state, NEW.severity, NEW.routing_decision, NEW.acknowledged_by);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION oncall_internal.announce_incident() IS 'Trigger of incident_audit: writes a change of state down, to be told after commit';

-- Only an incident that is new: a restore brings in many that are not.
CREATE TRIGGER announce_new AFTER INSERT ON oncall.incident_audit
    FOR EACH ROW WHEN (NEW.state = 'received') EXECUTE FUNCTION oncall_internal.announce_incident();
CREATE TRIGGER announce_change AFTER UPDATE OF state, acknowledged_at ON oncall.incident_audit
    FOR EACH ROW WHEN (OLD.state <> NEW.state OR OLD.acknowledged_at IS DISTINCT FROM NEW.acknowledged_at)
    EXECUTE FUNCTION oncall_internal.announce_incident();
COMMENT ON TRIGGER announce_new ON oncall.incident_audit IS 'A new incident is told on the channel oncall_incident, after commit';
COMMENT ON TRIGGER announce_change ON oncall.incident_audit IS 'A change of state, and who has it, is told on the channel oncall_incident, after commit';

CREATE TRIGGER wake_pump AFTER INSERT ON oncall.announcement
    FOR EACH STATEMENT EXECUTE FUNCTION oncall_internal.wake_pump();
COMMENT ON TRIGGER wake_pump ON oncall.announcement IS 'The commit wakes the workers';

CREATE FUNCTION oncall_internal.tell_announcements(most integer) RETURNS integer
LANGUAGE sql SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH told AS (
        DELETE FROM oncall.announcement AS a
        WHERE a.announcement_id IN (SELECT n.announcement_id FROM oncall.announcement AS n ORDER BY n.announcement_id LIMIT most)
        RETURNING a.*
    ), sent AS (
        SELECT pg_catalog.pg_notify('oncall_incident', pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
            'incident_id', t.incident_id, 'state', t.state, 'severity', t.severity, 'route', t.route,
            'acknowledged_by', t.acknowledged_by, 'at', t.at))::text)
        FROM (SELECT * FROM told ORDER BY told.announcement_id) AS t
    )
    SELECT pg_catalog.count(*)::integer FROM sent;
END;
COMMENT ON FUNCTION oncall_internal.tell_announcements(integer) IS 'Tells the oldest announcements, in their order, and forgets them; how many';

------------------------------------------------------------------------------------------------------------------------
-- The health of the pipeline over time
------------------------------------------------------------------------------------------------------------------------

CREATE TABLE oncall.health_snapshot (
    taken_at          timestamptz NOT NULL DEFAULT pg_catalog.now(),
    metric_category   text NOT NULL,
    severity_level    text NOT NULL,
    current_avg       double precision,
    baseline_avg      double precision,
    sample_count      integer,
    diagnostic_note   text,
    PRIMARY KEY (taken_at, metric_category)
);
COMMENT ON TABLE oncall.health_snapshot IS 'What system_health_snapshot() said, every quarter of an hour unless schedule_health_snapshot() says otherwise';
SELECT pg_catalog.pg_extension_config_dump('oncall.health_snapshot', '');

CREATE FUNCTION oncall.keep_health_snapshot() RETURNS SETOF oncall.health_snapshot
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    INSERT INTO oncall.health_snapshot (metric_category, severity_level, current_avg, baseline_avg, sample_count, diagnostic_note)
    SELECT s.metric_category, s.severity_level, s.current_avg, s.baseline_avg, s.sample_count, s.diagnostic_note
    FROM oncall.system_health_snapshot() AS s
    ON CONFLICT (taken_at, metric_category) DO NOTHING
    RETURNING health_snapshot.*;
END;
COMMENT ON FUNCTION oncall.keep_health_snapshot() IS 'Takes a snapshot of the pipeline''s health and keeps it in health_snapshot';

------------------------------------------------------------------------------------------------------------------------
-- How long things are kept
------------------------------------------------------------------------------------------------------------------------

CREATE TABLE oncall.retention (
    what       text PRIMARY KEY,
    keep       interval CHECK (keep >= '1 hour'),
    about      text NOT NULL DEFAULT '',
    applied_at timestamptz,
    shipped    boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE oncall.retention IS 'How long what is done with is kept. The audit itself, one row an incident, is kept for ever';
COMMENT ON COLUMN oncall.retention.keep IS 'NULL: for ever';
COMMENT ON COLUMN oncall.retention.applied_at IS 'When everything older was last seen to be gone';
COMMENT ON COLUMN oncall.retention.shipped IS 'True while the row is as the extension brought it';

INSERT INTO oncall.retention (what, keep, about, shipped) VALUES
    ('journal', '90 days', 'incident_step, of incidents closed for so long', true),
    ('inbox', '30 days', 'alert_inbox that was taken in, or could not be', true),
    ('work', '30 days', 'incident_work that is done', true),
    ('deliveries', '90 days', 'delivery that was sent, or is dead', true),
    ('inference_log', '1 year', 'whole months of inference_audit_log', true),
    ('health_snapshots', '1 year', 'health_snapshot', true),
    ('metric_samples', '7 days', 'metric_sample', true);

-- As with audit_thresholds: a restored row takes the place of the shipped one.
CREATE FUNCTION oncall_internal.keep_own_retention() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        DELETE FROM oncall.retention AS r WHERE r.what = NEW.what AND r.shipped;
    ELSIF NEW.keep IS DISTINCT FROM OLD.keep THEN
        NEW.shipped := false;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION oncall_internal.keep_own_retention() IS 'Trigger of retention: an edited row is no longer a shipped one, and an inserted row replaces a shipped one';
CREATE TRIGGER keep_own_retention BEFORE INSERT OR UPDATE ON oncall.retention
    FOR EACH ROW EXECUTE FUNCTION oncall_internal.keep_own_retention();
SELECT pg_catalog.pg_extension_config_dump('oncall.retention', 'WHERE NOT shipped');

CREATE FUNCTION oncall_internal.drop_log_partitions(before timestamptz) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
-- Whoever writes the log queues behind this function's locks. Better to try again tomorrow.
SET lock_timeout = '500ms' AS $$
DECLARE
    month   text;
    dropped bigint := 0;
BEGIN
    FOR month IN
        SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'oncall.inference_audit_log'::regclass AND c.relname ~ '^inference_audit_log_\d{4}_\d\d$'
          AND to_timestamp(right(c.relname, 7), 'YYYY_MM') + interval '1 month' <= before
        ORDER BY c.relname LOOP
        EXECUTE format('DROP TABLE oncall.%I', month);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
EXCEPTION WHEN lock_not_available THEN
    RAISE NOTICE 'inference_audit_log is in use: its old months stay until the next time';
    RETURN 0;
END
$$;
COMMENT ON FUNCTION oncall_internal.drop_log_partitions(timestamptz) IS 'Drops the months of inference_audit_log that ended before; how many';

CREATE FUNCTION oncall.apply_retention(most integer DEFAULT 10000) RETURNS TABLE (what text, removed bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    rule   oncall.retention;
    before timestamptz;
BEGIN
    IF most IS NULL OR most < 1 THEN
        RAISE EXCEPTION 'most must be at least 1, not %', coalesce(most::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'It is how many rows of each kind one call removes at most; 10000 by default.';
    END IF;
    FOR rule IN SELECT * FROM oncall.retention AS r ORDER BY r.what LOOP
        before := coalesce(now() - rule.keep, '-infinity');
        removed := 0;
        CASE rule.what
            WHEN 'journal' THEN
                removed := oncall_internal.forget_journal(before, most);
            WHEN 'inbox' THEN
                DELETE FROM oncall.alert_inbox AS i WHERE i.id IN (
                    SELECT d.id FROM oncall.alert_inbox AS d WHERE d.done_at < before ORDER BY d.done_at LIMIT most);
                GET DIAGNOSTICS removed = ROW_COUNT;
            WHEN 'work' THEN
                DELETE FROM oncall.incident_work AS w WHERE w.work_id IN (
                    SELECT d.work_id FROM oncall.incident_work AS d WHERE d.state IN ('done', 'given_up') AND d.done_at < before LIMIT most);
                GET DIAGNOSTICS removed = ROW_COUNT;
            WHEN 'deliveries' THEN
                DELETE FROM oncall.delivery AS o WHERE o.id IN (
                    SELECT d.id FROM oncall.delivery AS d WHERE d.state IN ('sent', 'dead') AND d.created_at < before LIMIT most);
                GET DIAGNOSTICS removed = ROW_COUNT;
            WHEN 'inference_log' THEN
                removed := oncall_internal.drop_log_partitions(before) + oncall_internal.forget_inferences(before, most);
            WHEN 'health_snapshots' THEN
                DELETE FROM oncall.health_snapshot AS s WHERE (s.taken_at, s.metric_category) IN (
                    SELECT d.taken_at, d.metric_category FROM oncall.health_snapshot AS d WHERE d.taken_at < before LIMIT most);
                GET DIAGNOSTICS removed = ROW_COUNT;
            WHEN 'metric_samples' THEN
                DELETE FROM oncall.metric_sample AS s WHERE s.ctid IN (
                    SELECT d.ctid FROM oncall.metric_sample AS d WHERE d.sampled_at < before LIMIT most);
                GET DIAGNOSTICS removed = ROW_COUNT;
            ELSE
                -- Of another version: nobody knows here what it would mean.
                CONTINUE;
        END CASE;
        IF removed < most THEN
            UPDATE oncall.retention AS r SET applied_at = now() WHERE r.what = rule.what;
        END IF;
        what := rule.what;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION oncall.apply_retention(integer) IS 'Removes what is older than retention says, at most so many rows of each kind (and whole months of the log); again while one of them gives as many as that';

------------------------------------------------------------------------------------------------------------------------
-- pg_cron, where there is one; else the workers do both by themselves
------------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION oncall_internal.schedule(job text, schedule text, command text) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    id bigint;
BEGIN
    IF schedule IS NULL THEN
        RAISE EXCEPTION 'a schedule is needed'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'As in a crontab: ''*/15 * * * *'' is every quarter of an hour.';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron') THEN
        RAISE EXCEPTION 'pg_cron is not installed in database "%"', current_database()
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'Without pg_cron the workers of pg_oncall do this by themselves: a snapshot every quarter of an hour, the retention once a day.',
                  HINT = format('For a schedule of your own: shared_preload_libraries = ''pg_cron, pg_oncall'' and cron.database_name = %L in postgresql.conf, a restart, and CREATE EXTENSION pg_cron', current_database());
    END IF;
    -- Not resolved when this function is made: pg_cron may come later.
    EXECUTE 'SELECT cron.schedule($1, $2, $3)' INTO id USING job, schedule, command;
    RETURN id;
END
$$;
COMMENT ON FUNCTION oncall_internal.schedule(text, text, text) IS 'Sets up a job of pg_cron, or changes it; its id';

CREATE FUNCTION oncall.schedule_health_snapshot(schedule text DEFAULT '*/15 * * * *') RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT oncall_internal.schedule('pg_oncall: health snapshot', schedule, 'SELECT count(*) FROM oncall.keep_health_snapshot()');
END;
COMMENT ON FUNCTION oncall.schedule_health_snapshot(text) IS 'Let pg_cron take the snapshots of health_snapshot; the id of the job';

CREATE FUNCTION oncall.schedule_retention(schedule text DEFAULT '17 3 * * *') RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT oncall_internal.schedule('pg_oncall: retention', schedule, 'SELECT * FROM oncall.apply_retention(1000000)');
END;
COMMENT ON FUNCTION oncall.schedule_retention(text) IS 'Let pg_cron remove what is older than retention says; the id of the job';

CREATE FUNCTION oncall_internal.is_scheduled(job text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    scheduled boolean;
BEGIN
    IF to_regclass('cron.job') IS NULL THEN
        RETURN false;
    END IF;
    EXECUTE 'SELECT EXISTS (SELECT FROM cron.job WHERE jobname = $1 AND active AND database = current_database())' INTO scheduled USING job;
    RETURN scheduled;
END
$$;
COMMENT ON FUNCTION oncall_internal.is_scheduled(text) IS 'Whether pg_cron does a job, so that the workers need not';

CREATE FUNCTION oncall_internal.chores_due() RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN jsonb_build_object(
        'snapshot', NOT oncall_internal.is_scheduled('pg_oncall: health snapshot')
            AND coalesce((SELECT max(s.taken_at) FROM oncall.health_snapshot AS s), '-infinity') <= clock_timestamp() - interval '15 minutes',
        'retention', NOT oncall_internal.is_scheduled('pg_oncall: retention')
            AND EXISTS (SELECT FROM oncall.retention AS r WHERE r.keep IS NOT NULL AND coalesce(r.applied_at, '-infinity') <= clock_timestamp() - interval '1 day'));
END
$$;
COMMENT ON FUNCTION oncall_internal.chores_due() IS 'What the workers are to do now: snapshot, retention; never what pg_cron does';

COMMENT ON FUNCTION oncall_internal.forget_journal(timestamptz, integer) IS 'Removes journal entries of incidents that were closed before, at most so many; how many';
COMMENT ON FUNCTION oncall_internal.forget_inferences(timestamptz, integer) IS 'Removes inferences older than that from the default partition, at most so many; how many';
