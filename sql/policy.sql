-- The rules by which the router decides, versioned and never edited in place; and the switch that stops it.

CREATE TABLE oncall.router_policy (
    version              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    severity             text CHECK (severity IN ('P1', 'P2', 'P3', 'P4', 'P5')),
    incident_type        text,
    confidence_threshold double precision NOT NULL DEFAULT 0.75 CHECK (confidence_threshold BETWEEN 0 AND 1),
    max_actions_per_hour integer NOT NULL DEFAULT 10 CHECK (max_actions_per_hour >= 0),
    max_repeats_per_hour integer NOT NULL DEFAULT 3 CHECK (max_repeats_per_hour >= 0),
    builtin_weight       double precision NOT NULL DEFAULT 0.7 CHECK (builtin_weight BETWEEN 0 AND 1),
    pod_weight           double precision NOT NULL DEFAULT 0.3 CHECK (pod_weight BETWEEN 0 AND 1),
    approvals_required   smallint NOT NULL DEFAULT 1 CHECK (approvals_required IN (1, 2)),
    approval_life        interval NOT NULL DEFAULT '1 hour' CHECK (approval_life > '0' AND approval_life <= '1 day'),
    note                 text,
    created_by           name NOT NULL DEFAULT session_user,
    created_at           timestamptz NOT NULL DEFAULT pg_catalog.now(),
    CHECK (builtin_weight + pod_weight > 0)
);

COMMENT ON TABLE oncall.router_policy IS 'The rules of the router; the newest row of the most specific match decides, and each incident records its version';
COMMENT ON COLUMN oncall.router_policy.severity IS 'For incidents of this severity; NULL for any';
COMMENT ON COLUMN oncall.router_policy.incident_type IS 'For incidents of this classification; NULL for any';
COMMENT ON COLUMN oncall.router_policy.confidence_threshold IS 'The least confidence of an autonomous decision';
COMMENT ON COLUMN oncall.router_policy.max_actions_per_hour IS 'The most actions, in all, that autonomous decisions may order in an hour';
COMMENT ON COLUMN oncall.router_policy.max_repeats_per_hour IS 'How often, in an hour, a step may be carried out on the same target before a person looks: a loop escalates';
COMMENT ON COLUMN oncall.router_policy.builtin_weight IS 'Weight of the builtin embedder in the ranking';
COMMENT ON COLUMN oncall.router_policy.pod_weight IS 'Weight of the model server''s embedder in the ranking, when there is one';
COMMENT ON COLUMN oncall.router_policy.approvals_required IS 'How many people must approve a step: 1, or 2 different ones';
COMMENT ON COLUMN oncall.router_policy.approval_life IS 'How long an approval holds: the workers begin the step within it, and the second person approves within it';

INSERT INTO oncall.router_policy (note) VALUES ('the default that pg_oncall comes with');

SELECT pg_catalog.pg_extension_config_dump('oncall.router_policy', 'WHERE version > 1');
SELECT pg_catalog.pg_extension_config_dump('oncall.router_policy_version_seq', '');

CREATE TABLE oncall.circuit_breaker (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    state      text NOT NULL DEFAULT 'closed' CHECK (state IN ('closed', 'open')),
    reason     text,
    changed_by name NOT NULL DEFAULT session_user,
    changed_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);

COMMENT ON TABLE oncall.circuit_breaker IS 'One row: while its state is open, the router escalates everything';
COMMENT ON COLUMN oncall.circuit_breaker.reason IS 'Why it was opened';

INSERT INTO oncall.circuit_breaker DEFAULT VALUES;

-- A restore brings an open breaker into a database where CREATE EXTENSION has made a closed one.
CREATE FUNCTION oncall_internal.replace_breaker() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM oncall.circuit_breaker;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION oncall_internal.replace_breaker() IS 'Trigger of circuit_breaker: an inserted row takes the place of the one that is there';

CREATE TRIGGER replace_breaker BEFORE INSERT ON oncall.circuit_breaker
    FOR EACH ROW EXECUTE FUNCTION oncall_internal.replace_breaker();
COMMENT ON TRIGGER replace_breaker ON oncall.circuit_breaker IS 'An inserted row takes the place of the one that is there, as a restore needs it';

SELECT pg_catalog.pg_extension_config_dump('oncall.circuit_breaker', $$WHERE state <> 'closed'$$);

CREATE FUNCTION oncall_internal.sign_breaker() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.changed_by := session_user;
    NEW.changed_at := clock_timestamp();
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION oncall_internal.sign_breaker() IS 'Trigger of circuit_breaker: who changed it, and when';

CREATE TRIGGER sign_breaker BEFORE UPDATE ON oncall.circuit_breaker
    FOR EACH ROW EXECUTE FUNCTION oncall_internal.sign_breaker();
COMMENT ON TRIGGER sign_breaker ON oncall.circuit_breaker IS 'Who changed it, and when, is not for the one who changes it to say';
