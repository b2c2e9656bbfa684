-- The log of inferences, the thresholds, and the verdicts of system_health_snapshot().
-- Every scenario runs in a transaction of its own and is rolled back. So now() stands still, and the log that other
-- tests have written is back afterwards.
\set SHOW_CONTEXT never

CREATE PROCEDURE pg_temp.empty_log() LANGUAGE plpgsql AS $$
BEGIN
    -- The log's own triggers refuse this to everybody; only their owner can take them away, and each test rolls back.
    ALTER TABLE oncall.inference_audit_log DISABLE TRIGGER append_only_truncate;
    ALTER TABLE oncall.inference_audit_log_default DISABLE TRIGGER append_only_truncate;
    TRUNCATE oncall.inference_audit_log;
END $$;

-- n judged rows of one age, all with the same score.
CREATE PROCEDURE pg_temp.judged(age interval, score jsonb, n int) LANGUAGE sql AS $$
    INSERT INTO oncall.inference_audit_log (execution_ts, user_query, validation_metrics)
    SELECT now() - age, 'pool exhausted', jsonb_build_object('faithfulness', score) FROM generate_series(1, n)
$$;

-- A baseline with mean 0.9 and deviation 0.051, three days old.
CREATE PROCEDURE pg_temp.varying_baseline() LANGUAGE sql AS $$
    CALL pg_temp.judged('3 days', '0.85', 10);
    CALL pg_temp.judged('3 days', '0.95', 10);
$$;

CREATE FUNCTION pg_temp.verdict(metric text DEFAULT 'Generation.Faithfulness')
RETURNS TABLE (severity_level text, observed numeric, baseline numeric, sample_count int, diagnostic_note text)
LANGUAGE sql AS $$
    SELECT severity_level, round(current_avg::numeric, 3), round(baseline_avg::numeric, 3), sample_count, diagnostic_note
    FROM oncall.system_health_snapshot() WHERE metric_category = metric
$$;

-- The snapshot has the columns of the article, in its order and of its types.
SELECT pg_get_function_result('oncall.system_health_snapshot(int, int)'::regprocedure);

-- The log has the columns of the article first, then its own.
SELECT attname, atttypid::regtype::text ~ 'vector$' AS is_vector,
       CASE WHEN atttypid::regtype::text !~ 'vector$' THEN format_type(atttypid, atttypmod) END AS type, attnotnull
FROM pg_attribute WHERE attrelid = 'oncall.inference_audit_log'::regclass AND attnum > 0 ORDER BY attnum;

-- Each partition has the log's key and indexes.
SELECT DISTINCT regexp_replace(pg_get_indexdef(indexrelid), '.* USING ', '') AS index, indisprimary
FROM pg_index WHERE indrelid IN (SELECT relid FROM pg_partition_tree('oncall.inference_audit_log') WHERE isleaf)
ORDER BY 1;

SELECT * FROM oncall.audit_thresholds ORDER BY metric_category COLLATE "C";

-- An empty log is no stable one.
BEGIN;
CALL pg_temp.empty_log();
SELECT * FROM oncall.system_health_snapshot();
ROLLBACK;

-- Observed rows without a baseline.
BEGIN;
CALL pg_temp.empty_log();
CALL pg_temp.judged('1 hour', '0.9', 20);
SELECT * FROM pg_temp.verdict();
ROLLBACK;

-- A baseline with nothing after it: the pipeline fell silent.
BEGIN;
CALL pg_temp.empty_log();
CALL pg_temp.varying_baseline();
SELECT * FROM pg_temp.verdict();
ROLLBACK;

BEGIN;
CALL pg_temp.empty_log();
CALL pg_temp.varying_baseline();
SAVEPOINT baseline_only;

-- Below min_sample_size even a ruinous mean is no verdict; with one row more it is.
CALL pg_temp.judged('1 hour', '0.1', 9);
SELECT * FROM pg_temp.verdict();
CALL pg_temp.judged('1 hour', '0.1', 1);
SELECT * FROM pg_temp.verdict();

-- Inside two deviations.
ROLLBACK TO baseline_only;
CALL pg_temp.judged('1 hour', '0.85', 10);
SELECT * FROM pg_temp.verdict();

-- Between two and three.
ROLLBACK TO baseline_only;
CALL pg_temp.judged('1 hour', '0.78', 10);
SELECT * FROM pg_temp.verdict();

-- Beyond three.
ROLLBACK TO baseline_only;
CALL pg_temp.judged('1 hour', '0.70', 10);
SELECT * FROM pg_temp.verdict();

