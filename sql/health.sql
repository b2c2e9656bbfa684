-- Is the pipeline itself still good? The log of inferences, the thresholds, and the snapshot that compares the last
-- hours with the days before them.

------------------------------------------------------------------------------------------------------------------------
-- The log
------------------------------------------------------------------------------------------------------------------------

-- The parent has no key and no index of its own; each partition has them, because of what pg_dump does. The parent
-- belongs to the extension, so a restore has it, whole, from CREATE EXTENSION. A month made later is an ordinary table:
-- it is dumped with definition, rows and indexes. If the parent had indexes, attaching the restored month to it would
-- make them there a second time, and the restore would end in "multiple primary keys" for every month (seen on 15).
-- Nothing is lost by it: trace_id comes from one sequence, and every partition checks its own key.
CREATE TABLE oncall.inference_audit_log (
    trace_id           bigserial,
    execution_ts       timestamptz NOT NULL DEFAULT now(),
    user_query         text NOT NULL,
    query_vector       vector,
    matched_ids        text[],
    match_scores       double precision[],
    generated_text     text,
    validation_metrics jsonb,
    runtime_context    jsonb,
    incident_id        text,
    model              text,
    tokens_in          int,
    tokens_out         int,
    latency_ms         double precision
) PARTITION BY RANGE (execution_ts);

COMMENT ON TABLE oncall.inference_audit_log IS
    'One row per inference: what was asked, found, answered and judged. Partitioned by month (UTC); each partition has the primary key (trace_id, execution_ts), an index on execution_ts and one on validation_metrics.';
COMMENT ON COLUMN oncall.inference_audit_log.trace_id IS
    'Number of the inference, from one sequence for all partitions.';
COMMENT ON COLUMN oncall.inference_audit_log.execution_ts IS
    'When the inference began; decides the partition.';
COMMENT ON COLUMN oncall.inference_audit_log.user_query IS
    'The text that was asked about: an alert''s text or a question.';
COMMENT ON COLUMN oncall.inference_audit_log.query_vector IS
    'The embedding of user_query. Of no fixed length, because embedding models differ in theirs and the log outlives a change of model.';
COMMENT ON COLUMN oncall.inference_audit_log.matched_ids IS
    'The sections that were retrieved, best first. NULL or empty counts as a miss in Retrieval.HitRate.';
COMMENT ON COLUMN oncall.inference_audit_log.match_scores IS
    'Their similarities, in the order of matched_ids; the first is the sample of Retrieval.TopScore.';
COMMENT ON COLUMN oncall.inference_audit_log.generated_text IS
    'What the model answered, as it came.';
COMMENT ON COLUMN oncall.inference_audit_log.validation_metrics IS
    'The judge''s scores, such as {"faithfulness": 0.91}; NULL until judged. A number from 0 to 1 is a sample, anything else is not.';
COMMENT ON COLUMN oncall.inference_audit_log.runtime_context IS
    'How the answer came about: generator, embedder, fallback_triggered (boolean), reason.';
COMMENT ON COLUMN oncall.inference_audit_log.incident_id IS
    'The incident that it was for; NULL for a question outside any incident.';
COMMENT ON COLUMN oncall.inference_audit_log.model IS
    'The model that answered, by the server''s word.';
COMMENT ON COLUMN oncall.inference_audit_log.tokens_in IS
    'Tokens of the prompt; NULL where the server does not count them.';
COMMENT ON COLUMN oncall.inference_audit_log.tokens_out IS
    'Tokens of the answer; NULL where the server does not count them.';
COMMENT ON COLUMN oncall.inference_audit_log.latency_ms IS
    'Milliseconds from the first byte sent to the last one read, retries included.';

-- Takes every row whose month has no partition yet, so that no insert ever fails for want of one. It is also the
-- pattern from which months are made.
CREATE TABLE oncall.inference_audit_log_default PARTITION OF oncall.inference_audit_log (
    PRIMARY KEY (trace_id, execution_ts)
) DEFAULT
-- A row stays in one piece: beside a vector of some kilobytes the server would put away every short text of it.
WITH (toast_tuple_target = 8160);

