-- $1 incident, $2 runbook, $3 similarity, $4 classification, $5 confidence, $6 found_by, $7 triage, $8 actions, $9 hypothesis;
-- where it was decided in the same breath $10 decision, $11 policy version, $12 reasons, $13 autonomy, else four NULLs.
UPDATE oncall.incident_audit
SET runbook_retrieved = $2, similarity = $3::numeric(4,3), classification = $4, confidence = $5::numeric(4,3),
    found_by = $6, triage = $7, recommended_actions = $8, root_cause_hypothesis = $9,
    routing_decision = coalesce($10, routing_decision), policy_version = coalesce($11, policy_version),
    reasons = coalesce($12, reasons), autonomy = coalesce($13, autonomy),
    routed_at = CASE WHEN $10 IS NULL THEN routed_at ELSE pg_catalog.clock_timestamp() END,
    state = CASE WHEN state OPERATOR(pg_catalog.<>) 'received' THEN state WHEN $10 IS NULL THEN 'triaged' ELSE 'routed' END
WHERE incident_id OPERATOR(pg_catalog.=) $1
