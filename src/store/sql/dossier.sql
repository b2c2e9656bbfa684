-- $1 incident: all that the workers need to know of it.
SELECT pg_catalog.jsonb_build_object(
    'state', a.state, 'alert', a.alert, 'fingerprint', a.fingerprint, 'severity', a.severity, 'triage', a.triage,
    'route', a.routing_decision, 'conditions', a.reasons, 'autonomy', a.autonomy, 'policy_version', a.policy_version,
    'created_at', a.created_at, 'breaker', (SELECT c.state FROM oncall.circuit_breaker AS c),
    'sections', coalesce((
        SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
            'runbook_id', r.runbook_id, 'title', r.title, 'incident_type', r.incident_type, 'section', r.section,
            'content', r.content,
            'similarity', found.value OPERATOR(pg_catalog.->) 'similarity',
            'builtin_similarity', coalesce(found.value OPERATOR(pg_catalog.->) 'builtin_similarity',
                                           found.value OPERATOR(pg_catalog.->) 'similarity'),
            'found_by', found.value OPERATOR(pg_catalog.->) 'found_by') ORDER BY found.place)
        FROM oncall.incident_step AS s,
             pg_catalog.jsonb_array_elements(s.outcome OPERATOR(pg_catalog.->) 'sections') WITH ORDINALITY AS found (value, place)
        JOIN oncall.ops_runbooks AS r
          ON r.runbook_id OPERATOR(pg_catalog.=) (found.value OPERATOR(pg_catalog.->>) 'runbook_id')
         AND r.section OPERATOR(pg_catalog.=) (found.value OPERATOR(pg_catalog.->>) 'section')
        WHERE s.incident_id OPERATOR(pg_catalog.=) a.incident_id
          AND s.agent OPERATOR(pg_catalog.=) 'triage' AND s.kind OPERATOR(pg_catalog.=) 'retrieve'), '[]'))
FROM oncall.incident_audit AS a
WHERE a.incident_id OPERATOR(pg_catalog.=) $1
