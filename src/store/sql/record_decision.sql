-- $1 approval: what was decided on it by now is appended to what was decided before.
UPDATE oncall.incident_audit AS a
SET approvals = coalesce(a.approvals, '[]') OPERATOR(pg_catalog.||) pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
    'step', p.step_id, 'decision', p.decision, 'by', coalesce(p.second_by, p.decided_by), 'at', coalesce(p.second_at, p.decided_at),
    'hash', p.step_hash, 'parameters', p.parameters, 'action', p.action, 'why', p.why, 'state', p.state))
FROM oncall.approval AS p
WHERE p.approval_id OPERATOR(pg_catalog.=) $1 AND a.incident_id OPERATOR(pg_catalog.=) p.incident_id
