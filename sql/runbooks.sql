-- The catalogue: one row for each section of a runbook, the unit of retrieval.

CREATE TABLE oncall.ops_runbooks (
    runbook_id        text NOT NULL CHECK (runbook_id ~ '^[A-Za-z0-9_.-]{1,64}$'),
    section           text NOT NULL CHECK (section <> ''),
    content           text NOT NULL,
    embedding         vector(1024) NOT NULL,
    destructive       boolean NOT NULL,
    title             text NOT NULL DEFAULT '',
    incident_type     text,
    severity          text CHECK (severity IN ('P1', 'P2', 'P3', 'P4', 'P5')),
    alerts            text[] NOT NULL DEFAULT '{}',
    position          integer NOT NULL DEFAULT 0,
    step_id           text UNIQUE,
    step              jsonb,
    embedding_model   text NOT NULL,
    builtin_embedding halfvec(1024) NOT NULL,
    loaded_at         timestamptz NOT NULL DEFAULT pg_catalog.now(),
    -- By this reference a dump has the tools before the steps that name them, and no tool in use can be removed.
    tool              text GENERATED ALWAYS AS (step OPERATOR(pg_catalog.->>) 'tool') STORED REFERENCES oncall.tool,
    PRIMARY KEY (runbook_id, section),
    CHECK ((step IS NULL) = (step_id IS NULL))
) WITH (toast_tuple_target = 8160);

-- A search reads both vectors of some thirty rows. They stay in the row, and so does the rest while it fits into a page:
-- to fetch a vector from TOAST costs ten times the comparison.
ALTER TABLE oncall.ops_runbooks ALTER COLUMN embedding SET STORAGE MAIN, ALTER COLUMN builtin_embedding SET STORAGE MAIN;

-- Half precision is enough to find candidates, which are then ranked by the vectors themselves; it halves the indexes.
CREATE INDEX ops_runbooks_embedding_idx ON oncall.ops_runbooks USING hnsw ((embedding::halfvec(1024)) halfvec_cosine_ops);
CREATE INDEX ops_runbooks_builtin_embedding_idx ON oncall.ops_runbooks USING hnsw (builtin_embedding halfvec_cosine_ops);
CREATE INDEX ops_runbooks_alerts_idx ON oncall.ops_runbooks USING gin (alerts);
CREATE INDEX ops_runbooks_embedding_model_idx ON oncall.ops_runbooks (embedding_model);

COMMENT ON TABLE oncall.ops_runbooks IS 'The runbooks, one row a section; load with oncall.load_runbook() or change with plain SQL, which embeds anew in the same transaction';
COMMENT ON COLUMN oncall.ops_runbooks.content IS 'The text of the section, markdown, without the block of its step';
COMMENT ON COLUMN oncall.ops_runbooks.embedding IS 'Vector of the embedding model in use (embedding_model says which)';
COMMENT ON COLUMN oncall.ops_runbooks.destructive IS 'Whether a person must approve the step of this section: the gate that the router reads. Where it is not said, false without a step and true with one';
COMMENT ON COLUMN oncall.ops_runbooks.alerts IS 'Exact alert names that map to this runbook';
COMMENT ON COLUMN oncall.ops_runbooks.position IS 'The place of the section within its runbook';
COMMENT ON COLUMN oncall.ops_runbooks.step_id IS 'By what name a triage recommends the action of this section';
COMMENT ON COLUMN oncall.ops_runbooks.step IS 'The action of this section: tool, parameters, guard, verify, measure, rollback, follow_up';
COMMENT ON COLUMN oncall.ops_runbooks.tool IS 'The tool that the step names';
COMMENT ON COLUMN oncall.ops_runbooks.embedding_model IS 'The model that made embedding';
COMMENT ON COLUMN oncall.ops_runbooks.builtin_embedding IS 'Vector of the builtin embedder, always there; in half precision, which its cosines do not notice';

SELECT pg_catalog.pg_extension_config_dump('oncall.ops_runbooks', '');
