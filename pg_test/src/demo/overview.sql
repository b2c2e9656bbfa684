-- All incidents at a glance.
SELECT incident_id, runbook_retrieved AS runbook, confidence, routing_decision, state,
       coalesce(remediation_action ->> 'outcome', 'paged') AS outcome, resolution_time_s AS seconds
FROM oncall.incident_audit ORDER BY incident_id;
