-- $1 incident, $2 runbook, $3 similarity, $4 classification, $5 confidence, $6 found_by, $7 triage, $8 actions, $9 hypothesis.
UPDATE oncall.incident_audit
SET runbook_retrieved = $2, similarity = $3::numeric(4,3), classification = $4, confidence = $5::numeric(4,3),
    found_by = $6, triage = $7, recommended_actions = $8, root_cause_hypothesis = $9,
    state = CASE state WHEN 'received' THEN 'triaged' ELSE state END
WHERE incident_id OPERATOR(pg_catalog.=) $1
