-- $1 the most, $2 whether what may ask a model counts. The oldest that is due of each incident that has nothing running:
-- an array, or NULL for nothing.
-- What was begun twice in vain may be what ends the pump. From then on it is begun as the only one of its kind, so that
-- what only happened to run beside it is not taken for it.
WITH due AS (
    SELECT w.work_id
    FROM oncall.incident_work AS w
    WHERE w.state OPERATOR(pg_catalog.=) 'queued'
      AND (w.not_before IS NULL OR w.not_before OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp())
      AND ($2 OR w.purpose OPERATOR(pg_catalog.=) 'approved_step' OR EXISTS (
          SELECT FROM oncall.incident_audit AS a
          WHERE a.incident_id OPERATOR(pg_catalog.=) w.incident_id AND a.routing_decision OPERATOR(pg_catalog.=) 'escalate'))
      AND NOT EXISTS (
          SELECT FROM oncall.incident_work AS other
          WHERE other.incident_id OPERATOR(pg_catalog.=) w.incident_id
            AND (other.state OPERATOR(pg_catalog.=) 'running'
                 OR (other.state IN ('queued', 'held') AND other.work_id OPERATOR(pg_catalog.<) w.work_id)))
      AND (w.attempts OPERATOR(pg_catalog.<) 2 OR NOT EXISTS (
          SELECT FROM oncall.incident_work AS suspect
          WHERE suspect.state IN ('queued', 'running')
            AND (suspect.state OPERATOR(pg_catalog.=) 'running' AND suspect.attempts OPERATOR(pg_catalog.>) 2
                 OR suspect.state OPERATOR(pg_catalog.=) 'queued' AND suspect.attempts OPERATOR(pg_catalog.>=) 2
                    AND suspect.work_id OPERATOR(pg_catalog.<) w.work_id
                    AND (suspect.not_before IS NULL
                         OR suspect.not_before OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp()))))
    ORDER BY w.work_id
    LIMIT $1
    FOR NO KEY UPDATE OF w SKIP LOCKED
), claimed AS (
    UPDATE oncall.incident_work AS w
    SET state = 'running',
        started_at = pg_catalog.clock_timestamp(),
        attempts = CASE WHEN s.steps OPERATOR(pg_catalog.>) w.steps_seen THEN 1 ELSE w.attempts OPERATOR(pg_catalog.+) 1 END,
        steps_seen = s.steps
    FROM due CROSS JOIN LATERAL (
        SELECT pg_catalog.count(*)::integer AS steps
        FROM oncall.incident_step AS step
        JOIN oncall.incident_work AS mine ON mine.incident_id OPERATOR(pg_catalog.=) step.incident_id
        WHERE mine.work_id OPERATOR(pg_catalog.=) due.work_id) AS s
    WHERE w.work_id OPERATOR(pg_catalog.=) due.work_id
    RETURNING w.*
)
SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
    'id', work_id, 'incident', incident_id, 'purpose', purpose, 'detail', detail, 'attempts', attempts,
    'was_held', was_held) ORDER BY work_id)
FROM claimed
