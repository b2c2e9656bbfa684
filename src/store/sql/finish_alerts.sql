-- $1 rows, what became of them and the incidents they belong to.
UPDATE oncall.alert_inbox AS i
SET state = f.state, error = f.error, incident_ids = f.incident_ids, done_at = pg_catalog.clock_timestamp()
FROM pg_catalog.jsonb_to_recordset($1)
    AS f (id pg_catalog.int8, state pg_catalog.text, error pg_catalog.text, incident_ids pg_catalog._text)
WHERE i.id OPERATOR(pg_catalog.=) f.id AND i.state OPERATOR(pg_catalog.=) 'waiting'
