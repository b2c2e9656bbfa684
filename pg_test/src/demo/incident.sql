-- The audit row of one incident, as the first reader would want it: flat, without the lists behind each column.
\x on
\pset format wrapped
\pset columns 118
SELECT incident_id, alert_text, runbook_retrieved, similarity, classification, severity, confidence, routing_decision,
       remediation_action - '{actions,follow_up}'::text[] AS remediation_action, diagnostics - 'looked_at' AS diagnostics,
       notification - '{sinks,title}'::text[] AS notification, resolution_time_s
FROM oncall.incident_audit WHERE incident_id = :'incident';
