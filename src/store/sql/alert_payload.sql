-- $1 row, $2 most bytes: how long the payload is, and the payload itself unless it is longer.
SELECT pg_catalog.jsonb_build_array(
    pg_catalog.octet_length(payload.text),
    CASE WHEN pg_catalog.octet_length(payload.text) OPERATOR(pg_catalog.<=) $2 THEN payload.text END)
FROM oncall.alert_inbox AS i, LATERAL (SELECT i.payload::pg_catalog.text) AS payload (text)
WHERE i.id OPERATOR(pg_catalog.=) $1
