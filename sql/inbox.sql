-- Alerts in through a table: whoever may insert a row may wake an engineer, and nothing else.

CREATE TABLE oncall.alert_inbox (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source       text,
    payload      jsonb NOT NULL,
    received_at  timestamptz NOT NULL DEFAULT pg_catalog.now() CHECK (pg_catalog.isfinite(received_at)),
    received_by  name NOT NULL DEFAULT session_user,
    state        text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'done', 'malformed', 'given_up')),
    attempts     integer NOT NULL DEFAULT 0,
    begun_at     timestamptz,
    error        text,
    incident_ids text[],
    done_at      timestamptz,
    CHECK ((done_at IS NULL) = (state = 'waiting'))
);
-- What the pump looks for and what people look for: a few rows, however many are done.
CREATE INDEX alert_inbox_waiting_idx ON oncall.alert_inbox (id) WHERE state = 'waiting';
CREATE INDEX alert_inbox_malformed_idx ON oncall.alert_inbox (id) WHERE state IN ('malformed', 'given_up');
-- What retention looks for.
CREATE INDEX alert_inbox_done_at_idx ON oncall.alert_inbox (done_at);

COMMENT ON TABLE oncall.alert_inbox IS 'Alerts in: insert (source, payload), and after the commit a worker makes incidents of it';
COMMENT ON COLUMN oncall.alert_inbox.source IS 'Where it comes from, in the words of whoever hands it in';
COMMENT ON COLUMN oncall.alert_inbox.payload IS 'As its sender posted it, in any format that triage_alert() reads; a JSON string is read as text. Secrets are still in it';
COMMENT ON COLUMN oncall.alert_inbox.received_by IS 'The user that handed it in';
COMMENT ON COLUMN oncall.alert_inbox.state IS 'waiting; done: it belongs to incident_ids; malformed: it cannot be read; given_up: it failed, or ended the worker, three times';
COMMENT ON COLUMN oncall.alert_inbox.attempts IS 'How often it was tried: counted before each try, so that what ends the worker is noticed';
COMMENT ON COLUMN oncall.alert_inbox.begun_at IS 'When a worker began with it, at the last try';
COMMENT ON COLUMN oncall.alert_inbox.error IS 'Why it is malformed or was given up, secrets redacted';
COMMENT ON COLUMN oncall.alert_inbox.incident_ids IS 'The incidents that its alerts opened, joined or closed, in the order of the payload; for one that could not be read, the incident that says so';

SELECT pg_catalog.pg_extension_config_dump('oncall.alert_inbox', '');
SELECT pg_catalog.pg_extension_config_dump('oncall.alert_inbox_id_seq', '');

CREATE TRIGGER wake_pump AFTER INSERT ON oncall.alert_inbox
    FOR EACH STATEMENT EXECUTE FUNCTION oncall_internal.wake_pump();
COMMENT ON TRIGGER wake_pump ON oncall.alert_inbox IS 'Wakes the background worker of this database at the commit';

-- What was closed, by fingerprint: what explain_dedup() looks for.
CREATE INDEX incident_audit_closed_idx ON oncall.incident_audit (fingerprint, closed_at) WHERE closed_at IS NOT NULL;

-- Without the payload, which may hold secrets: that is in the table, for whoever may see it.
CREATE VIEW oncall.malformed_alerts AS
    SELECT i.id, i.source, i.received_at, i.received_by, i.state, i.attempts, i.error, i.incident_ids,
           pg_catalog.pg_column_size(i.payload) AS bytes
    FROM oncall.alert_inbox AS i
    WHERE i.state IN ('malformed', 'given_up');
COMMENT ON VIEW oncall.malformed_alerts IS 'Alerts that could not be read or handled, and why; each has an incident that says so. Their payloads are in alert_inbox';

CREATE FUNCTION oncall.triage_alert_trigger() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    payload jsonb;
BEGIN
    IF TG_LEVEL <> 'ROW' OR TG_OP NOT IN ('INSERT', 'UPDATE') THEN
        RAISE EXCEPTION 'triage_alert_trigger() is for rows that are inserted or updated'
            USING ERRCODE = 'trigger_protocol_violated',
                  HINT = 'CREATE TRIGGER … AFTER INSERT ON … FOR EACH ROW EXECUTE FUNCTION oncall.triage_alert_trigger()';
    END IF;
    -- As the owner of the table: a column's type may have a cast to json, which is code of whoever made the type.
    payload := oncall_internal.row_as_json(NEW, (SELECT c.relowner FROM pg_class AS c WHERE c.oid = TG_RELID))::jsonb;
    IF TG_NARGS > 0 THEN
        IF NOT payload ? TG_ARGV[0] THEN
            RAISE EXCEPTION 'table %.% has no column "%" to take an alert from', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_ARGV[0]
                USING ERRCODE = 'undefined_column',
                      HINT = 'The first argument of triage_alert_trigger() names the column of the payload; without it the whole row is the alert.';
        END IF;
        payload := payload -> TG_ARGV[0];
    END IF;
    INSERT INTO oncall.alert_inbox (source, payload)
    VALUES (CASE WHEN TG_NARGS > 1 THEN TG_ARGV[1] ELSE format('%I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME) END, payload);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION oncall.triage_alert_trigger() IS 'Trigger that makes any table an inbox: FOR EACH ROW EXECUTE FUNCTION oncall.triage_alert_trigger([column of the payload [, source]]); without a column the whole row is the alert';

CREATE FUNCTION oncall.explain_dedup(alert jsonb)
RETURNS TABLE (number integer, alert_text text, fingerprint text, made_from jsonb, outcome text, incident_id text, rule text, reason text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT e.number::integer, e.alert, e.fingerprint, e.made_from, e.outcome, e.incident_id, e.rule, e.reason
    FROM ROWS FROM (pg_catalog.jsonb_to_recordset(oncall_internal.explain_dedup(coalesce(explain_dedup.alert::text, 'null')))
             AS (alert text, fingerprint text, made_from jsonb, outcome text, incident_id text, rule text, reason text))
         WITH ORDINALITY AS e (alert, fingerprint, made_from, outcome, incident_id, rule, reason, number)
    ORDER BY e.number;
END;
COMMENT ON FUNCTION oncall.explain_dedup(jsonb) IS 'For each alert of a payload: its fingerprint and what that is made from, whether it would join an incident, open or close one, and by which rule. Writes nothing';

CREATE FUNCTION oncall.explain_dedup(alert text)
RETURNS TABLE (number integer, alert_text text, fingerprint text, made_from jsonb, outcome text, incident_id text, rule text, reason text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- A JSON string is read as the text that it is.
    SELECT e.* FROM oncall.explain_dedup(pg_catalog.to_jsonb(coalesce(explain_dedup.alert, ''))) AS e;
END;
COMMENT ON FUNCTION oncall.explain_dedup(text) IS 'The same for text: a payload that arrived as text, or plain words';

COMMENT ON FUNCTION oncall_internal.row_as_json(anyelement, oid) IS 'A row as JSON, made with the rights of this role alone';
COMMENT ON FUNCTION oncall_internal.explain_dedup(text) IS 'What each alert of a payload, which is JSON, would do, as an array';
