-- Every action of one incident, with the runbook's figures before and after.
SELECT action ->> 'tool' AS action, action ->> 'end' AS outcome,
       action #>> '{before,query_ms}' AS query_ms_before, action #>> '{after,query_ms}' AS query_ms_after,
       action #>> '{before,rows_changed_since_analyze}' AS stale_rows_before,
       action #>> '{after,rows_changed_since_analyze}' AS stale_rows_after
FROM oncall.incident_audit, jsonb_array_elements(remediation_action -> 'actions') AS action
WHERE incident_id = :'incident';
