-- Every section and its vectors, in pgvector's own binary form: a length and a zero of two bytes each, then the numbers of four
-- bytes each. The second one is NULL where it is that of the builtin model, too.
SELECT runbook_id, section,
       @vector@.vector_send(builtin_embedding::@vector@.vector),
       CASE WHEN embedding_model OPERATOR(pg_catalog.<>) 'builtin' THEN @vector@.vector_send(embedding) END
FROM oncall.ops_runbooks
ORDER BY runbook_id, position, section
