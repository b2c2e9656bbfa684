-- Every policy that can still decide: the newest of each pair of severity and incident type.
SELECT pg_catalog.jsonb_agg(pg_catalog.to_jsonb(p))
FROM (SELECT DISTINCT ON (severity, incident_type)
             version, severity, incident_type, confidence_threshold, max_actions_per_hour, max_repeats_per_hour, builtin_weight, pod_weight
      FROM oncall.router_policy
      ORDER BY severity, incident_type, version DESC) AS p
