-- $1 incident: its state. The row is locked until the transaction ends, so that it is routed once.
SELECT pg_catalog.to_jsonb(state) FROM oncall.incident_audit WHERE incident_id OPERATOR(pg_catalog.=) $1 FOR UPDATE
