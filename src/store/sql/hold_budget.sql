-- Waits until no other session is about to spend from the hourly budget; held until the transaction ends. The number is
-- the table's own, so that nobody else's lock has it by chance.
SELECT pg_catalog.to_jsonb(true)
FROM pg_catalog.pg_advisory_xact_lock('oncall.incident_audit'::pg_catalog.regclass::pg_catalog.oid::bigint)
