-- Every policy that can still decide: the newest of each pair of severity and incident type. As numeric, since a session's
-- extra_float_digits rounds what is double precision on its way into JSON, and with it what decides.
SELECT pg_catalog.jsonb_agg(pg_catalog.to_jsonb(p))
FROM (SELECT DISTINCT ON (severity, incident_type)
             version, severity, incident_type, confidence_threshold::numeric, max_actions_per_hour, max_repeats_per_hour,
             builtin_weight::numeric, pod_weight::numeric
      FROM oncall.router_policy
      ORDER BY severity, incident_type, version DESC) AS p
