-- $1 work, $2 until when, in seconds since the epoch. Once: then it is not held again. What was decided by the facts of
-- now is decided anew by those of then; the journal keeps both.
WITH held AS (
    UPDATE oncall.incident_work
    SET state = 'held', was_held = true, not_before = pg_catalog.to_timestamp($2)
    WHERE work_id OPERATOR(pg_catalog.=) $1
    RETURNING incident_id
)
UPDATE oncall.incident_audit AS a
SET state = 'triaged', routing_decision = NULL, policy_version = NULL, reasons = NULL, autonomy = NULL, routed_at = NULL
FROM held
WHERE a.incident_id OPERATOR(pg_catalog.=) held.incident_id AND a.state OPERATOR(pg_catalog.=) 'routed'
