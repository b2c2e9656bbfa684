-- $1 runbooks and $2 sections, pair by pair, best first: what they say, and every step of their runbooks.
SELECT pg_catalog.json_build_object(
    'sections', (
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'runbook_id', r.runbook_id, 'section', r.section, 'title', r.title, 'incident_type', r.incident_type, 'content', r.content))
        FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS t (runbook_id, section)
        JOIN oncall.ops_runbooks AS r USING (runbook_id, section)),
    'steps', (
        SELECT pg_catalog.json_agg(
            s.step OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object('id', s.step_id, 'destructive', s.destructive)
            ORDER BY first.place, s.position, s.section)
        FROM (SELECT t.runbook_id, pg_catalog.min(t.place) AS place
              FROM pg_catalog.unnest($1) WITH ORDINALITY AS t (runbook_id, place) GROUP BY t.runbook_id) AS first
        JOIN oncall.ops_runbooks AS s ON s.runbook_id OPERATOR(pg_catalog.=) first.runbook_id
        WHERE s.step IS NOT NULL))
