-- $1 incident: what was done at it so far.
SELECT remediation_action FROM oncall.incident_audit WHERE incident_id OPERATOR(pg_catalog.=) $1
