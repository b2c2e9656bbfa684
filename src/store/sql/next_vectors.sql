-- $1 runbook and $2 section, empty for the beginning; $3 a number: as many sections, those behind that one, and their vectors in
-- pgvector's own binary form: a length and a zero of two bytes each, then the numbers of four bytes each. The second vector is
-- NULL where it is that of the builtin model, too.
SELECT runbook_id, section,
       @vector@.vector_send(builtin_embedding::@vector@.vector),
       CASE WHEN embedding_model OPERATOR(pg_catalog.<>) 'builtin' THEN @vector@.vector_send(embedding) END
FROM oncall.ops_runbooks
WHERE ROW(runbook_id, section) OPERATOR(pg_catalog.>) ROW($1, $2)
ORDER BY runbook_id, section
LIMIT $3
