-- $1 fingerprints: their open incidents are locked in the order of the fingerprints, so that two writers of many wait
-- for each other at most.
SELECT pg_catalog.to_jsonb(pg_catalog.count(*))
FROM (SELECT FROM oncall.incident_audit AS a
      WHERE a.fingerprint OPERATOR(pg_catalog.=) ANY ($1) AND a.closed_at IS NULL
      ORDER BY a.fingerprint
      FOR UPDATE) AS locked
