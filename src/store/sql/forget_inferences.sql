-- $1 before, $2 most.
DELETE FROM oncall.inference_audit_log_default
WHERE trace_id IN (
    SELECT d.trace_id FROM oncall.inference_audit_log_default AS d WHERE d.execution_ts OPERATOR(pg_catalog.<) $1 LIMIT $2)
RETURNING 1
