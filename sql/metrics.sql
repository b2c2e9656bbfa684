-- What monitoring hands in beside alerts: samples that a prompt may quote.

CREATE TABLE oncall.metric_sample (
    metric     text NOT NULL,
    labels     jsonb NOT NULL DEFAULT '{}',
    value      double precision NOT NULL,
    sampled_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);

CREATE INDEX metric_sample_recent_idx ON oncall.metric_sample (sampled_at DESC);

COMMENT ON TABLE oncall.metric_sample IS 'Recent measurements from outside (a Prometheus exporter, a script, pg_cron); the triage quotes those of the last 15 minutes';
COMMENT ON COLUMN oncall.metric_sample.metric IS 'Its name, with the unit in it, as in pgbouncer_cl_waiting';
