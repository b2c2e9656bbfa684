-- The audit: one row for each accepted alert, and the journal of every step on its way.

CREATE SEQUENCE oncall.incident_number;
COMMENT ON SEQUENCE oncall.incident_number IS 'Numbers of incidents; a rolled back one leaves a gap';

CREATE TABLE oncall.incident_audit (
    -- INC-0001, INC-0002, and on beyond four digits. Not a function: one would be read and planned anew for each row.
    incident_id           text PRIMARY KEY DEFAULT 'INC-' || pg_catalog.to_char(pg_catalog.nextval('oncall.incident_number'), 'FM999999999999990000'),
    alert_text            text NOT NULL,
    runbook_retrieved     text,
    similarity            numeric(4,3),
    classification        text,
    severity              text,
    confidence            numeric(4,3),
    routing_decision      text CHECK (routing_decision IN ('autonomous', 'escalate')),
    remediation_action    jsonb,
    diagnostics           jsonb,
    notification          jsonb,
    resolution_time_s     integer,
    created_at            timestamptz NOT NULL DEFAULT pg_catalog.now(),
    state                 text NOT NULL DEFAULT 'received'
                          CHECK (state IN ('received', 'triaged', 'routed', 'handled', 'resolved', 'expired')),
    fingerprint           text,
    alert                 jsonb,
    alert_count           integer NOT NULL DEFAULT 1,
    last_seen             timestamptz NOT NULL DEFAULT pg_catalog.now(),
    found_by              text CHECK (found_by IN ('alert_name', 'similarity')),
    triage                jsonb,
    recommended_actions   text[],
    root_cause_hypothesis text,
    -- No foreign key: policies are never deleted, and every routed incident would lock the same row of theirs.
    policy_version        bigint,
    autonomy              text,
    reasons               jsonb,
    routed_at             timestamptz,
    acknowledged_by       name,
    acknowledged_at       timestamptz,
    approvals             jsonb,
    handled_at            timestamptz,
    escalation            text,
    resolution            text,
    resolved_by           name,
    closed_at             timestamptz,
    CHECK ((closed_at IS NOT NULL) = (state IN ('resolved', 'expired')))
);

-- One open incident a fingerprint: repeats join it, and two sessions cannot open it twice. By the time it was closed and
-- not by its state, which changes more often than an index should.
CREATE UNIQUE INDEX incident_audit_open_idx ON oncall.incident_audit (fingerprint) WHERE closed_at IS NULL;
CREATE INDEX incident_audit_created_at_idx ON oncall.incident_audit (created_at);
-- What the hourly budget counts.
CREATE INDEX incident_audit_budget_idx ON oncall.incident_audit (routed_at) WHERE routing_decision = 'autonomous';