-- A rise is no drift of these metrics.
ROLLBACK TO baseline_only;
CALL pg_temp.judged('1 hour', '1.0', 10);
SELECT * FROM pg_temp.verdict();

-- The verdict follows the table: the warning of above under a stricter critical_zscore, a laxer warning_zscore, and
-- a larger sample.
ROLLBACK TO baseline_only;
CALL pg_temp.judged('1 hour', '0.78', 10);
SAVEPOINT thresholds;
UPDATE oncall.audit_thresholds SET critical_zscore = -2.1 WHERE metric_category = 'Generation.Faithfulness';
SELECT * FROM pg_temp.verdict();
ROLLBACK TO thresholds;
UPDATE oncall.audit_thresholds SET warning_zscore = -2.5 WHERE metric_category = 'Generation.Faithfulness';
SELECT * FROM pg_temp.verdict();
ROLLBACK TO thresholds;
UPDATE oncall.audit_thresholds SET min_sample_size = 11 WHERE metric_category = 'Generation.Faithfulness';
SELECT * FROM pg_temp.verdict();
ROLLBACK TO thresholds;
DELETE FROM oncall.audit_thresholds WHERE metric_category = 'Generation.Faithfulness';
SELECT * FROM pg_temp.verdict();
ROLLBACK;

-- A baseline below min_sample_size is none, however many rows are observed.
BEGIN;
CALL pg_temp.empty_log();
CALL pg_temp.judged('3 days', '0.9', 9);
CALL pg_temp.judged('1 hour', '0.1', 20);
SELECT * FROM pg_temp.verdict();
ROLLBACK;

-- A constant baseline has no z-score: the drop's share of the mean counts, and its threshold is in the table.
BEGIN;
CALL pg_temp.empty_log();
CALL pg_temp.judged('3 days', '0.8', 20);
SAVEPOINT baseline_only;
CALL pg_temp.judged('1 hour', '0.61', 10);
SELECT * FROM pg_temp.verdict();
UPDATE oncall.audit_thresholds SET relative_drop_threshold = 0.2 WHERE metric_category = 'Generation.Faithfulness';
SELECT * FROM pg_temp.verdict();
ROLLBACK TO baseline_only;
CALL pg_temp.judged('1 hour', '0.59', 10);
SELECT * FROM pg_temp.verdict();
ROLLBACK;

-- A constant baseline at a low level drops like any other; one of nothing has nothing to lose.
BEGIN;
CALL pg_temp.empty_log();
CALL pg_temp.judged('3 days', '0.4', 10);
CALL pg_temp.judged('1 hour', '0.2', 10);
SELECT * FROM pg_temp.verdict();
ROLLBACK;
BEGIN;
CALL pg_temp.empty_log();
CALL pg_temp.judged('3 days', '0', 10);
CALL pg_temp.judged('1 hour', '0', 10);
SELECT * FROM pg_temp.verdict();
ROLLBACK;

-- Rows without a judge's score, or with one that is no number from 0 to 1, are no samples and break nothing.
BEGIN;
CALL pg_temp.empty_log();
CALL pg_temp.varying_baseline();
CALL pg_temp.judged('1 hour', '0.9', 10);
INSERT INTO oncall.inference_audit_log (user_query, validation_metrics)
SELECT 'pool exhausted', metrics::jsonb
FROM (VALUES (NULL), ('{}'), ('[]'), ('"0.1"'), ('null'), ('{"faithfulness": null}'), ('{"faithfulness": "abc"}'),
             ('{"faithfulness": "0.1"}'), ('{"faithfulness": "NaN"}'), ('{"faithfulness": [0.1]}'),
             ('{"faithfulness": 1.7}'), ('{"faithfulness": -1}'), ('{"faithfulness": 1e400}'),
             ('{"relevance": 0.1}')) AS judge (metrics);
SELECT * FROM pg_temp.verdict();
-- The least number that jsonb holds is a score of nought.
INSERT INTO oncall.inference_audit_log (user_query, validation_metrics) VALUES ('pool exhausted', '{"faithfulness": 1e-400}');
SELECT sample_count, observed FROM pg_temp.verdict();
ROLLBACK;

-- The other three metrics. Retrieval gets worse in two ways: fewer hits, and weaker ones. NaN is no similarity.
BEGIN;
CALL pg_temp.empty_log();
INSERT INTO oncall.inference_audit_log (execution_ts, user_query, matched_ids, match_scores, runtime_context)
SELECT now() - interval '2 days', 'pool exhausted', '{RB-001/Symptoms,RB-002/Symptoms}', '{0.8,0.1}',
       '{"generator": "builtin", "embedder": "builtin", "fallback_triggered": false}'
