-- $1 before, $2 most.
DELETE FROM oncall.incident_step
WHERE (incident_id, agent, step_no) IN (
    SELECT s.incident_id, s.agent, s.step_no
    FROM oncall.incident_audit AS a JOIN oncall.incident_step AS s ON s.incident_id OPERATOR(pg_catalog.=) a.incident_id
    WHERE a.closed_at OPERATOR(pg_catalog.<) $1 AND s.started_at OPERATOR(pg_catalog.<) $1
    ORDER BY a.closed_at
    LIMIT $2)
RETURNING 1