COMMENT ON TABLE oncall.incident_audit IS 'One row for each accepted alert: what came in, what was found, what was decided and why, what was done';
COMMENT ON COLUMN oncall.incident_audit.runbook_retrieved IS 'The runbook of the best section';
COMMENT ON COLUMN oncall.incident_audit.similarity IS 'How near the best section is: the weighted sum of cosines';
COMMENT ON COLUMN oncall.incident_audit.confidence IS 'What the triage says; NULL when that was no number between 0 and 1 (triage has it as it came)';
COMMENT ON COLUMN oncall.incident_audit.remediation_action IS 'What was done: the first action flat, then every action with what was seen before and after';
COMMENT ON COLUMN oncall.incident_audit.diagnostics IS 'What the diagnostics found';
COMMENT ON COLUMN oncall.incident_audit.notification IS 'Who was told';
COMMENT ON COLUMN oncall.incident_audit.resolution_time_s IS 'Seconds from the alert to the end of the workers'' part';
COMMENT ON COLUMN oncall.incident_audit.state IS 'received, triaged, routed, handled (the workers have done their part); then resolved by the sender or a person, or expired when a repeat came after oncall.dedup_window and opened a new incident';
COMMENT ON COLUMN oncall.incident_audit.fingerprint IS 'The same for repeats of the same alert';
COMMENT ON COLUMN oncall.incident_audit.alert IS 'The alert as normalised, secrets redacted';
COMMENT ON COLUMN oncall.incident_audit.alert_count IS 'How many alerts joined this incident, the first included';
COMMENT ON COLUMN oncall.incident_audit.found_by IS 'Whether the alert''s name or similarity found the runbook';
COMMENT ON COLUMN oncall.incident_audit.triage IS 'The outcome of the triage, unchecked: which model answered and what, or why none did';
COMMENT ON COLUMN oncall.incident_audit.recommended_actions IS 'The steps that the triage recommends, as it named them';
COMMENT ON COLUMN oncall.incident_audit.policy_version IS 'The policy that decided';
COMMENT ON COLUMN oncall.incident_audit.autonomy IS 'oncall.autonomy at the time of the decision: under dry_run nothing is done';
COMMENT ON COLUMN oncall.incident_audit.reasons IS 'Every condition of the decision, its value, its bound, pass or fail';
COMMENT ON COLUMN oncall.incident_audit.acknowledged_by IS 'The person who has it';
COMMENT ON COLUMN oncall.incident_audit.approvals IS 'What people decided on its steps: which step, approved or rejected, by whom, when, and why';
COMMENT ON COLUMN oncall.incident_audit.escalation IS 'Why a person was paged, if one was: by the router''s decision, or since the work went badly';
COMMENT ON COLUMN oncall.incident_audit.resolution IS 'What a person said when resolving it';
COMMENT ON COLUMN oncall.incident_audit.resolved_by IS 'The person who resolved it; NULL when its sender did';
COMMENT ON COLUMN oncall.incident_audit.closed_at IS 'When it was resolved or expired; repeats join an incident that is not closed';

SELECT pg_catalog.pg_extension_config_dump('oncall.incident_audit', '');
SELECT pg_catalog.pg_extension_config_dump('oncall.incident_number', '');

CREATE TABLE oncall.incident_step (
    -- No foreign key: incidents are never deleted, and each check would lock their row.
    incident_id text NOT NULL,
    agent       text NOT NULL,
    step_no     integer NOT NULL,
    kind        text NOT NULL
                CHECK (kind IN ('embed', 'retrieve', 'metrics', 'chat', 'now', 'triage', 'route', 'diagnostic', 'guard',
                                'measure', 'action', 'verify', 'rollback', 'page', 'end')),
    request     jsonb NOT NULL,
    status      text NOT NULL CHECK (status IN ('intent', 'done', 'failed', 'unknown')),
    outcome     jsonb,
    model       text,
    tokens_in   integer,
    tokens_out  integer,
    started_at  timestamptz NOT NULL,
    latency_ms  double precision,
    PRIMARY KEY (incident_id, agent, step_no),
    CHECK ((status = 'intent') = (outcome IS NULL))
    -- A prompt stays in its row, compressed: put away in pieces it costs a row and an index entry each.
) WITH (toast_tuple_target = 8160);

-- Actions by time: what a loop is noticed by.
CREATE INDEX incident_step_action_idx ON oncall.incident_step (started_at) WHERE kind = 'action';

ALTER TABLE oncall.incident_step ALTER COLUMN request SET STORAGE MAIN;

COMMENT ON TABLE oncall.incident_step IS 'The journal: every call that an agent made on behalf of an incident, its request and its outcome, secrets redacted';
COMMENT ON COLUMN oncall.incident_step.step_no IS 'The place of the call among those of its agent, from 1';
COMMENT ON COLUMN oncall.incident_step.kind IS 'What was called: the embedder, the catalogue, the metrics, the chat model, the clock, the triage as a whole, the router, a tool (diagnostic, guard, measure, action, verify, rollback), the outbox; or how the workers'' part ended';
COMMENT ON COLUMN oncall.incident_step.status IS 'intent: committed before an action begins, so that none is forgotten; then done, failed, or unknown when nobody can say';

