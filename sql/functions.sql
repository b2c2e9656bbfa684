-- What people call. Each is SECURITY DEFINER where it writes what no role may write by itself, with a pinned path.

----------------------------------------------------------------------------------------------------------------------
-- Alerts and incidents
----------------------------------------------------------------------------------------------------------------------

-- The server puts it in line where it is called. One look into the index an id, whatever the planner thought of the table
-- when the session began: it may have been empty.
CREATE FUNCTION oncall_internal.incidents(ids text[]) RETURNS SETOF oncall.incident_audit
LANGUAGE sql STABLE AS $$
    SELECT a.* FROM pg_catalog.unnest(ids) WITH ORDINALITY AS i (id, place),
        LATERAL (SELECT * FROM oncall.incident_audit AS r WHERE r.incident_id OPERATOR(pg_catalog.=) i.id OFFSET 0) AS a
    ORDER BY i.place
$$;
COMMENT ON FUNCTION oncall_internal.incidents(text[]) IS 'The audit rows of these incidents, in their order';

-- Not STRICT: a gateway that sends NULL has lost an alert and must hear of it. Generic plans, since the statements of an
-- alert are the same for all of them.
CREATE FUNCTION oncall.triage_alert(alert jsonb) RETURNS SETOF oncall.incident_audit
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    ids CONSTANT text[] := oncall_internal.triage(coalesce(alert::text, 'null'));
BEGIN
    RETURN QUERY SELECT * FROM oncall_internal.incidents(ids);
END
$$;
COMMENT ON FUNCTION oncall.triage_alert(jsonb) IS 'Steps 1 to 5: normalise, retrieve, triage; one audit row for each alert of the payload. A repeat joins its open incident, a resolution closes it';

CREATE FUNCTION oncall.triage_alert(alert text) RETURNS SETOF oncall.incident_audit
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    ids CONSTANT text[] := oncall_internal.triage_text(coalesce(alert, ''));
BEGIN
    RETURN QUERY SELECT * FROM oncall_internal.incidents(ids);
END
$$;
COMMENT ON FUNCTION oncall.triage_alert(text) IS 'The same for text: a payload that arrived as text, or plain words';

CREATE FUNCTION oncall.route_incident(incident_id text) RETURNS SETOF oncall.incident_audit
LANGUAGE plpgsql STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM oncall_internal.route(incident_id);
    RETURN QUERY SELECT a.* FROM oncall.incident_audit AS a WHERE a.incident_id = route_incident.incident_id;
END
$$;
COMMENT ON FUNCTION oncall.route_incident(text) IS 'Step 6: autonomous or escalate, by policy; records the decision with every reason';

CREATE FUNCTION oncall.handle_alert(alert jsonb) RETURNS SETOF oncall.incident_audit
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    ids CONSTANT text[] := oncall_internal.handle(coalesce(alert::text, 'null'));
BEGIN
    RETURN QUERY SELECT * FROM oncall_internal.incidents(ids);
END
$$;
COMMENT ON FUNCTION oncall.handle_alert(jsonb) IS 'triage_alert() and route_incident() in one call, for each alert of the payload';

CREATE FUNCTION oncall.handle_alert(alert text) RETURNS SETOF oncall.incident_audit
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    ids CONSTANT text[] := oncall_internal.handle_text(coalesce(alert, ''));
BEGIN
    RETURN QUERY SELECT * FROM oncall_internal.incidents(ids);
END
$$;
COMMENT ON FUNCTION oncall.handle_alert(text) IS 'The same for text: a payload that arrived as text, or plain words';

CREATE FUNCTION oncall.explain_route(incident_id text)
RETURNS TABLE (condition text, pass boolean, value text, bound text, reason text)
LANGUAGE plpgsql STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    conditions jsonb := (SELECT a.reasons FROM oncall.incident_audit AS a WHERE a.incident_id = explain_route.incident_id);
BEGIN
    RETURN QUERY
        SELECT c.name, c.pass, c.value, c.bound, c.reason
        FROM jsonb_to_recordset(coalesce(conditions, oncall_internal.conditions(incident_id)))
            AS c (name text, pass boolean, value text, bound text, reason text);
END
$$;
COMMENT ON FUNCTION oncall.explain_route(text) IS 'Each condition of the decision, its value, its bound, pass or fail; before the decision, what it would be now';