FROM generate_series(1, 30);
SAVEPOINT baseline_only;
INSERT INTO oncall.inference_audit_log (user_query, matched_ids, match_scores, runtime_context)
SELECT 'pool exhausted',
       CASE WHEN n <= 15 THEN '{RB-001/Symptoms}'::text[] WHEN n <= 20 THEN '{}'::text[] END,
       CASE WHEN n <= 15 THEN '{0.5}'::double precision[] WHEN n <= 20 THEN '{NaN}'::double precision[] END,
       CASE WHEN n <= 15 THEN '{"fallback_triggered": true, "reason": "model_unreachable"}'::jsonb
            WHEN n <= 20 THEN '{"fallback_triggered": false}'::jsonb
            ELSE '{"fallback_triggered": "perhaps"}'::jsonb END
FROM generate_series(1, 24) AS n;
SELECT metric_category, severity_level, round(current_avg::numeric, 3) AS current, round(baseline_avg::numeric, 3) AS baseline,
       sample_count, diagnostic_note
FROM oncall.system_health_snapshot();
ROLLBACK TO baseline_only;
INSERT INTO oncall.inference_audit_log (user_query, matched_ids, match_scores, runtime_context)
SELECT 'pool exhausted', '{RB-001/Symptoms}', '{0.79}', '{"fallback_triggered": false}' FROM generate_series(1, 15);
SELECT metric_category, severity_level, sample_count FROM oncall.system_health_snapshot();
ROLLBACK;

-- The windows: rows of 3 hours ago are observed with 4 hours, baseline with 2, and neither is older than the baseline.
BEGIN;
CALL pg_temp.empty_log();
CALL pg_temp.judged('3 hours', '0.5', 10);
CALL pg_temp.judged('30 hours', '0.9', 10);
SELECT hours, days, severity_level, round(current_avg::numeric, 3) AS current, round(baseline_avg::numeric, 3) AS baseline, sample_count
FROM (VALUES (4, 7), (2, 7), (2, 1)) AS w (hours, days),
     LATERAL oncall.system_health_snapshot(hours, days) WHERE metric_category = 'Generation.Faithfulness'
ORDER BY hours DESC, days DESC;
ROLLBACK;

-- Arguments that leave a window empty.
SELECT * FROM oncall.system_health_snapshot(0, 7);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM oncall.system_health_snapshot(NULL, 7);
SELECT * FROM oncall.system_health_snapshot(24, 1);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM oncall.system_health_snapshot(24, NULL);
SELECT * FROM oncall.system_health_snapshot(2147483647, 2147483647);
SELECT count(*) FROM oncall.system_health_snapshot(23, 1);

-- Thresholds that could never fire, or always would.
UPDATE oncall.audit_thresholds SET warning_zscore = 2;
UPDATE oncall.audit_thresholds SET critical_zscore = -1;
UPDATE oncall.audit_thresholds SET critical_zscore = 'NaN';
UPDATE oncall.audit_thresholds SET relative_drop_threshold = 25;
UPDATE oncall.audit_thresholds SET min_sample_size = 1;

-- The article's own statements, as they stand.
BEGIN;
CALL pg_temp.empty_log();
SET LOCAL search_path = oncall, public;
INSERT INTO audit_thresholds (metric_category, warning_zscore, critical_zscore, relative_drop_threshold, min_sample_size)
VALUES
('Generation.Faithfulness', -2.0, -3.0, 0.25, 10),
('Retrieval.HitRate', -2.0, -3.0, 0.20, 15);
PREPARE append_audit_trace AS
INSERT INTO inference_audit_log
(user_query, query_vector, matched_ids, match_scores, generated_text, validation_metrics, runtime_context)
VALUES ($1, $2, $3, $4, $5, $6, $7);
EXECUTE append_audit_trace ('why is the pool full', '[0.1,0.2,0.3]', '{RB-001,RB-004}', '{0.91,0.72}', 'Idle sessions hold it.',
                            '{"faithfulness": 0.91, "relevance": 0.87}', '{"generator": "gemma2:9b", "judge": "llama3.1:8b"}');
EXECUTE append_audit_trace ('of another model', '[1,0]', '{}', '{}', NULL, NULL, NULL);
DEALLOCATE append_audit_trace;
SELECT user_query, query_vector, matched_ids, match_scores, generated_text, validation_metrics, runtime_context
FROM inference_audit_log WHERE execution_ts >= now() - interval '24 hours' ORDER BY trace_id;
SELECT metric_category, severity_level, sample_count FROM system_health_snapshot(1, 7);
-- A row of the site's own is not replaced again.
INSERT INTO audit_thresholds (metric_category) VALUES ('Retrieval.HitRate');
ROLLBACK;