SELECT pg_catalog.pg_extension_config_dump('oncall.incident_step', '');

CREATE FUNCTION oncall_internal.await_fingerprint(awaited text) RETURNS void
LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- The unique index makes an insertion wait for one that is not committed yet. This one is taken back in any case.
    INSERT INTO oncall.incident_audit (incident_id, fingerprint, alert_text) VALUES ('(awaited)', awaited, '')
    ON CONFLICT (fingerprint) WHERE closed_at IS NULL DO NOTHING;
    RAISE EXCEPTION USING ERRCODE = 'triggered_action_exception';
EXCEPTION WHEN triggered_action_exception THEN
    NULL;
END
$$;
COMMENT ON FUNCTION oncall_internal.await_fingerprint(text) IS 'Waits until no other session is about to open an incident of this fingerprint';

CREATE TABLE oncall.incident_work (
    work_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident_id text NOT NULL,
    purpose     text NOT NULL CHECK (purpose IN ('treat', 'approved_step')),
    detail      jsonb,
    state       text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'held', 'done', 'given_up')),
    attempts    integer NOT NULL DEFAULT 0,
    steps_seen  integer NOT NULL DEFAULT 0,
    was_held    boolean NOT NULL DEFAULT false,
    not_before  timestamptz,
    queued_at   timestamptz NOT NULL DEFAULT pg_catalog.now(),
    started_at  timestamptz,
    done_at     timestamptz,
    error       text
);
-- What a pump looks for: a few rows, however many are done.
CREATE INDEX incident_work_open_idx ON oncall.incident_work (work_id) WHERE state IN ('queued', 'running', 'held');
CREATE INDEX incident_work_incident_idx ON oncall.incident_work (incident_id);

COMMENT ON TABLE oncall.incident_work IS 'What the workers are to do: an incident to treat, a step that a person approved';
COMMENT ON COLUMN oncall.incident_work.incident_id IS 'No foreign key: incidents are never deleted, and each check would lock their row';
COMMENT ON COLUMN oncall.incident_work.purpose IS 'treat: triage and route what is not yet, then act or page; approved_step: carry out what a person approved';
COMMENT ON COLUMN oncall.incident_work.detail IS 'What it is about beside the incident: the approval';
COMMENT ON COLUMN oncall.incident_work.state IS 'queued, running; held until not_before by a maintenance window; done; given_up when it ended the pump again and again';
COMMENT ON COLUMN oncall.incident_work.attempts IS 'How often it was begun without getting further: counted before it begins, so that what kills the pump is noticed';
COMMENT ON COLUMN oncall.incident_work.steps_seen IS 'How long the incident''s journal was when it was last begun: by it one that gets further is told from one that does not';
COMMENT ON COLUMN oncall.incident_work.was_held IS 'A maintenance window holds it back once';

SELECT pg_catalog.pg_extension_config_dump('oncall.incident_work', '');
SELECT pg_catalog.pg_extension_config_dump('oncall.incident_work_work_id_seq', '');

-- Prompts and answers are compressed when they are stored: lz4 takes a fifth of the time. Not every server was built with it.
DO $$
BEGIN
    IF (SELECT 'lz4' = ANY (enumvals) FROM pg_catalog.pg_settings WHERE name = 'default_toast_compression') THEN
        ALTER TABLE oncall.incident_step ALTER COLUMN request SET COMPRESSION lz4, ALTER COLUMN outcome SET COMPRESSION lz4;
        ALTER TABLE oncall.incident_audit
            ALTER COLUMN alert_text SET COMPRESSION lz4, ALTER COLUMN alert SET COMPRESSION lz4,
            ALTER COLUMN triage SET COMPRESSION lz4, ALTER COLUMN reasons SET COMPRESSION lz4;
    END IF;
END
$$;
