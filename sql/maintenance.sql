-- Maintenance windows: planned work sets off alerts, and nobody is to be paged for it, nor anything repaired.

CREATE TABLE oncall.maintenance_window (
    window_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    during     tstzrange NOT NULL,
    labels     jsonb NOT NULL DEFAULT '{}' CHECK (pg_catalog.jsonb_typeof(labels) = 'object'),
    note       text,
    created_by name NOT NULL DEFAULT session_user,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    CONSTRAINT maintenance_window_has_an_end CHECK (
        NOT pg_catalog.isempty(during) AND NOT pg_catalog.lower_inf(during) AND NOT pg_catalog.upper_inf(during)
        AND pg_catalog.isfinite(pg_catalog.lower(during)) AND pg_catalog.isfinite(pg_catalog.upper(during)))
);
CREATE INDEX maintenance_window_during_idx ON oncall.maintenance_window USING gist (during);

COMMENT ON TABLE oncall.maintenance_window IS
    'While a window lasts, an incident whose alert has its labels is triaged, but decision, action and page are held back; at the end it is decided once, by what is true then';
COMMENT ON COLUMN oncall.maintenance_window.during IS 'From when to when. To end it early: UPDATE … SET during = tstzrange(lower(during), now())';
COMMENT ON COLUMN oncall.maintenance_window.labels IS 'What the alert''s labels must contain, such as {"instance": "db-2"} or {"alertname": "ReplicationLag"}; {} is every alert';

SELECT pg_catalog.pg_extension_config_dump('oncall.maintenance_window', '');
SELECT pg_catalog.pg_extension_config_dump('oncall.maintenance_window_window_id_seq', '');

CREATE FUNCTION oncall_internal.check_window() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- What is no object at all, the table itself refuses.
    IF TG_OP <> 'DELETE' AND jsonb_typeof(NEW.labels) = 'object' THEN
        IF EXISTS (SELECT FROM jsonb_each(NEW.labels) AS l WHERE jsonb_typeof(l.value) <> 'string') THEN
            RAISE EXCEPTION 'the labels of a maintenance window are texts'
                USING ERRCODE = 'check_violation', DETAIL = format('Got %s.', NEW.labels), HINT = 'Such as {"instance": "db-2"}.';
        END IF;
    END IF;
    IF TG_OP = 'UPDATE' AND lower(NEW.during) IS DISTINCT FROM lower(OLD.during) AND lower(OLD.during) <= now() THEN
        RAISE EXCEPTION 'maintenance window % has begun: its beginning cannot be changed', OLD.window_id
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Its end can: UPDATE oncall.maintenance_window SET during = tstzrange(lower(during), now())';
    ELSIF TG_OP = 'DELETE' AND lower(OLD.during) <= now() THEN
        RAISE EXCEPTION 'maintenance window % has begun: the audit refers to it', OLD.window_id
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'End it instead: UPDATE oncall.maintenance_window SET during = tstzrange(lower(during), now())';
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END
$$;
COMMENT ON FUNCTION oncall_internal.check_window() IS 'Trigger of maintenance_window: labels are texts, and what has begun stays, but for its end';

CREATE TRIGGER check_window BEFORE INSERT OR UPDATE OR DELETE ON oncall.maintenance_window
    FOR EACH ROW EXECUTE FUNCTION oncall_internal.check_window();
COMMENT ON TRIGGER check_window ON oncall.maintenance_window IS 'Labels are texts, and what has begun stays, but for its end';

CREATE FUNCTION oncall_internal.window_of(alert jsonb, at timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- Windows that touch or overlap are one: what is held at the end of the first would only be held again.
    SELECT pg_catalog.upper(span)
    FROM (SELECT pg_catalog.range_agg(w.during) AS all_of_them
          FROM oncall.maintenance_window AS w
          WHERE pg_catalog.upper(w.during) > at AND coalesce(alert -> 'labels', '{}') @> w.labels) AS m,
         pg_catalog.unnest(m.all_of_them) AS span
    WHERE span @> at;
END;
COMMENT ON FUNCTION oncall_internal.window_of(jsonb, timestamptz) IS 'The end of the maintenance window that covers an alert at a time; NULL for none';

-- When the next window ends is asked for after every commit.
CREATE INDEX incident_work_held_idx ON oncall.incident_work (not_before) WHERE state = 'held';

CREATE FUNCTION oncall_internal.release_held(only_due boolean) RETURNS double precision
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    WITH held AS MATERIALIZED (
        SELECT w.work_id, oncall_internal.window_of(a.alert, clock_timestamp()) AS until
        FROM oncall.incident_work AS w JOIN oncall.incident_audit AS a USING (incident_id)
        WHERE w.state = 'held' AND (w.not_before <= clock_timestamp() OR NOT only_due)
    )
    UPDATE oncall.incident_work AS w
    SET state = CASE WHEN held.until IS NULL THEN 'queued' ELSE 'held' END, not_before = held.until
    FROM held
    WHERE w.work_id = held.work_id AND w.state = 'held' AND held.until IS DISTINCT FROM w.not_before;
    IF FOUND THEN
        PERFORM oncall_internal.wake();
    END IF;
    RETURN (SELECT extract(epoch FROM min(w.not_before) - clock_timestamp()) FROM oncall.incident_work AS w WHERE w.state = 'held');
END
$$;
COMMENT ON FUNCTION oncall_internal.release_held(boolean) IS 'Gives back to the workers what no maintenance window holds any more; seconds until the next end of one, NULL where nothing is held';

CREATE FUNCTION oncall_internal.windows_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM oncall_internal.release_held(false);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION oncall_internal.windows_changed() IS 'Trigger of maintenance_window: a window that ends early, or longer, moves what it holds';

CREATE TRIGGER windows_changed AFTER UPDATE OR DELETE ON oncall.maintenance_window
    FOR EACH STATEMENT EXECUTE FUNCTION oncall_internal.windows_changed();
COMMENT ON TRIGGER windows_changed ON oncall.maintenance_window IS 'A window that ends early gives back what it holds';
