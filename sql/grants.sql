-- Nothing for PUBLIC; to each role what its work needs.

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA oncall FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA oncall_internal FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA oncall FROM PUBLIC;

GRANT USAGE ON SCHEMA oncall TO oncall_reader, oncall_ingest, oncall_operator, oncall_admin;

GRANT SELECT ON
    oncall.ops_runbooks, oncall.tool, oncall.router_policy, oncall.circuit_breaker, oncall.incident_audit,
    oncall.incident_step, oncall.incident_work, oncall.inference_audit_log, oncall.audit_thresholds, oncall.metric_sample
    TO oncall_reader;
GRANT EXECUTE ON FUNCTION
    oncall.explain_route(text), oncall.incident_timeline(text), oncall.search_runbooks(text, integer),
    oncall.embed_builtin(text), oncall.system_health_snapshot(integer, integer), oncall.worker_status()
    TO oncall_reader;
-- oncall.embed_builtin() is expanded into the statement that calls it, so its caller needs what it is made of.
GRANT USAGE ON SCHEMA oncall_internal TO oncall_reader;
GRANT EXECUTE ON FUNCTION oncall_internal.embed_builtin(text) TO oncall_reader;

-- Not the rest of the row: who handed it in and when is not for the sender to say.
GRANT INSERT (source, payload) ON oncall.alert_inbox TO oncall_ingest;
GRANT EXECUTE ON FUNCTION oncall.triage_alert_trigger() TO oncall_ingest, oncall_admin;
GRANT SELECT ON oncall.alert_inbox TO oncall_operator, oncall_admin;
GRANT SELECT ON oncall.malformed_alerts TO oncall_reader;
GRANT EXECUTE ON FUNCTION oncall.explain_dedup(jsonb), oncall.explain_dedup(text) TO oncall_reader;

GRANT EXECUTE ON FUNCTION
    oncall.triage_alert(jsonb), oncall.triage_alert(text), oncall.handle_alert(jsonb), oncall.handle_alert(text),
    oncall.route_incident(text), oncall.run_diagnostic(text, jsonb)
    TO oncall_operator;
GRANT INSERT ON oncall.metric_sample TO oncall_operator;

GRANT INSERT, UPDATE, DELETE ON oncall.ops_runbooks, oncall.tool, oncall.audit_thresholds TO oncall_admin;
-- Not the version, the author and the time: these are not for the author to say.
GRANT INSERT (severity, incident_type, confidence_threshold, max_actions_per_hour, max_repeats_per_hour, builtin_weight,
              pod_weight, approvals_required, approval_life, note)
    ON oncall.router_policy TO oncall_admin;
GRANT UPDATE (state, reason) ON oncall.circuit_breaker TO oncall_admin;
GRANT DELETE ON oncall.metric_sample TO oncall_admin;
GRANT EXECUTE ON FUNCTION
    oncall.load_runbook(text, text), oncall.load_runbooks(text), oncall.reembed_runbooks(), oncall.try_guard(text)
    TO oncall_admin;

-- The human side, and the chores.
GRANT SELECT ON
    oncall.approval, oncall.steps_to_approve, oncall.labelled_alert, oncall.maintenance_window, oncall.health_snapshot, oncall.retention
    TO oncall_reader;
GRANT EXECUTE ON FUNCTION oncall.wait_for_incident(text, interval) TO oncall_reader;
GRANT EXECUTE ON FUNCTION
    oncall.acknowledge_incident(text), oncall.approve_step(text, text, jsonb, text, boolean), oncall.reject_step(text, text, text),
    oncall.resolve_incident(text, text, boolean, text)
    TO oncall_operator;
-- Not who made a window, and when.
GRANT INSERT (during, labels, note), UPDATE (during, note) ON oncall.maintenance_window TO oncall_operator, oncall_admin;
GRANT DELETE ON oncall.maintenance_window TO oncall_operator, oncall_admin;
GRANT UPDATE (keep) ON oncall.retention TO oncall_admin;
GRANT EXECUTE ON FUNCTION
    oncall.keep_health_snapshot(), oncall.apply_retention(integer), oncall.schedule_health_snapshot(text), oncall.schedule_retention(text)
    TO oncall_admin;
-- Where pages go is the admin's. The URL of a sink may be a secret, so others see the rest of its row.
GRANT SELECT (name, format, min_severity, kinds, enabled, note) ON oncall.sink TO oncall_reader;
GRANT SELECT, DELETE ON oncall.sink TO oncall_admin;
GRANT INSERT (name, format, url, secret_file, min_severity, kinds, enabled, note),
      UPDATE (name, format, url, secret_file, min_severity, kinds, enabled, note) ON oncall.sink TO oncall_admin;
GRANT SELECT ON oncall.delivery, oncall.dead_letters TO oncall_reader;
GRANT EXECUTE ON FUNCTION oncall.send_test_page(text), oncall.page_incident(text, text), oncall.redeliver(bigint) TO oncall_operator, oncall_admin;

-- What the tools' templates call, as the roles that tools run as.
GRANT USAGE ON SCHEMA oncall TO oncall_executor, oncall_observer;
GRANT EXECUTE ON FUNCTION
    oncall.dblink_schema(), oncall.foreign_server(name), oncall.pgbouncer_pools(name), oncall.pgbouncer_config(name),
    oncall.root_blockers(), oncall.snapshot_holders(), oncall.top_statements(integer)
    TO oncall_executor, oncall_observer;
GRANT EXECUTE ON FUNCTION oncall.pgbouncer_set(name, text, bigint) TO oncall_executor;

-- Settings of judgement are the admin's. Where data goes, and the key, stay with the superuser.
DO $$
DECLARE
    setting text;
BEGIN
    FOREACH setting IN ARRAY ARRAY['autonomy', 'top_k', 'max_tokens', 'prompt_tokens', 'request_timeout', 'dedup_window'] LOOP
        EXECUTE pg_catalog.format('GRANT SET, ALTER SYSTEM ON PARAMETER oncall.%I TO oncall_admin', setting);
    END LOOP;
END
$$;