CREATE INDEX idx_audit_ts_desc ON oncall.inference_audit_log_default (execution_ts DESC);
-- Partial: a row that is not judged yet would cost an entry that says nothing.
CREATE INDEX idx_audit_metrics ON oncall.inference_audit_log_default USING gin (validation_metrics)
    WHERE validation_metrics IS NOT NULL;

-- The builtin vectors are mostly zeros: compressed they stay in the row, where pgvector's own way is to put them away in pieces.
ALTER TABLE oncall.inference_audit_log ALTER COLUMN query_vector SET STORAGE MAIN;
DO $$
BEGIN
    IF (SELECT 'lz4' = ANY (enumvals) FROM pg_catalog.pg_settings WHERE name = 'default_toast_compression') THEN
        ALTER TABLE oncall.inference_audit_log ALTER COLUMN query_vector SET COMPRESSION lz4;
    END IF;
END
$$;

COMMENT ON TABLE oncall.inference_audit_log_default IS
    'Rows of inference_audit_log whose month has no partition of its own; ensure_log_partitions() moves them when it makes the month.';

-- Members of an extension are not dumped, except what is registered here. A partitioned parent holds no rows.
SELECT pg_catalog.pg_extension_config_dump('oncall.inference_audit_log_default', '');
SELECT pg_catalog.pg_extension_config_dump('oncall.inference_audit_log_trace_id_seq', '');

-- Not called here, on purpose. A partition made by this script would be a member of the extension, and its rows would
-- be in no dump. Released from membership it would be dumped whole, and collide with the one that CREATE EXTENSION has
-- just made where the dump is restored in the same month. So a restore must find no month made; until the first call
-- rows go to the default partition, and that call moves them.
CREATE FUNCTION oncall.ensure_log_partitions(months_ahead int DEFAULT 2)
RETURNS SETOF regclass
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- Months are cut in UTC, so that two sessions with different time zones make the same partitions.
SET timezone = 'UTC'
-- Whoever writes the log queues behind this function's locks. Better to fail here and be called again.
SET lock_timeout = '3s'
AS $$
DECLARE
    first_month CONSTANT timestamptz := date_trunc('month', now());
    month_start timestamptz;
    month_end   timestamptz;
    name        text;
    existing    regclass;
    has_rows    boolean;
