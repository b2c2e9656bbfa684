-- Runbooks: loading, errors that say where, vectors that follow the text, search.
\pset format unaligned
\getenv runbooks ONCALL_RUNBOOKS
CREATE FUNCTION pg_temp.error_of(command text) RETURNS TABLE (code text, message text, detail text, hint text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE command;
    RETURN QUERY SELECT '00000', 'no error', '', '';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
        detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    detail := left(detail, 60);
    RETURN NEXT;
END
$$;

-- The eight runbooks.
SELECT * FROM oncall.load_runbooks(:'runbooks');
SELECT step_id, step ->> 'tool' AS tool, destructive FROM oncall.ops_runbooks WHERE step IS NOT NULL ORDER BY runbook_id, position;

-- Loading again replaces: nothing is doubled.
SELECT count(*) AS before FROM oncall.ops_runbooks \gset
SELECT count(*) FROM oncall.load_runbooks(:'runbooks');
SELECT count(*) = :before AS same FROM oncall.ops_runbooks;

-- Errors name the file and the line.
SELECT * FROM pg_temp.error_of($$SELECT * FROM oncall.load_runbook(E'# no front matter\n', 'RB-900.md')$$);
SELECT * FROM pg_temp.error_of($$SELECT * FROM oncall.load_runbook(E'---\nid: RB-900\ntitle: T\nincident_type: X\nalerts: []\n---\n\n## Do it\n\nText.\n\n```yaml step\ntool: rm_rf\ndestructive: false\n```\n', 'RB-900.md')$$);
SELECT * FROM pg_temp.error_of($$SELECT * FROM oncall.load_runbook(E'---\nid: RB-900\ntitle: T\nincident_type: X\nalerts: []\n---\n\n## Do it\n\nText.\n\n```yaml step\ntool: cancel_query\nparameters:\n  pid: {min: 1, max: 99999999999}\ndestructive: false\n```\n', 'RB-900.md')$$);
SELECT * FROM pg_temp.error_of($$SELECT * FROM oncall.load_runbook(E'---\nid: RB-900\ntitle: T\nincident_type: X\nalerts: []\n---\n\n## Do it\n\nText.\n\n```yaml step\ntool: vacuum_analyze\nparameters: {table: public.orders}\n```\n', 'RB-900.md')$$);
SELECT * FROM pg_temp.error_of($$SELECT * FROM oncall.load_runbooks('/nowhere')$$);

-- Plain SQL: an insert needs no vector, and an update of the text makes both anew, in the writer's transaction.
INSERT INTO oncall.ops_runbooks (runbook_id, section, content) VALUES ('RB-950', 'Meaning', 'The chimney smokes.');
SELECT embedding_model, embedding = builtin_embedding AS same, vector_norm(embedding)::numeric(4,3) AS norm FROM oncall.ops_runbooks WHERE runbook_id = 'RB-950';
SELECT embedding AS before FROM oncall.ops_runbooks WHERE runbook_id = 'RB-950' \gset
UPDATE oncall.ops_runbooks SET content = 'The cellar is flooded.' WHERE runbook_id = 'RB-950';
SELECT embedding = :'before' AS unchanged, builtin_embedding = oncall.embed_builtin('x') AS wrong FROM oncall.ops_runbooks WHERE runbook_id = 'RB-950';
SELECT runbook_id FROM oncall.search_runbooks('cellar flooded', 1);
-- A step by plain SQL is checked as one in a file is, and gets the id of its place.
SELECT * FROM pg_temp.error_of($$UPDATE oncall.ops_runbooks SET step = '{"tool": "rm_rf"}' WHERE runbook_id = 'RB-950'$$);
SELECT * FROM pg_temp.error_of($$UPDATE oncall.ops_runbooks SET step = '[]' WHERE runbook_id = 'RB-950'$$);
SELECT code, left(message, 45) AS message FROM pg_temp.error_of($$UPDATE oncall.ops_runbooks SET step = '{"tool": "vacuum_analyze", "parameters": {"table": "public.orders"}, "gaurd": "SELECT false"}' WHERE runbook_id = 'RB-950'$$);
UPDATE oncall.ops_runbooks SET step = '{"tool": "vacuum_analyze", "parameters": {"table": "public.orders"}}', step_id = 'RB-001/forged' WHERE runbook_id = 'RB-950';
SELECT step_id FROM oncall.ops_runbooks WHERE runbook_id = 'RB-950';
SELECT * FROM pg_temp.error_of($$INSERT INTO oncall.ops_runbooks (runbook_id, section, content) VALUES ('no spaces please', 'x', 'y')$$);
SELECT * FROM pg_temp.error_of($$UPDATE oncall.ops_runbooks SET embedding = '[1,2,3]' WHERE runbook_id = 'RB-950'$$);
DELETE FROM oncall.ops_runbooks WHERE runbook_id = 'RB-950';

-- A tool that could not be used is refused when it is written, not at night.
SELECT code, message FROM pg_temp.error_of($$INSERT INTO oncall.tool (name, kind, summary, template, parameters) VALUES ('own', 'diagnostic', 's', 'SELECT 1', '{"p": {"type": "nonsense"}}')$$);
SELECT code, message FROM pg_temp.error_of($$INSERT INTO oncall.tool (name, kind, summary, template) VALUES ('own', 'diagnostic', 's', 'SELECT 1; DROP TABLE x')$$);
-- A step whose flag nobody gave needs a person.
BEGIN;
INSERT INTO oncall.ops_runbooks (runbook_id, section, content, step) VALUES ('RB-951', 'Vacuum', 'y', '{"tool": "vacuum_analyze", "parameters": {"table": "public.orders"}}');
SELECT destructive FROM oncall.ops_runbooks WHERE runbook_id = 'RB-951';
ROLLBACK;
-- Search: by words, by an alert's exact name, and what is no search.
SELECT runbook_id, found_by FROM oncall.search_runbooks('connection pool exhausted, clients wait in PgBouncer', 1);
SELECT DISTINCT runbook_id, found_by FROM oncall.search_runbooks((SELECT alerts[1] FROM oncall.ops_runbooks WHERE runbook_id = 'RB-003' LIMIT 1), 3);
SELECT * FROM pg_temp.error_of($$SELECT * FROM oncall.search_runbooks('pool', -1)$$);
SELECT * FROM pg_temp.error_of($$SELECT * FROM oncall.search_runbooks('pool', 2147483647)$$);
-- As many as are asked for, also where an index by itself gives fewer.
SELECT count(*) > 50 AS not_cut FROM oncall.search_runbooks('pool', 100);
SELECT * FROM pg_temp.error_of($$SELECT * FROM oncall.search_runbooks('   ')$$);
-- Words of which nothing is known find something, but not near.
SELECT max(similarity) < 0.3 AS far FROM oncall.search_runbooks('zxqv jklw');
SELECT vector_norm(oncall.embed_builtin('')) AS empty, oncall.embed_builtin('pool') = oncall.embed_builtin('pool') AS same;
-- The seed's own query, as it stands.
SET search_path = oncall, public;
SELECT runbook_id FROM ops_runbooks ORDER BY embedding <=> embed_builtin('WAL volume is full') LIMIT 1;
RESET search_path;
SELECT * FROM oncall.reembed_runbooks();
