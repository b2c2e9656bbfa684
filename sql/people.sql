-- The human side: who has an incident, what they decided on its steps, how it ended, and whether the triage was right.

------------------------------------------------------------------------------------------------------------------------
-- What people decided
------------------------------------------------------------------------------------------------------------------------

CREATE TABLE oncall.approval (
    approval_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident_id        text NOT NULL REFERENCES oncall.incident_audit,
    step_id            text NOT NULL,
    parameters         jsonb NOT NULL CHECK (pg_catalog.jsonb_typeof(parameters) = 'object'),
    step_hash          text,
    action             text NOT NULL,
    proposed_by        name NOT NULL,
    proposed_at        timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    state              text NOT NULL DEFAULT 'proposed'
                       CHECK (state IN ('proposed', 'awaiting_second', 'approved', 'used', 'rejected', 'expired', 'withdrawn')),
    approvals_required smallint CHECK (approvals_required IN (1, 2)),
    decision           text CHECK (decision IN ('approved', 'rejected')),
    decided_by         name,
    decided_at         timestamptz,
    second_by          name CHECK (second_by <> decided_by),
    second_at          timestamptz,
    expires_at         timestamptz,
    why                text,
    used_at            timestamptz,
    CHECK ((decision IS NULL) = (decided_by IS NULL) AND (decision IS NULL) = (decided_at IS NULL)),
    CHECK (decision IS NULL OR decision = 'rejected' OR expires_at IS NOT NULL),
    -- Whatever the state says, nothing counts as approved that one person too few has approved.
    CHECK (state NOT IN ('approved', 'used') OR decision = 'approved' AND step_hash IS NOT NULL
           AND approvals_required IS NOT NULL AND (approvals_required = 1 OR second_by IS NOT NULL))
);

-- One live proposal of a step: two people cannot approve it past each other.
CREATE UNIQUE INDEX approval_live_idx ON oncall.approval (incident_id, step_id)
    WHERE state IN ('proposed', 'awaiting_second', 'approved');
-- What runs out.
CREATE INDEX approval_expiry_idx ON oncall.approval (expires_at) WHERE state IN ('awaiting_second', 'approved');

COMMENT ON TABLE oncall.approval IS 'One row for each proposal of a step of an escalated incident, and what people decided on it';
COMMENT ON COLUMN oncall.approval.parameters IS 'The values for what the runbook leaves open';
COMMENT ON COLUMN oncall.approval.step_hash IS 'SHA-256 of exactly this step with these parameters; a step that has another by the time it would run is not run. NULL where a step was rejected before anybody chose its parameters';
COMMENT ON COLUMN oncall.approval.action IS 'What would run, for people to read';
COMMENT ON COLUMN oncall.approval.state IS 'proposed, awaiting_second (one of two has approved), approved; used when the workers began it; rejected, expired, or withdrawn for another proposal or with its incident';
COMMENT ON COLUMN oncall.approval.approvals_required IS 'How many people the policy asked for';
COMMENT ON COLUMN oncall.approval.decided_by IS 'Who decided: the role that they were logged in as';
COMMENT ON COLUMN oncall.approval.second_by IS 'The second person, where the policy asks for two';
COMMENT ON COLUMN oncall.approval.expires_at IS 'Until when the workers may begin it';

SELECT pg_catalog.pg_extension_config_dump('oncall.approval', '');
SELECT pg_catalog.pg_extension_config_dump('oncall.approval_approval_id_seq', '');

CREATE FUNCTION oncall_internal.keep_approval() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- A decision is history: it goes forward, and what was decided on never changes.
    IF TG_OP = 'UPDATE' THEN
        IF OLD.state IN ('proposed', 'awaiting_second', 'approved')
           AND (NEW.approval_id, NEW.incident_id, NEW.step_id, NEW.parameters, NEW.step_hash, NEW.action, NEW.proposed_by, NEW.proposed_at)
             IS NOT DISTINCT FROM (OLD.approval_id, OLD.incident_id, OLD.step_id, OLD.parameters, OLD.step_hash, OLD.action, OLD.proposed_by, OLD.proposed_at)
           AND (OLD.decided_by IS NULL OR (NEW.decided_by, NEW.decided_at) IS NOT DISTINCT FROM (OLD.decided_by, OLD.decided_at) OR NEW.state = 'rejected')
        THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'decisions in oncall.approval are never changed'
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'They are made by oncall.approve_step() and oncall.reject_step().';
END
$$;
COMMENT ON FUNCTION oncall_internal.keep_approval() IS 'Trigger of approval: a row goes forward to a decision, and then stays as it is';