BEGIN
    IF months_ahead IS NULL OR months_ahead NOT BETWEEN 0 AND 120 THEN
        RAISE EXCEPTION 'months_ahead must be between 0 and 120, not %', coalesce(months_ahead::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Two months ahead are made by default.';
    END IF;

    FOR i IN 0 .. months_ahead LOOP
        month_start := first_month + make_interval(months => i);
        month_end := first_month + make_interval(months => i + 1);
        name := 'inference_audit_log_' || to_char(month_start, 'YYYY_MM');

        existing := to_regclass(format('oncall.%I', name));
        IF existing IS NULL THEN
            -- Conflicts with itself only: two calls at once take turns, readers and writers go on.
            LOCK TABLE ONLY oncall.inference_audit_log IN SHARE UPDATE EXCLUSIVE MODE;
            existing := to_regclass(format('oncall.%I', name));
        END IF;
        IF existing IS NOT NULL THEN
            IF NOT EXISTS (SELECT FROM pg_inherits
                           WHERE inhrelid = existing AND inhparent = 'oncall.inference_audit_log'::regclass) THEN
                RAISE EXCEPTION 'table oncall.% exists, but is no partition of oncall.inference_audit_log', name
                    USING ERRCODE = 'duplicate_table',
                          HINT = 'Attach it, or rename it.';
            END IF;
            CONTINUE;
        END IF;

        EXECUTE format('CREATE TABLE oncall.%I (LIKE oncall.inference_audit_log_default INCLUDING ALL) WITH (toast_tuple_target = 8160)',
                       name);
        EXECUTE format('COMMENT ON TABLE oncall.%I IS %L', name,
                       'Rows of inference_audit_log from ' || to_char(month_start, 'YYYY-MM') || ', UTC.');

        has_rows := EXISTS (SELECT FROM oncall.inference_audit_log_default
                            WHERE execution_ts >= month_start AND execution_ts < month_end);
        IF has_rows THEN
            -- No partition can be attached while the default one holds its rows. Detached, the default one also loses
            -- the triggers that it has from the parent, so a rule against deleting does not stand in the way.
            ALTER TABLE oncall.inference_audit_log DETACH PARTITION oncall.inference_audit_log_default;
            EXECUTE format(
                'WITH moved AS (
                     DELETE FROM oncall.inference_audit_log_default
                     WHERE execution_ts >= $1 AND execution_ts < $2
                     RETURNING *)
                 INSERT INTO oncall.%I SELECT * FROM moved', name)
                USING month_start, month_end;
        END IF;
        EXECUTE format('ALTER TABLE oncall.inference_audit_log ATTACH PARTITION oncall.%I FOR VALUES FROM (%L) TO (%L)',
                       name, month_start, month_end);
        IF has_rows THEN
            ALTER TABLE oncall.inference_audit_log ATTACH PARTITION oncall.inference_audit_log_default DEFAULT;
        END IF;

        -- Row triggers come with the parent; one for a statement does not.
        EXECUTE format('CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON oncall.%I
                            FOR EACH STATEMENT EXECUTE FUNCTION oncall_internal.refuse_change()', name);
        EXECUTE format('ALTER TABLE oncall.%I ENABLE ALWAYS TRIGGER append_only_truncate', name);

        RETURN NEXT to_regclass(format('oncall.%I', name));
    END LOOP;
END;
$$;

COMMENT ON FUNCTION oncall.ensure_log_partitions(int) IS
    'Makes the partitions of inference_audit_log for this month and the next ones, moves rows that waited in the default partition, and returns what it made. Call it after CREATE EXTENSION and then at least monthly; it may be called at any time, by the owner of the log.';

------------------------------------------------------------------------------------------------------------------------
-- Thresholds
------------------------------------------------------------------------------------------------------------------------

CREATE TABLE oncall.audit_thresholds (
    metric_category         text PRIMARY KEY,
    warning_zscore          double precision NOT NULL DEFAULT -2.0,
    critical_zscore         double precision NOT NULL DEFAULT -3.0,
    relative_drop_threshold double precision NOT NULL DEFAULT 0.25,
    min_sample_size         int NOT NULL DEFAULT 10,
    shipped                 boolean NOT NULL DEFAULT false,
    CONSTRAINT audit_thresholds_zscores_are_drops
        CHECK (critical_zscore <= warning_zscore AND warning_zscore <= 0),
    CONSTRAINT audit_thresholds_relative_drop_is_a_share
        CHECK (relative_drop_threshold > 0 AND relative_drop_threshold <= 1),
    -- One sample has no deviation.
    CONSTRAINT audit_thresholds_two_samples_at_least
        CHECK (min_sample_size >= 2)
);

COMMENT ON TABLE oncall.audit_thresholds IS
    'When a metric of system_health_snapshot() counts as degraded. Edit a row, or insert one for a metric to replace the shipped row.';
COMMENT ON COLUMN oncall.audit_thresholds.metric_category IS
    'The metric, as in system_health_snapshot().';
COMMENT ON COLUMN oncall.audit_thresholds.warning_zscore IS
    'At or below this z-score, (observed mean - baseline mean) / baseline deviation, it is a warning.';
COMMENT ON COLUMN oncall.audit_thresholds.critical_zscore IS
    'At or below this z-score it is critical.';
COMMENT ON COLUMN oncall.audit_thresholds.relative_drop_threshold IS
    'Where the baseline does not vary there is no z-score; then a drop of this share of the baseline''s mean is critical.';
COMMENT ON COLUMN oncall.audit_thresholds.min_sample_size IS
    'With fewer samples in either window the verdict is insufficient_data.';
COMMENT ON COLUMN oncall.audit_thresholds.shipped IS
    'True while the row is as the extension brought it. Such a row is not dumped, gives way to an inserted one, and may be renewed by an upgrade.';

INSERT INTO oncall.audit_thresholds
    (metric_category, warning_zscore, critical_zscore, relative_drop_threshold, min_sample_size, shipped)
VALUES
    ('Generation.AnswerRate',   -2.0, -3.0, 0.20, 15, true),
    ('Generation.Faithfulness', -2.0, -3.0, 0.25, 10, true),
    ('Retrieval.HitRate',       -2.0, -3.0, 0.20, 15, true),
    ('Retrieval.TopScore',      -2.0, -3.0, 0.20, 15, true);

-- A restore brings the site's own rows into a table that CREATE EXTENSION has filled already. An edited row must win
-- there over the shipped one of the same metric, not fail on the key.
CREATE FUNCTION oncall_internal.keep_own_threshold() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        DELETE FROM oncall.audit_thresholds WHERE metric_category = NEW.metric_category AND shipped;
    ELSIF NEW IS DISTINCT FROM OLD THEN
        NEW.shipped := false;
    END IF;
    RETURN NEW;
END;
$$;

COMMENT ON FUNCTION oncall_internal.keep_own_threshold() IS
    'Trigger of audit_thresholds: an edited row is no longer a shipped one, and an inserted row replaces a shipped one.';

CREATE TRIGGER keep_own_threshold
    BEFORE INSERT OR UPDATE ON oncall.audit_thresholds
    FOR EACH ROW EXECUTE FUNCTION oncall_internal.keep_own_threshold();

SELECT pg_catalog.pg_extension_config_dump('oncall.audit_thresholds', 'WHERE NOT shipped');

------------------------------------------------------------------------------------------------------------------------
-- The snapshot
------------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION oncall.system_health_snapshot(observation_hours int DEFAULT 24, baseline_days int DEFAULT 7)
RETURNS TABLE (
    metric_category text,
    severity_level  text,
    current_avg     double precision,
    baseline_avg    double precision,
    sample_count    int,
    diagnostic_note text
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    IF observation_hours IS NULL OR observation_hours < 1 THEN
        RAISE EXCEPTION 'observation_hours must be at least 1, not %', coalesce(observation_hours::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'system_health_snapshot(24, 7) compares the last 24 hours with the rest of the last 7 days.';
    END IF;
    IF baseline_days IS NULL OR baseline_days > 36500 OR baseline_days::bigint * 24 <= observation_hours THEN
        RAISE EXCEPTION 'baseline_days must reach further back than observation_hours, and 36500 days at most: got % days and % hours',
                coalesce(baseline_days::text, 'NULL'), observation_hours
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = 'The baseline is what lies between baseline_days ago and observation_hours ago.',
                  HINT = 'system_health_snapshot(24, 7) compares the last 24 hours with the rest of the last 7 days.';
    END IF;

    RETURN QUERY
    WITH metric (category) AS (
        VALUES ('Generation.AnswerRate'), ('Generation.Faithfulness'), ('Retrieval.HitRate'), ('Retrieval.TopScore')
    ),
    -- One line for each metric that a row of the log has. Scores come from models, so a value is looked at before it is
    -- cast: one that is no number must cost its row a sample, not everybody the snapshot.
    sample AS (
        SELECT log.execution_ts >= now() - make_interval(hours => observation_hours) AS is_observed,
               value.category,
               value.score
        FROM oncall.inference_audit_log AS log
        CROSS JOIN LATERAL (
            VALUES
                ('Generation.AnswerRate',
                 CASE log.runtime_context -> 'fallback_triggered'
                     WHEN 'false'::jsonb THEN 1.0::double precision
                     WHEN 'true'::jsonb THEN 0.0
                 END),
                ('Generation.Faithfulness',
                 CASE WHEN jsonb_typeof(log.validation_metrics -> 'faithfulness') = 'number' THEN
                     CASE WHEN (log.validation_metrics -> 'faithfulness')::numeric BETWEEN 0 AND 1 THEN
                         -- Rounded, because a numeric like 1e-400 is no double precision.
                         round((log.validation_metrics -> 'faithfulness')::numeric, 9)::double precision
                     END
                 END),
                ('Retrieval.HitRate',
                 CASE WHEN cardinality(log.matched_ids) > 0 THEN 1.0 ELSE 0.0 END),
                ('Retrieval.TopScore',
                 -- A similarity: NaN is none, and rounding may take one a little over 1.
                 CASE WHEN log.match_scores[1] BETWEEN -1.001 AND 1.001 THEN log.match_scores[1] END)
        ) AS value (category, score)
        WHERE log.execution_ts >= now() - make_interval(days => baseline_days)
          AND value.score IS NOT NULL
    ),
    figure AS (
        SELECT metric.category,
               count(*) FILTER (WHERE is_observed) AS observed_n,
               avg(score) FILTER (WHERE is_observed) AS observed_mean,
               count(*) FILTER (WHERE NOT is_observed) AS baseline_n,
               avg(score) FILTER (WHERE NOT is_observed) AS baseline_mean,
               stddev_samp(score) FILTER (WHERE NOT is_observed) AS baseline_deviation
        FROM metric LEFT JOIN sample ON sample.category = metric.category
        GROUP BY metric.category
    ),
    -- A deviation of 0.001 or less is a constant baseline: a z-score over it means nothing, the share of the mean does.
    change AS (
        SELECT figure.*,
               CASE WHEN baseline_deviation > 0.001
                    THEN (observed_mean - baseline_mean) / baseline_deviation
               END AS zscore,
               CASE WHEN baseline_deviation <= 0.001
                    THEN (observed_mean - baseline_mean) / greatest(abs(baseline_mean), 0.001)
               END AS relative_change
        FROM figure
    )
    SELECT change.category,
           CASE
               WHEN threshold.metric_category IS NULL
                   OR observed_n < threshold.min_sample_size
                   OR baseline_n < threshold.min_sample_size THEN 'insufficient_data'
               WHEN zscore <= threshold.critical_zscore THEN 'critical'
               WHEN zscore <= threshold.warning_zscore THEN 'warning'
               WHEN relative_change <= -threshold.relative_drop_threshold THEN 'critical'
               ELSE 'stable'
           END,
           observed_mean,
           baseline_mean,
           observed_n::int,
           format('Observed %s vs Baseline %s (n=%s); ',
                  coalesce(round(observed_mean::numeric, 3)::text, 'nothing'),
                  coalesce(round(baseline_mean::numeric, 3)::text, 'nothing'),
                  observed_n)
           || CASE
               WHEN threshold.metric_category IS NULL THEN 'no row in audit_thresholds for it'
               WHEN observed_n < threshold.min_sample_size OR baseline_n < threshold.min_sample_size THEN
                   format('%s observed and %s baseline samples, %s of each needed',
                          observed_n, baseline_n, threshold.min_sample_size)
               WHEN zscore IS NOT NULL THEN
                   format('z-score %s, warning at %s, critical at %s',
                          round(zscore::numeric, 2), threshold.warning_zscore, threshold.critical_zscore)
               ELSE
                   format('constant baseline, change %s%%, critical at -%s%%',
                          round(100 * relative_change::numeric, 1),
                          round(100 * threshold.relative_drop_threshold::numeric, 1))
           END
    FROM change
    LEFT JOIN oncall.audit_thresholds AS threshold ON threshold.metric_category = change.category
    ORDER BY change.category COLLATE "C";
END;
$$;

COMMENT ON FUNCTION oncall.system_health_snapshot(int, int) IS
    'Compares each metric''s mean over the last observation_hours with its baseline, the time from baseline_days ago until then: stable, warning, critical, or insufficient_data. Generation.AnswerRate: share of inferences without fallback. Generation.Faithfulness: the judge''s score. Retrieval.HitRate: share of inferences that matched anything. Retrieval.TopScore: best similarity where something matched.';