CREATE FUNCTION oncall.incident_timeline(incident_id text)
RETURNS TABLE (at timestamptz, agent text, step integer, what text, outcome text, took_ms numeric)
LANGUAGE plpgsql STRICT STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    id CONSTANT text := incident_id;
BEGIN
    IF NOT EXISTS (SELECT FROM oncall.incident_audit AS a WHERE a.incident_id = id) THEN
        RAISE EXCEPTION 'there is no incident "%"', id
            USING ERRCODE = 'no_data_found',
                  HINT = 'The latest ones: SELECT incident_id, alert_text FROM oncall.incident_audit ORDER BY created_at DESC LIMIT 10';
    END IF;
    RETURN QUERY
    SELECT a.created_at, NULL::text, 0, 'alert accepted',
           format('%s from %s: %s', coalesce(a.severity, 'no severity'), a.alert ->> 'source', left(a.alert_text, 200)), NULL::numeric
    FROM oncall.incident_audit AS a WHERE a.incident_id = id
    UNION ALL
    SELECT s.started_at + make_interval(secs => s.latency_ms / 1000), s.agent, s.step_no,
           CASE s.kind
               WHEN 'embed' THEN format('embedded by %s', s.model)
               WHEN 'retrieve' THEN 'searched the runbooks'
               WHEN 'metrics' THEN 'looked at recent metrics'
               WHEN 'chat' THEN format('asked %s (%s)', s.model, s.request ->> 'purpose')
               WHEN 'triage' THEN format('triaged by %s', s.model)
               WHEN 'route' THEN format('routed by policy %s', s.request ->> 'policy_version')
               WHEN 'diagnostic' THEN format('looked at %s', s.request ->> 'tool')
               WHEN 'guard' THEN format('asked the guard of %s', s.request ->> 'step')
               WHEN 'measure' THEN format('measured for %s', s.request ->> 'step')
               WHEN 'action' THEN concat_ws(' on ', 'ran ' || (s.request ->> 'tool'), s.request ->> 'target')
               WHEN 'verify' THEN format('verified %s', s.request ->> 'step')
               WHEN 'rollback' THEN concat_ws(' on ', 'took it back by ' || (s.request ->> 'tool'), s.request ->> 'target')
               WHEN 'page' THEN CASE s.request ->> 'kind' WHEN 'escalation' THEN 'paged a person' ELSE 'told people' END
               WHEN 'end' THEN 'the workers'' part ended'
           END,
           CASE
               WHEN s.status = 'intent' THEN 'begun'
               WHEN s.status = 'failed' THEN 'failed: ' || coalesce(s.outcome ->> 'reason',
                   concat_ws('; ', s.outcome ->> 'message', s.outcome ->> 'detail', s.outcome ->> 'hint'), s.outcome::text)
               WHEN s.status = 'unknown' THEN 'nobody knows: ' || coalesce(s.outcome ->> 'reason', s.outcome::text)
               WHEN s.kind IN ('guard', 'verify') THEN CASE
                   WHEN jsonb_array_length(s.outcome -> 'rows') = 1
                        AND (SELECT bool_and(e.value = 'true') FROM jsonb_each(s.outcome #> '{rows,0}') AS e) THEN 'yes'
                   ELSE 'no' END
               WHEN s.kind IN ('diagnostic', 'measure', 'action', 'rollback') THEN CASE jsonb_array_length(s.outcome -> 'rows')
                   WHEN 0 THEN concat_ws('; ', CASE WHEN s.kind IN ('action', 'rollback') THEN 'done' ELSE 'no rows' END, s.outcome #>> '{warnings,0}')
                   WHEN 1 THEN left(s.outcome #>> '{rows,0}', 300)
                   ELSE format('%s rows: %s', jsonb_array_length(s.outcome -> 'rows'), left(s.outcome #>> '{rows,0}', 300)) END
               WHEN s.kind = 'page' THEN coalesce((
                   SELECT string_agg(sink.value, ', ' ORDER BY sink.place)
                   FROM jsonb_array_elements_text(s.outcome) WITH ORDINALITY AS sink (value, place)), 'no sink wants it')
               WHEN s.kind = 'end' THEN s.outcome ->> 'summary'
               WHEN s.kind = 'embed' THEN format('%s dimensions', s.outcome ->> 'dimensions')
               WHEN s.kind = 'retrieve' THEN coalesce((
                   SELECT string_agg(format('%s/%s %s', f.runbook_id, f.section, round(f.similarity::numeric, 3)), ', ' ORDER BY f.place)
                   FROM ROWS FROM (jsonb_to_recordset(s.outcome -> 'sections') AS (runbook_id text, section text, similarity double precision))
                        WITH ORDINALITY AS f (runbook_id, section, similarity, place)), 'nothing found')
               WHEN s.kind = 'metrics' THEN format('%s figures', jsonb_array_length(s.outcome))
               WHEN s.kind = 'chat' THEN left(s.outcome ->> 'text', 300)
               WHEN s.kind = 'triage' THEN format('%s, confidence %s%s', s.outcome #>> '{reply,incident_type}',
                   coalesce(round((s.outcome #>> '{reply,confidence}')::numeric, 3)::text, 'none'),
                   coalesce('; the model failed: ' || (s.outcome #>> '{failure,reason}'), ''))
               WHEN s.kind = 'route' THEN (s.outcome ->> 'decision') || coalesce(': ' || (
                   SELECT string_agg(f.reason, ' ' ORDER BY f.place)
                   FROM (SELECT c.value ->> 'reason' AS reason, min(c.place) AS place
                         FROM jsonb_array_elements(s.outcome -> 'conditions') WITH ORDINALITY AS c (value, place)
                         WHERE NOT (c.value ->> 'pass')::boolean GROUP BY 1) AS f), '')
           END,
           round(s.latency_ms::numeric, 2)
    -- Without the looks at the clock, which a replay needs and a reader does not.
    FROM oncall.incident_step AS s WHERE s.incident_id = id AND s.kind <> 'now'
    UNION ALL
    SELECT a.closed_at, NULL, NULL, a.state, NULL, NULL
    FROM oncall.incident_audit AS a WHERE a.incident_id = id AND a.closed_at IS NOT NULL
    ORDER BY 1, 3;
END
$$;
COMMENT ON FUNCTION oncall.incident_timeline(text) IS 'The journal of an incident, readable: when each step ended, what it was, what came of it';

----------------------------------------------------------------------------------------------------------------------
-- Runbooks
----------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION oncall.load_runbook(markdown text, file text DEFAULT 'runbook')
RETURNS TABLE (runbook_id text, sections integer, steps integer)
LANGUAGE sql STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT l.runbook_id, l.sections, l.steps
    FROM pg_catalog.jsonb_to_record(oncall_internal.store_runbook(markdown, file)) AS l (runbook_id text, sections integer, steps integer);
END;
COMMENT ON FUNCTION oncall.load_runbook(text, text) IS 'Parse a runbook, check its steps against the tools, embed it and replace its rows, in one transaction; file is the name that errors give';

-- Not SECURITY DEFINER: whether the caller may read the server's files is for Postgres to say.
CREATE FUNCTION oncall.load_runbooks(directory text)
RETURNS TABLE (runbook_id text, sections integer, steps integer)
LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    file text;
    file_of jsonb := '{}';
BEGIN
    FOR file IN SELECT name FROM pg_ls_dir(directory) AS name WHERE name LIKE '%.md' ORDER BY name LOOP
        SELECT l.* INTO runbook_id, sections, steps FROM oncall.load_runbook(pg_read_file(directory || '/' || file), file) AS l;
        -- The second would take the place of the first, and nobody would know why its steps are gone.
        IF file_of ? runbook_id THEN
            RAISE EXCEPTION 'two files hold the runbook %', runbook_id
                USING ERRCODE = 'unique_violation', DETAIL = format('%s and %s.', file_of ->> runbook_id, file),
                      HINT = 'Give one of them an id of its own, or take it out of the directory.';
        END IF;
        file_of := file_of || jsonb_build_object(runbook_id, file);
        RETURN NEXT;
    END LOOP;
    IF file_of = '{}' THEN
        RAISE EXCEPTION 'no runbook in "%"', directory
            USING ERRCODE = 'undefined_file', HINT = 'A runbook is a file whose name ends in .md, in a directory on the server.';
    END IF;
END
$$;
COMMENT ON FUNCTION oncall.load_runbooks(text) IS 'load_runbook() for each .md file of a directory on the server; all or none';

CREATE FUNCTION oncall.search_runbooks(query text, k integer DEFAULT 5)
RETURNS TABLE (runbook_id text, section text, similarity numeric, found_by text, title text, content text)
LANGUAGE plpgsql STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT f.runbook_id, f.section, round(f.similarity::numeric, 3), f.found_by, f.title, f.content
        FROM ROWS FROM (jsonb_to_recordset(oncall_internal.search(query, k))
                 AS (runbook_id text, section text, similarity double precision, found_by text, title text, content text))
             WITH ORDINALITY AS f (runbook_id, section, similarity, found_by, title, content, place)
        ORDER BY f.place;
END
$$;
COMMENT ON FUNCTION oncall.search_runbooks(text, integer) IS 'The k sections nearest to some words, 100 at most; words that are an alert''s exact name find its runbook first';

CREATE FUNCTION oncall.embed_builtin(text) RETURNS vector
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN oncall_internal.embed_builtin($1)::vector;
COMMENT ON FUNCTION oncall.embed_builtin(text) IS 'The vector of a text by the builtin embedder: 1024 dimensions, of length 1; zero for a text without words';

CREATE FUNCTION oncall_internal.fit_embedding(dimensions integer) RETURNS void
LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DROP INDEX IF EXISTS oncall.ops_runbooks_embedding_idx;
    IF dimensions <> oncall_internal.embedding_dimension() THEN
        ALTER TABLE oncall.ops_runbooks ALTER COLUMN embedding DROP NOT NULL;
        EXECUTE format('ALTER TABLE oncall.ops_runbooks ALTER COLUMN embedding TYPE %s.vector(%s) USING NULL', oncall_internal.vector_schema(), dimensions);
        -- The new type brings its own storage along.
        ALTER TABLE oncall.ops_runbooks ALTER COLUMN embedding SET STORAGE MAIN;
    END IF;
END
$$;
COMMENT ON FUNCTION oncall_internal.fit_embedding(integer) IS 'Make the column embedding fit vectors of this length, those in it lost if it is another one, and take its index away';

CREATE FUNCTION oncall_internal.index_embedding() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    ALTER TABLE oncall.ops_runbooks ALTER COLUMN embedding SET NOT NULL;
    EXECUTE format('CREATE INDEX ops_runbooks_embedding_idx ON oncall.ops_runbooks USING hnsw ((embedding::%1$s.halfvec(%2$s)) %1$s.halfvec_cosine_ops)',
                   oncall_internal.vector_schema(), oncall_internal.embedding_dimension());
END
$$;
COMMENT ON FUNCTION oncall_internal.index_embedding() IS 'Index the column embedding, which is full again';

CREATE FUNCTION oncall_internal.vector_schema() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN (SELECT pg_catalog.quote_ident(n.nspname) FROM pg_catalog.pg_extension AS e
        JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) e.extnamespace WHERE e.extname OPERATOR(pg_catalog.=) 'vector');
COMMENT ON FUNCTION oncall_internal.vector_schema() IS 'Where pgvector is installed, quoted';

CREATE FUNCTION oncall.reembed_runbooks()
RETURNS TABLE (model text, dimensions integer, sections bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wanted CONSTANT integer := oncall_internal.probe_dimension();
    embedded bigint;
BEGIN
    -- The model is asked first: the table is locked only for the writing.
    CREATE TEMPORARY TABLE oncall_reembedding ON COMMIT DROP AS
        SELECT r.runbook_id, r.section, r.content, oncall_internal.embed_passage(r.title, r.section, r.content, wanted) AS embedding
        FROM oncall.ops_runbooks AS r;
    PERFORM oncall_internal.fit_embedding(wanted);
    UPDATE oncall.ops_runbooks AS r
    SET embedding = e.embedding, embedding_model = oncall_internal.embedding_model()
    FROM pg_temp.oncall_reembedding AS e
    WHERE e.runbook_id = r.runbook_id AND e.section = r.section AND e.content = r.content;
    GET DIAGNOSTICS embedded = ROW_COUNT;
    PERFORM oncall_internal.index_embedding();
    DROP TABLE pg_temp.oncall_reembedding;
    RETURN QUERY SELECT oncall_internal.embedding_model(), wanted, embedded;
END
$$;
COMMENT ON FUNCTION oncall.reembed_runbooks() IS 'Embed every section with the embedding model in use, and fit the column and its index to the length of its vectors';

----------------------------------------------------------------------------------------------------------------------
-- Processes
----------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION oncall.worker_status()
RETURNS TABLE (pid integer, database name, kind text, doing text, waiting_for text, since timestamptz)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT p.pid, CASE WHEN p.in_a_database THEN pg_catalog.current_database() END, p.kind, p.doing, p.waiting_for, p.since
    FROM oncall_internal.processes() AS p
    ORDER BY pg_catalog.array_position(ARRAY['launcher', 'pump', 'executor'], p.kind), p.pid;
END;
COMMENT ON FUNCTION oncall.worker_status() IS 'The background processes of this database, and the launcher: what each does, what it waits for, since when';

----------------------------------------------------------------------------------------------------------------------
-- Diagnostics
----------------------------------------------------------------------------------------------------------------------
CREATE FUNCTION oncall.run_diagnostic(tool text, parameters jsonb DEFAULT '{}') RETURNS SETOF jsonb
LANGUAGE plpgsql STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT oncall_internal.rows_of(oncall_internal.run_diagnostic(tool, parameters));
END
$$;
COMMENT ON FUNCTION oncall.run_diagnostic(text, jsonb) IS 'Run a diagnostic tool as oncall_observer, read-only, in a worker process of its own, and wait for its rows';
CREATE FUNCTION oncall.try_guard(guard text) RETURNS SETOF jsonb
LANGUAGE plpgsql STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT oncall_internal.rows_of(oncall_internal.try_guard(guard));
END
$$;
COMMENT ON FUNCTION oncall.try_guard(text) IS 'What a guard or a verify of a runbook would answer now: the query runs as oncall_observer, as a step runs it';
CREATE FUNCTION oncall_internal.rows_of(answer jsonb) RETURNS SETOF jsonb
LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (answer ->> 'truncated')::boolean THEN
        RAISE NOTICE 'the answer is cut: there are more rows, or longer ones';
    END IF;
    RETURN QUERY SELECT r.value FROM jsonb_array_elements(answer -> 'rows') WITH ORDINALITY AS r (value, place) ORDER BY r.place;
END
$$;
COMMENT ON FUNCTION oncall_internal.rows_of(jsonb) IS 'The rows of an executor''s answer, with a notice when there were more';

----------------------------------------------------------------------------------------------------------------------
-- What the above are made of
----------------------------------------------------------------------------------------------------------------------

COMMENT ON FUNCTION oncall_internal.triage(text) IS 'Open, join or close an incident for each alert of a payload, which is JSON; their ids';
COMMENT ON FUNCTION oncall_internal.triage_text(text) IS 'The same for text, JSON or plain words';
COMMENT ON FUNCTION oncall_internal.handle(text) IS 'The same as triage(), and then the decision on each of them that has none yet';
COMMENT ON FUNCTION oncall_internal.handle_text(text) IS 'The same for text, JSON or plain words';
COMMENT ON FUNCTION oncall_internal.route(text) IS 'Decide an incident that was triaged, and write the decision down';
COMMENT ON FUNCTION oncall_internal.conditions(text) IS 'What the router would decide now: every condition, as an array';
COMMENT ON FUNCTION oncall_internal.store_runbook(text, text) IS 'Parse a runbook, check it and replace its rows';
COMMENT ON FUNCTION oncall_internal.check_step(text, text, jsonb, boolean) IS 'Check the step of a row; the id that follows from its place';
COMMENT ON FUNCTION oncall_internal.check_tool(jsonb) IS 'Check a row of oncall.tool';
COMMENT ON FUNCTION oncall_internal.embed_builtin(text) IS 'The builtin vector of a text, as an array';
COMMENT ON FUNCTION oncall_internal.embed_passage_builtin(text, text, text) IS 'The builtin vector of a section: title, section, content';
COMMENT ON FUNCTION oncall_internal.embed_passage(text, text, text, integer) IS 'The vector of a section by the embedding model in use, which must have the given length';
COMMENT ON FUNCTION oncall_internal.embedding_model() IS 'The name of the embedding model in use';
COMMENT ON FUNCTION oncall_internal.embedding_dimension() IS 'The length of the vectors in ops_runbooks.embedding';
COMMENT ON FUNCTION oncall_internal.probe_dimension() IS 'The length of the vectors of the embedding model in use, by asking it';
COMMENT ON FUNCTION oncall_internal.search(text, integer) IS 'The top k sections for some words, as an array';
COMMENT ON FUNCTION oncall_internal.processes() IS 'What each background process of this database wrote on the board, and the launcher';
COMMENT ON FUNCTION oncall_internal.wake_pump() IS 'Trigger, for each statement: wakes the background worker of this database at the commit';
COMMENT ON FUNCTION oncall_internal.wake() IS 'Wakes the background worker of this database at the commit';
COMMENT ON FUNCTION oncall_internal.run_diagnostic(text, jsonb) IS 'Run a diagnostic tool in an executor; its outcome';
COMMENT ON FUNCTION oncall_internal.try_guard(text) IS 'Run a query in an executor; its outcome';
COMMENT ON FUNCTION oncall_internal.refuse_change() IS 'Trigger of the audit: refuses a change that the extension itself does not make';
COMMENT ON FUNCTION oncall_internal.tell_sessions() IS 'Trigger of the catalogue: every session reads anew what it keeps of it in memory';
