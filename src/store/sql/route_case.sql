-- $1 incident: all that the router needs to know of it.
SELECT pg_catalog.jsonb_build_object(
    'source', a.alert OPERATOR(pg_catalog.->>) 'source', 'severity', a.severity, 'triage', a.triage,
    'runbooks', coalesce((
        SELECT pg_catalog.jsonb_agg(found.runbook_id ORDER BY found.place)
        FROM (SELECT section.value OPERATOR(pg_catalog.->>) 'runbook_id' AS runbook_id, pg_catalog.min(section.place) AS place
              FROM oncall.incident_step AS s,
                   pg_catalog.jsonb_array_elements(s.outcome OPERATOR(pg_catalog.->) 'sections') WITH ORDINALITY AS section (value, place)
              WHERE s.incident_id OPERATOR(pg_catalog.=) a.incident_id
                AND s.agent OPERATOR(pg_catalog.=) 'triage' AND s.kind OPERATOR(pg_catalog.=) 'retrieve'
              GROUP BY 1) AS found), '[]'))
FROM oncall.incident_audit AS a
WHERE a.incident_id OPERATOR(pg_catalog.=) $1
