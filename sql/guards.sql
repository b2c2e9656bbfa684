-- What keeps the tables honest, whoever writes to them and by whatever route.

CREATE FUNCTION oncall_internal.prepare_section() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.destructive := coalesce(NEW.destructive, NEW.step IS NOT NULL);
    -- The id of a step follows from its place, and its shape is checked, whoever writes the row.
    NEW.step_id := CASE WHEN NEW.step IS NOT NULL
        THEN oncall_internal.check_step(NEW.runbook_id, NEW.section, NEW.step, NEW.destructive) END;
    -- A restored row brings all three along: nothing is to be done, and no pod to be asked.
    IF TG_OP = 'INSERT' AND NEW.embedding IS NOT NULL AND NEW.embedding_model IS NOT NULL AND NEW.builtin_embedding IS NOT NULL THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'INSERT' OR (NEW.title, NEW.section, NEW.content) IS DISTINCT FROM (OLD.title, OLD.section, OLD.content) THEN
        NEW.builtin_embedding := oncall_internal.embed_passage_builtin(NEW.title, NEW.section, NEW.content);
        NEW.embedding_model := oncall_internal.embedding_model();
        NEW.embedding := oncall_internal.embed_passage(NEW.title, NEW.section, NEW.content, oncall_internal.embedding_dimension());
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION oncall_internal.prepare_section() IS 'Checks the step of a section, and makes both vectors follow its text';

CREATE TRIGGER prepare_section BEFORE INSERT OR UPDATE ON oncall.ops_runbooks
    FOR EACH ROW EXECUTE FUNCTION oncall_internal.prepare_section();
COMMENT ON TRIGGER prepare_section ON oncall.ops_runbooks IS 'Both vectors follow the text, in the writer''s transaction; a step names a known tool and keeps within its bounds';

CREATE FUNCTION oncall_internal.check_tool_row() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM oncall_internal.check_tool(to_jsonb(NEW));
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION oncall_internal.check_tool_row() IS 'Trigger of tool: refuses one that could not be used';

CREATE TRIGGER check_tool_row BEFORE INSERT OR UPDATE ON oncall.tool
    FOR EACH ROW EXECUTE FUNCTION oncall_internal.check_tool_row();
COMMENT ON TRIGGER check_tool_row ON oncall.tool IS 'A tool that could not be used is refused when it is written';

-- Sessions keep in memory what a search stands on. They are told before a statement, so that what is read in the midst of one
-- that fails is read anew, too; and after each row, since the worker of a subscription fires no triggers of statements. ALWAYS:
-- what it brings is no less of a change.
DO $do$
DECLARE
    kept text;
BEGIN
    FOREACH kept IN ARRAY ARRAY['ops_runbooks', 'tool', 'router_policy'] LOOP
        EXECUTE format('CREATE TRIGGER tell_sessions_first BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON oncall.%I
                            FOR EACH STATEMENT EXECUTE FUNCTION oncall_internal.tell_sessions()', kept);
        EXECUTE format('CREATE TRIGGER tell_sessions AFTER INSERT OR UPDATE OR DELETE ON oncall.%I
                            FOR EACH ROW EXECUTE FUNCTION oncall_internal.tell_sessions()', kept);
        EXECUTE format('COMMENT ON TRIGGER tell_sessions_first ON oncall.%I IS %L', kept,
                       'What sessions keep of this table in memory is read anew, whatever comes of the change');
        EXECUTE format('COMMENT ON TRIGGER tell_sessions ON oncall.%I IS %L', kept,
                       'What sessions keep of this table in memory is read anew after a change');
        EXECUTE format('ALTER TABLE oncall.%I ENABLE ALWAYS TRIGGER tell_sessions_first, ENABLE ALWAYS TRIGGER tell_sessions', kept);
    END LOOP;
END
$do$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON oncall.incident_audit
    FOR EACH ROW EXECUTE FUNCTION oncall_internal.refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON oncall.incident_audit
    FOR EACH STATEMENT EXECUTE FUNCTION oncall_internal.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON oncall.incident_step
    FOR EACH ROW EXECUTE FUNCTION oncall_internal.refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON oncall.incident_step
    FOR EACH STATEMENT EXECUTE FUNCTION oncall_internal.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON oncall.inference_audit_log
    FOR EACH ROW EXECUTE FUNCTION oncall_internal.refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON oncall.inference_audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION oncall_internal.refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON oncall.inference_audit_log_default
    FOR EACH STATEMENT EXECUTE FUNCTION oncall_internal.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON oncall.router_policy
    FOR EACH ROW EXECUTE FUNCTION oncall_internal.refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON oncall.router_policy
    FOR EACH STATEMENT EXECUTE FUNCTION oncall_internal.refuse_change();

-- ALWAYS: session_replication_role = replica, which a superuser may set, does not switch them off.
ALTER TABLE oncall.incident_audit ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE oncall.incident_audit ENABLE ALWAYS TRIGGER append_only_truncate;
ALTER TABLE oncall.incident_step ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE oncall.incident_step ENABLE ALWAYS TRIGGER append_only_truncate;
ALTER TABLE oncall.inference_audit_log ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE oncall.inference_audit_log ENABLE ALWAYS TRIGGER append_only_truncate;
ALTER TABLE oncall.inference_audit_log_default ENABLE ALWAYS TRIGGER append_only_truncate;
ALTER TABLE oncall.router_policy ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE oncall.router_policy ENABLE ALWAYS TRIGGER append_only_truncate;

CREATE TRIGGER wake_pump AFTER INSERT ON oncall.incident_work
    FOR EACH STATEMENT EXECUTE FUNCTION oncall_internal.wake_pump();
COMMENT ON TRIGGER wake_pump ON oncall.incident_work IS 'The workers look as soon as the transaction has committed';