-- An edited row counts as the site's own, and so is dumped.
BEGIN;
UPDATE oncall.audit_thresholds SET min_sample_size = min_sample_size WHERE metric_category = 'Retrieval.HitRate';
UPDATE oncall.audit_thresholds SET min_sample_size = 30 WHERE metric_category = 'Retrieval.TopScore';
SELECT metric_category, min_sample_size, shipped FROM oncall.audit_thresholds
WHERE metric_category ~ '^Retrieval' ORDER BY metric_category COLLATE "C";
ROLLBACK;

-- Partitions: this month and the next ones are made once; rows that waited in the default partition move there; any
-- other row stays in the default one. Thirteen months ahead nobody has made before.
BEGIN;
CALL pg_temp.empty_log();
SET LOCAL timezone = 'Asia/Kolkata';
CREATE TEMP TABLE month ON COMMIT DROP AS
SELECT label, start, 'oncall.inference_audit_log_' || to_char(start AT TIME ZONE 'UTC', 'YYYY_MM') AS partition
FROM (SELECT date_trunc('month', now(), 'UTC')) AS this (month),
     LATERAL (VALUES ('this month', month),
                     ('in 13 months', (month AT TIME ZONE 'UTC' + interval '13 months') AT TIME ZONE 'UTC')) AS v (label, start);
-- The first and the last microsecond of each month.
INSERT INTO oncall.inference_audit_log (execution_ts, user_query)
SELECT start, label || ', first' FROM month
UNION ALL
SELECT (start AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC' - interval '1 microsecond', label || ', last' FROM month
UNION ALL VALUES ('2001-02-03'::timestamptz, 'long ago');
SELECT user_query, tableoid::regclass FROM oncall.inference_audit_log
WHERE user_query ~ '^(in 13 months|long ago)' ORDER BY user_query COLLATE "C";
SELECT count(*) >= 11 AS made FROM oncall.ensure_log_partitions(13);
SELECT count(*) AS made_again FROM oncall.ensure_log_partitions(13);
SELECT user_query, log.tableoid::regclass::text = partition AS in_its_month, log.tableoid::regclass::text ~ '_default$' AS in_default
FROM oncall.inference_audit_log AS log LEFT JOIN month ON user_query LIKE label || '%' ORDER BY user_query COLLATE "C";
-- The default partition is one again, and the key holds in each.
INSERT INTO oncall.inference_audit_log (execution_ts, user_query) VALUES ('2002-02-03', 'long ago too');
SELECT tableoid::regclass FROM oncall.inference_audit_log WHERE user_query = 'long ago too';
\set VERBOSITY terse
INSERT INTO oncall.inference_audit_log (trace_id, execution_ts, user_query)
SELECT trace_id, execution_ts, 'twice' FROM oncall.inference_audit_log WHERE user_query = 'long ago';
\set VERBOSITY default
ROLLBACK;

-- A table of that name that is no partition is not taken for one.
BEGIN;
DO $$
DECLARE
    name text := 'inference_audit_log_' || to_char(now() AT TIME ZONE 'UTC' + interval '14 months', 'YYYY_MM');
BEGIN
    EXECUTE format('CREATE TABLE oncall.%I ()', name);
    PERFORM oncall.ensure_log_partitions(14);
EXCEPTION WHEN duplicate_table THEN
    RAISE NOTICE '%', replace(SQLERRM, name, 'inference_audit_log_YYYY_MM');
END $$;
ROLLBACK;

SELECT oncall.ensure_log_partitions(-1);
\echo :LAST_ERROR_SQLSTATE
SELECT oncall.ensure_log_partitions(NULL);

-- Everything is commented.
SELECT oid::regprocedure FROM pg_proc
WHERE oid IN ('oncall.system_health_snapshot'::regproc, 'oncall.ensure_log_partitions'::regproc, 'oncall_internal.keep_own_threshold'::regproc)
  AND obj_description(oid, 'pg_proc') IS NULL;
SELECT attrelid::regclass, attname FROM pg_attribute
WHERE attrelid IN ('oncall.inference_audit_log'::regclass, 'oncall.audit_thresholds'::regclass)
  AND attnum > 0 AND NOT attisdropped AND col_description(attrelid, attnum) IS NULL;