CREATE TRIGGER keep_approval BEFORE UPDATE OR DELETE ON oncall.approval
    FOR EACH ROW EXECUTE FUNCTION oncall_internal.keep_approval();
CREATE TRIGGER keep_approval_truncate BEFORE TRUNCATE ON oncall.approval
    FOR EACH STATEMENT EXECUTE FUNCTION oncall_internal.keep_approval();
ALTER TABLE oncall.approval ENABLE ALWAYS TRIGGER keep_approval;
ALTER TABLE oncall.approval ENABLE ALWAYS TRIGGER keep_approval_truncate;

CREATE TABLE oncall.labelled_alert (
    incident_id            text PRIMARY KEY,
    alert                  jsonb,
    alert_text             text NOT NULL,
    runbook_retrieved      text,
    classification         text,
    confidence             numeric(4,3),
    triage_was_right       boolean NOT NULL,
    expected_runbook       text,
    expected_incident_type text,
    labelled_by            name NOT NULL DEFAULT session_user,
    labelled_at            timestamptz NOT NULL DEFAULT pg_catalog.now()
);

COMMENT ON TABLE oncall.labelled_alert IS 'What people said of the triage when they resolved an incident: what thresholds and confidence can be fitted to';
COMMENT ON COLUMN oncall.labelled_alert.expected_runbook IS 'The runbook that it should have been; NULL where that is not known';
COMMENT ON COLUMN oncall.labelled_alert.expected_incident_type IS 'The classification of that runbook';

SELECT pg_catalog.pg_extension_config_dump('oncall.labelled_alert', '');

