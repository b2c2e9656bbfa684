-- $1 incident: what a page written by hand says of it.
SELECT pg_catalog.jsonb_build_object(
    'text', a.alert_text, 'severity', a.severity, 'fingerprint', a.fingerprint, 'classification', a.classification,
    'confidence', a.confidence, 'hypothesis', a.root_cause_hypothesis,
    'alert', CASE WHEN a.alert IS NOT NULL THEN pg_catalog.jsonb_build_object(
        'text', a.alert_text, 'source', coalesce(a.alert OPERATOR(pg_catalog.->>) 'source', ''),
        'name', a.alert OPERATOR(pg_catalog.->) 'name', 'labels', coalesce(a.alert OPERATOR(pg_catalog.->) 'labels', '{}'),
        'started_at', a.alert OPERATOR(pg_catalog.->) 'starts_at') END)
FROM oncall.incident_audit AS a
WHERE a.incident_id OPERATOR(pg_catalog.=) $1