------------------------------------------------------------------------------------------------------------------------
-- What the functions below share
------------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION oncall_internal.check_operator(what text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Of the person who logged in: a function of an operator's that somebody else may call is no operator.
    IF NOT pg_has_role(session_user, 'oncall_operator', 'MEMBER') THEN
        RAISE EXCEPTION 'only an oncall_operator may %', what
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = format('%s is not a member of oncall_operator.', quote_ident(session_user)),
                  HINT = format('GRANT oncall_operator TO %I', session_user);
    END IF;
END
$$;
COMMENT ON FUNCTION oncall_internal.check_operator(text) IS 'Refuses whoever did not log in as an oncall_operator';

CREATE FUNCTION oncall_internal.lock_incident(wanted text) RETURNS oncall.incident_audit
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found_row oncall.incident_audit;
BEGIN
    SELECT * INTO found_row FROM oncall.incident_audit AS a WHERE a.incident_id = wanted FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no incident %', coalesce('"' || wanted || '"', 'NULL')
            USING ERRCODE = 'no_data_found',
                  HINT = 'The latest ones: SELECT incident_id, alert_text FROM oncall.incident_audit ORDER BY created_at DESC LIMIT 10';
    END IF;
    RETURN found_row;
END
$$;
COMMENT ON FUNCTION oncall_internal.lock_incident(text) IS 'The row of an incident, locked until the transaction ends; an error where there is none';

CREATE FUNCTION oncall_internal.refuse_closed(incident oncall.incident_audit, what text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF incident.closed_at IS NOT NULL THEN
        RAISE EXCEPTION 'incident % is closed: it cannot be %', incident.incident_id, what
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = format('It was %s%s at %s.', incident.state, coalesce(' by ' || quote_ident(incident.resolved_by), ''), incident.closed_at),
                  HINT = 'If it holds again, hand the alert in again: SELECT * FROM oncall.handle_alert(…)';
    END IF;
END
$$;
COMMENT ON FUNCTION oncall_internal.refuse_closed(oncall.incident_audit, text) IS 'An error where an incident is closed';

------------------------------------------------------------------------------------------------------------------------
-- I have it
------------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION oncall.acknowledge_incident(incident_id text) RETURNS SETOF oncall.incident_audit
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    incident oncall.incident_audit;
BEGIN
    PERFORM oncall_internal.check_operator('acknowledge an incident');
    incident := oncall_internal.lock_incident(acknowledge_incident.incident_id);
    IF incident.acknowledged_at IS NULL THEN
        PERFORM oncall_internal.refuse_closed(incident, 'acknowledged');
        PERFORM oncall_internal.record_acknowledgement(incident.incident_id);
    ELSIF incident.acknowledged_by <> session_user THEN
        RAISE NOTICE '% has it already, since %', quote_ident(incident.acknowledged_by), incident.acknowledged_at;
    END IF;
    RETURN QUERY SELECT a.* FROM oncall.incident_audit AS a WHERE a.incident_id = incident.incident_id;
END
$$;
COMMENT ON FUNCTION oncall.acknowledge_incident(text) IS 'I have it: who and when go into the audit row. The first one stays; to say it again changes nothing';

------------------------------------------------------------------------------------------------------------------------
-- Approvals
------------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION oncall_internal.undecided_step(incident oncall.incident_audit, verb text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM oncall_internal.refuse_closed(incident, 'acted on');
    -- Escalated by the router, or after it by the workers, whose guard refused or whose step failed: they paged then. Under
    -- dry_run nobody escalates, and the page offers what would have been done.
    IF incident.routing_decision IS DISTINCT FROM 'escalate' AND incident.escalation IS NULL AND NOT EXISTS (
        SELECT FROM oncall.incident_step AS s
        WHERE s.incident_id = incident.incident_id AND s.kind = 'page'
          AND (s.request ->> 'kind' = 'escalation' OR s.request @? '$.recommended[*].approve ? (@ != null)')) THEN
        RAISE EXCEPTION 'incident % is not escalated: there is no step to %', incident.incident_id, verb
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = CASE WHEN incident.routing_decision IS NULL THEN 'It is not routed yet.'
                      ELSE format('Policy %s decided that it is %s.', incident.policy_version, incident.routing_decision) END,
                  HINT = format('What was decided, and why: SELECT * FROM oncall.explain_route(%L)', incident.incident_id);
    END IF;
END
$$;
COMMENT ON FUNCTION oncall_internal.undecided_step(oncall.incident_audit, text) IS 'An error where an incident has no steps for people to decide on: closed, not routed, or not escalated';

CREATE FUNCTION oncall_internal.propose_step(incident_id text, step_id text, parameters jsonb, plan jsonb) RETURNS oncall.approval
LANGUAGE sql SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    UPDATE oncall.approval AS p SET state = 'withdrawn'
    WHERE p.incident_id = propose_step.incident_id AND p.step_id = propose_step.step_id
      AND p.state IN ('proposed', 'awaiting_second', 'approved');
    INSERT INTO oncall.approval (incident_id, step_id, parameters, step_hash, action, proposed_by)
    VALUES (propose_step.incident_id, propose_step.step_id, propose_step.parameters, plan ->> 'hash', plan ->> 'sql', session_user)
    RETURNING approval.*;
END;
COMMENT ON FUNCTION oncall_internal.propose_step(text, text, jsonb, jsonb) IS 'Puts a step before people; an earlier proposal of it is withdrawn';

CREATE FUNCTION oncall_internal.approval_rules(incident_id text) RETURNS TABLE (approvals_required smallint, approval_life interval)
LANGUAGE sql SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- The policy in force now, not the one that routed: a rule that was tightened since counts.
    SELECT coalesce(p.approvals_required, 1::smallint), coalesce(p.approval_life, '1 hour'::interval)
    FROM oncall_internal.policy_in_force(approval_rules.incident_id) AS f (version)
    LEFT JOIN oncall.router_policy AS p ON p.version = f.version;
END;
COMMENT ON FUNCTION oncall_internal.approval_rules(text) IS 'How many approvals the policy in force for an incident asks for, and how long they hold';

CREATE FUNCTION oncall.approve_step(
    incident_id text, step_id text, parameters jsonb DEFAULT NULL, step_hash text DEFAULT NULL, again boolean DEFAULT false
) RETURNS SETOF oncall.approval
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    incident oncall.incident_audit;
    live     oncall.approval;
    chosen   jsonb := approve_step.parameters;
    plan     jsonb;
    rules    record;
    moment   timestamptz;
BEGIN
    PERFORM oncall_internal.check_operator('approve a step');
    incident := oncall_internal.lock_incident(approve_step.incident_id);
    PERFORM oncall_internal.undecided_step(incident, 'approve');
    IF jsonb_typeof(chosen) <> 'object' THEN
        RAISE EXCEPTION 'parameters must be a JSON object, not %', jsonb_typeof(chosen)
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = format('The values for what the step leaves open, such as {"value": 120}. What it is: SELECT step FROM oncall.ops_runbooks WHERE step_id = %L', approve_step.step_id);
    END IF;

    SELECT * INTO live FROM oncall.approval AS p
    WHERE p.incident_id = incident.incident_id AND p.step_id = approve_step.step_id AND p.state IN ('proposed', 'awaiting_second', 'approved');
    IF live.state IN ('awaiting_second', 'approved') AND live.expires_at <= clock_timestamp() THEN
        -- Not an error, which would leave it as it is: it is over, and this is a decision of its own.
        RAISE NOTICE 'the approval by % has expired at %', quote_ident(live.decided_by), live.expires_at;
        UPDATE oncall.approval AS p SET state = 'expired' WHERE p.approval_id = live.approval_id;
        live := NULL;
    END IF;
    IF live.state = 'approved' THEN
        RAISE EXCEPTION 'step % of incident % is approved already', live.step_id, incident.incident_id
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = format('%s approved it at %s; the workers may begin it until %s.',
                                  concat_ws(' and ', quote_ident(live.decided_by), quote_ident(live.second_by)), live.decided_at, live.expires_at),
                  HINT = format('To take it back: SELECT * FROM oncall.reject_step(%L, %L, ''why'')', incident.incident_id, live.step_id);
    END IF;
    IF NOT coalesce(again, false) AND EXISTS (
        SELECT FROM oncall.approval AS p
        WHERE p.incident_id = incident.incident_id AND p.step_id = approve_step.step_id AND p.state = 'used') THEN
        RAISE EXCEPTION 'step % of incident % was approved already, and begun', approve_step.step_id, incident.incident_id
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = (SELECT format('%s approved it; it was begun at %s.', concat_ws(' and ', quote_ident(p.decided_by), quote_ident(p.second_by)), p.used_at)
                            FROM oncall.approval AS p
                            WHERE p.incident_id = incident.incident_id AND p.step_id = approve_step.step_id AND p.state = 'used'
                            ORDER BY p.approval_id DESC LIMIT 1),
                  HINT = format('What came of it: SELECT * FROM oncall.incident_timeline(%L). To have it done once more: SELECT * FROM oncall.approve_step(%1$L, %L, again => true)',
                                incident.incident_id, approve_step.step_id);
    END IF;

    chosen := coalesce(chosen, live.parameters, '{}');
    plan := oncall_internal.plan_step(incident.incident_id, coalesce(approve_step.step_id, ''), chosen::text);
    IF plan ->> 'hash' <> coalesce(approve_step.step_hash, CASE WHEN chosen = live.parameters THEN live.step_hash END) THEN
        RAISE EXCEPTION 'step % is not what it was: the runbook, the tool or the parameters have changed', approve_step.step_id
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = format('What it would do now: %s', plan ->> 'sql'),
                  HINT = format('Look at it (SELECT content, step FROM oncall.ops_runbooks WHERE step_id = %2$L), and then approve what it is now: SELECT * FROM oncall.approve_step(%1$L, %2$L, parameters => %3$L, step_hash => %4$L)',
                                incident.incident_id, approve_step.step_id, chosen, plan ->> 'hash');
    END IF;
    IF live.approval_id IS NULL OR live.parameters <> chosen OR live.step_hash IS DISTINCT FROM plan ->> 'hash' THEN
        IF live.state = 'awaiting_second' THEN
            RAISE NOTICE '% approved something else, and has to approve this as well', quote_ident(live.decided_by);
        END IF;
        live := oncall_internal.propose_step(incident.incident_id, approve_step.step_id, chosen, plan);
    END IF;

    SELECT * INTO rules FROM oncall_internal.approval_rules(incident.incident_id);
    moment := clock_timestamp();
    IF live.state = 'proposed' THEN
        UPDATE oncall.approval AS p
        SET decision = 'approved', decided_by = session_user, decided_at = moment, expires_at = moment + rules.approval_life,
            approvals_required = rules.approvals_required,
            state = CASE rules.approvals_required WHEN 1 THEN 'approved' ELSE 'awaiting_second' END
        WHERE p.approval_id = live.approval_id RETURNING * INTO live;
    ELSIF live.decided_by = session_user THEN
        RAISE EXCEPTION 'step % of incident % needs the approval of a second person', live.step_id, incident.incident_id
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = format('You, %s, approved it at %s.', quote_ident(live.decided_by), live.decided_at),
                  HINT = format('Another oncall_operator, before %s: SELECT * FROM oncall.approve_step(%L, %L%s)', live.expires_at,
                                incident.incident_id, live.step_id, CASE WHEN again THEN ', again => true' ELSE '' END);
    ELSE
        UPDATE oncall.approval AS p
        SET second_by = session_user, second_at = moment, expires_at = moment + rules.approval_life, state = 'approved'
        WHERE p.approval_id = live.approval_id RETURNING * INTO live;
    END IF;
    PERFORM oncall_internal.record_decision(live.approval_id);
    IF live.state = 'approved' THEN
        INSERT INTO oncall.incident_work (incident_id, purpose, detail)
        VALUES (incident.incident_id, 'approved_step', jsonb_build_object('approval_id', live.approval_id, 'step_id', live.step_id));
    END IF;
    RETURN NEXT live;
END
$$;
COMMENT ON FUNCTION oncall.approve_step(text, text, jsonb, text, boolean) IS
    'Let the workers carry out a step of an escalated incident, once, after commit: exactly this step with these parameters (values for what the runbook leaves open, within its bounds), within approval_life. Where the policy asks for two approvals, a second person says the same. step_hash: of what you have seen, where it has changed since; again: once more after it was carried out';

CREATE FUNCTION oncall.reject_step(incident_id text, step_id text, why text) RETURNS SETOF oncall.approval
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    incident oncall.incident_audit;
    live     oncall.approval;
BEGIN
    PERFORM oncall_internal.check_operator('reject a step');
    incident := oncall_internal.lock_incident(reject_step.incident_id);
    PERFORM oncall_internal.undecided_step(incident, 'reject');
    IF coalesce(btrim(reject_step.why), '') = '' THEN
        RAISE EXCEPTION 'a rejection needs a reason'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'One sentence for whoever reads the audit: reject_step(incident, step, ''the pool is not the cause'')';
    END IF;
    SELECT * INTO live FROM oncall.approval AS p
    WHERE p.incident_id = incident.incident_id AND p.step_id = reject_step.step_id
    ORDER BY p.approval_id DESC LIMIT 1;
    IF live.state IN ('used', 'rejected') THEN
        RAISE EXCEPTION 'step % of incident % %', live.step_id, incident.incident_id,
                CASE live.state WHEN 'used' THEN 'was begun: it is too late to reject it' ELSE 'is rejected already' END
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = format('%s %s it at %s%s.', quote_ident(live.decided_by), live.decision, live.decided_at, coalesce(': ' || live.why, '')),
                  HINT = format('What came of it: SELECT * FROM oncall.incident_timeline(%L)', incident.incident_id);
    END IF;
    IF live.approval_id IS NULL OR live.state IN ('expired', 'withdrawn') THEN
        live := oncall_internal.propose_step(incident.incident_id, reject_step.step_id, '{}',
                                             oncall_internal.step_on_offer(incident.incident_id, coalesce(reject_step.step_id, '')));
    END IF;
    UPDATE oncall.approval AS p
    SET state = 'rejected', decision = 'rejected', decided_by = session_user, decided_at = clock_timestamp(),
        second_by = NULL, second_at = NULL, why = reject_step.why
    WHERE p.approval_id = live.approval_id RETURNING * INTO live;
    PERFORM oncall_internal.record_decision(live.approval_id);
    RETURN NEXT live;
END
$$;
COMMENT ON FUNCTION oncall.reject_step(text, text, text) IS 'Say that a step of an escalated incident is not to be carried out, and why; an approval that the workers have not begun is taken back';

CREATE FUNCTION oncall_internal.take_approval(wanted bigint) RETURNS jsonb
LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    taken oncall.approval;
BEGIN
    UPDATE oncall.approval AS p SET state = 'expired'
    WHERE p.approval_id = wanted AND p.state = 'approved' AND p.expires_at <= clock_timestamp();
    -- Its sender, or time, may have closed the incident since.
    UPDATE oncall.approval AS p SET state = 'withdrawn'
    WHERE p.approval_id = wanted AND p.state = 'approved'
      AND EXISTS (SELECT FROM oncall.incident_audit AS a WHERE a.incident_id = p.incident_id AND a.closed_at IS NOT NULL);
    UPDATE oncall.approval AS p SET state = 'used', used_at = clock_timestamp()
    WHERE p.approval_id = wanted AND p.state = 'approved';
    SELECT * INTO taken FROM oncall.approval AS p WHERE p.approval_id = wanted;
    -- Used: after a crash the same worker's part is played again, and the journal says how far it came.
    RETURN jsonb_build_object(
        'state', taken.state,
        'approval', CASE WHEN taken.state = 'used' THEN jsonb_build_object(
            'step', taken.step_id, 'parameters', taken.parameters, 'hash', taken.step_hash,
            'approved_by', concat_ws(' and ', taken.decided_by, taken.second_by)) END);
END
$$;
COMMENT ON FUNCTION oncall_internal.take_approval(bigint) IS 'For the workers, as they begin an approved step: its state, and the approval where it holds. It is used up by this';

CREATE FUNCTION oncall_internal.expire_approvals() RETURNS bigint
LANGUAGE sql SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH expired AS (
        UPDATE oncall.approval AS p SET state = 'expired'
        WHERE p.state IN ('awaiting_second', 'approved') AND p.expires_at <= pg_catalog.clock_timestamp()
        RETURNING 1)
    SELECT pg_catalog.count(*) FROM expired;
END;
COMMENT ON FUNCTION oncall_internal.expire_approvals() IS 'Approvals that ran out say so; how many';

CREATE VIEW oncall.steps_to_approve AS
SELECT a.incident_id, offered.step ->> 'step_id' AS step_id, (offered.step ->> 'destructive')::boolean AS destructive,
       offered.step ->> 'summary' AS summary,
       -- The second person says what the first one said: values of their own would be another proposal, and withdraw the first.
       CASE WHEN p.state = 'awaiting_second' THEN
           pg_catalog.format('SELECT * FROM oncall.approve_step(%L, %L%s);', a.incident_id, offered.step ->> 'step_id',
                             CASE WHEN p.used_before THEN ', again => true' ELSE '' END)
       ELSE offered.step ->> 'approve' END AS approve,
       p.state, p.decided_by
FROM oncall.incident_audit AS a
CROSS JOIN LATERAL (
    -- The last page that offered it: what was seen since then stands in its summary.
    SELECT DISTINCT ON (r.step ->> 'step_id') r.step, s.started_at, r.place
    FROM oncall.incident_step AS s
    CROSS JOIN LATERAL pg_catalog.jsonb_path_query(s.request, '$.recommended[*] ? (@.approve != null)') WITH ORDINALITY AS r (step, place)
    WHERE s.incident_id = a.incident_id AND s.kind = 'page'
    ORDER BY r.step ->> 'step_id', s.started_at DESC) AS offered
LEFT JOIN LATERAL (
    SELECT v.state, v.decided_by,
           EXISTS (SELECT FROM oncall.approval AS u
                   WHERE u.incident_id = v.incident_id AND u.step_id = v.step_id AND u.state = 'used') AS used_before
    FROM oncall.approval AS v
    WHERE v.incident_id = a.incident_id AND v.step_id = offered.step ->> 'step_id'
    ORDER BY v.approval_id DESC LIMIT 1) AS p ON true
WHERE a.closed_at IS NULL AND coalesce(p.state, 'proposed') NOT IN ('approved', 'used', 'rejected')
ORDER BY a.incident_id, offered.started_at, offered.place;
COMMENT ON VIEW oncall.steps_to_approve IS 'What waits for a person''s word: the steps that the pages of open incidents offer, each with the SQL that approves it, and how far that is (awaiting_second: one of two has approved; expired, withdrawn: approved in vain). oncall.reject_step() takes one from here';
COMMENT ON COLUMN oncall.steps_to_approve.approve IS 'What to type to approve it. A value in it is an example within the runbook''s bounds; where one of two has approved, it is what that one chose';
COMMENT ON COLUMN oncall.steps_to_approve.state IS 'NULL: nobody has decided yet; else that of the last row of oncall.approval';
COMMENT ON COLUMN oncall.steps_to_approve.decided_by IS 'Who approved it first';

------------------------------------------------------------------------------------------------------------------------
-- It is over
------------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION oncall.resolve_incident(incident_id text, what text, was_the_triage_right boolean, right_runbook text DEFAULT NULL)
RETURNS SETOF oncall.incident_audit
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    incident oncall.incident_audit;
    expected text := right_runbook;
BEGIN
    PERFORM oncall_internal.check_operator('resolve an incident');
    incident := oncall_internal.lock_incident(resolve_incident.incident_id);
    -- One that its sender closed, or that expired, can still be told about: the label is worth having.
    IF incident.resolved_by IS NOT NULL THEN
        RAISE EXCEPTION 'incident % is resolved already', incident.incident_id
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = format('%s resolved it at %s: %s', quote_ident(incident.resolved_by), incident.closed_at, incident.resolution);
    END IF;
    IF coalesce(btrim(what), '') = '' THEN
        RAISE EXCEPTION 'a resolution needs a word on what it was'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'For whoever has it next: resolve_incident(incident, ''the batch job held its transactions open'', true)';
    END IF;
    IF was_the_triage_right IS NOT NULL AND incident.classification IS NULL THEN
        RAISE EXCEPTION 'incident % was not triaged: there is nothing to be right or wrong', incident.incident_id
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Give NULL for was_the_triage_right.';
    END IF;
    IF right_runbook IS NOT NULL THEN
        IF was_the_triage_right IS NULL OR was_the_triage_right AND right_runbook IS DISTINCT FROM incident.runbook_retrieved THEN
            RAISE EXCEPTION 'right_runbook is for a triage that was wrong'
                USING ERRCODE = 'invalid_parameter_value',
                      DETAIL = format('The triage found %s.', coalesce(incident.runbook_retrieved, 'no runbook')),
                      HINT = format('SELECT * FROM oncall.resolve_incident(%L, %L, false, %L)', incident.incident_id, what, right_runbook);
        ELSIF NOT EXISTS (SELECT FROM oncall.ops_runbooks AS r WHERE r.runbook_id = right_runbook) THEN
            RAISE EXCEPTION 'there is no runbook "%"', right_runbook
                USING ERRCODE = 'no_data_found', HINT = 'SELECT DISTINCT runbook_id, title FROM oncall.ops_runbooks ORDER BY 1';
        END IF;
    END IF;

    PERFORM oncall_internal.record_resolution(incident.incident_id, what);
    UPDATE oncall.approval AS p SET state = 'withdrawn'
    WHERE p.incident_id = incident.incident_id AND p.state IN ('proposed', 'awaiting_second', 'approved');
    IF was_the_triage_right IS NOT NULL THEN
        IF was_the_triage_right THEN
            expected := incident.runbook_retrieved;
        END IF;
        INSERT INTO oncall.labelled_alert
            (incident_id, alert, alert_text, runbook_retrieved, classification, confidence, triage_was_right, expected_runbook, expected_incident_type)
        VALUES (incident.incident_id, incident.alert, incident.alert_text, incident.runbook_retrieved, incident.classification, incident.confidence,
                was_the_triage_right, expected,
                CASE WHEN was_the_triage_right THEN incident.classification
                     ELSE (SELECT r.incident_type FROM oncall.ops_runbooks AS r WHERE r.runbook_id = expected ORDER BY r.position LIMIT 1) END);
    END IF;
    RETURN QUERY SELECT a.* FROM oncall.incident_audit AS a WHERE a.incident_id = incident.incident_id;
END
$$;
COMMENT ON FUNCTION oncall.resolve_incident(text, text, boolean, text) IS
    'It is over: closes the incident with what it was, tells the sinks that have a page of it, and keeps in labelled_alert whether the triage was right (NULL: not known) and, where it was wrong, which runbook it should have been';

------------------------------------------------------------------------------------------------------------------------
-- Waiting for the workers
------------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION oncall.wait_for_incident(incident_id text, timeout interval DEFAULT '60 seconds') RETURNS SETOF oncall.incident_audit
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    id       CONSTANT text := wait_for_incident.incident_id;
    -- NULL: as long as it takes.
    deadline CONSTANT timestamptz := clock_timestamp() + timeout;
    pause    double precision := 0.005;
    next_look timestamptz := clock_timestamp();
    blocked  integer;
    left_to_do text;
BEGIN
    IF NOT EXISTS (SELECT FROM oncall.incident_audit AS a WHERE a.incident_id = id) THEN
        RAISE EXCEPTION 'there is no incident %', coalesce('"' || id || '"', 'NULL')
            USING ERRCODE = 'no_data_found',
                  HINT = 'The latest ones: SELECT incident_id, alert_text FROM oncall.incident_audit ORDER BY created_at DESC LIMIT 10';
    END IF;
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'wait_for_incident() would wait in vain in a % transaction', current_setting('transaction_isolation')
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'Such a transaction never sees what the workers commit after its start.',
                  HINT = 'Call it outside of the transaction, or in one that is READ COMMITTED.';
    END IF;
    IF EXISTS (SELECT FROM oncall.incident_work AS w WHERE w.incident_id = id AND oncall_internal.is_own_transaction(w.xmin::text)) THEN
        RAISE EXCEPTION 'the workers begin with incident % when this transaction has committed', id
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'Nothing leaves the database before commit: this transaction would wait for itself.',
                  HINT = format('COMMIT, and then: SELECT * FROM oncall.wait_for_incident(%L)', id);
    END IF;
    LOOP
        SELECT string_agg(format('%s is %s', w.purpose, w.state) || coalesce(' until ' || w.not_before, '')
                          || CASE w.state WHEN 'held' THEN ' by a maintenance window' ELSE '' END, ', ' ORDER BY w.work_id) INTO left_to_do
        FROM oncall.incident_work AS w WHERE w.incident_id = id AND w.state IN ('queued', 'running', 'held');
        EXIT WHEN left_to_do IS NULL;
        IF clock_timestamp() >= deadline THEN
            RAISE NOTICE 'the workers are not done with incident %: %', id, left_to_do;
            EXIT;
        END IF;
        -- CREATE INDEX CONCURRENTLY waits for every older snapshot, and the statement that waits here has one.
        IF clock_timestamp() >= next_look THEN
            -- Else a transaction sees the sessions that it saw first.
            PERFORM pg_stat_clear_snapshot();
            SELECT a.pid INTO blocked FROM pg_stat_activity AS a
            WHERE a.usename = 'oncall_executor' AND pg_backend_pid() = ANY (pg_blocking_pids(a.pid));
            IF FOUND THEN
                RAISE NOTICE 'an action of the workers waits for this transaction to end: end it, and wait again';
                EXIT;
            END IF;
            next_look := clock_timestamp() + interval '250 milliseconds';
        END IF;
        PERFORM pg_sleep(least(pause, greatest(extract(epoch FROM deadline - clock_timestamp())::double precision, 0)));
        pause := least(pause * 1.5, 0.1);
    END LOOP;
    RETURN QUERY SELECT a.* FROM oncall.incident_audit AS a WHERE a.incident_id = id;
END
$$;
COMMENT ON FUNCTION oncall.wait_for_incident(text, interval) IS
    'Waits until the workers are done with an incident, and gives its audit row. After the timeout (NULL: none) it gives the row as it is, with a notice; so it does when an action waits for this very transaction, as CREATE INDEX CONCURRENTLY does for every older one';

------------------------------------------------------------------------------------------------------------------------

COMMENT ON FUNCTION oncall_internal.plan_step(text, text, text) IS 'What a step of an incident would do with these values for its open parameters: its SQL and its hash; an error where it is not on offer or a value is out of bounds';
COMMENT ON FUNCTION oncall_internal.step_on_offer(text, text) IS 'The same without values: what is on offer, as far as it is fixed';
COMMENT ON FUNCTION oncall_internal.policy_in_force(text) IS 'The version of the policy that is in force for an incident; 0 for none';
COMMENT ON FUNCTION oncall_internal.record_acknowledgement(text) IS 'Writes into the audit row that the person of this session has the incident';
COMMENT ON FUNCTION oncall_internal.record_decision(bigint) IS 'Writes a decision on a step into the audit row of its incident';
COMMENT ON FUNCTION oncall_internal.record_resolution(text, text) IS 'Closes an incident by the word of the person of this session';
COMMENT ON FUNCTION oncall_internal.is_own_transaction(text) IS 'Whether a transaction id is this transaction''s, or one of its subtransactions';
