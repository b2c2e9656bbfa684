-- $1 incidents: those of them that are resolved, each with the sinks whose last page of it does not say so. What a sink
-- refused it knows nothing of.
SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
    'incident', a.incident_id, 'sinks', told.sinks, 'by', a.resolved_by, 'what', a.resolution) ORDER BY a.incident_id)
FROM oncall.incident_audit AS a
CROSS JOIN LATERAL (
    SELECT pg_catalog.array_agg(p.sink) AS sinks
    FROM (SELECT DISTINCT ON (d.sink) d.sink, d.page OPERATOR(pg_catalog.->>) 'kind' AS kind
          FROM oncall.delivery AS d
          WHERE d.incident_id OPERATOR(pg_catalog.=) a.incident_id AND d.state OPERATOR(pg_catalog.<>) 'dead'
          ORDER BY d.sink, d.page_no DESC) AS p
    JOIN oncall.sink AS s ON s.name OPERATOR(pg_catalog.=) p.sink
    WHERE p.kind OPERATOR(pg_catalog.<>) 'resolved'
      AND (s.kinds IS NULL OR 'resolved' OPERATOR(pg_catalog.=) ANY (s.kinds))) AS told
WHERE a.incident_id OPERATOR(pg_catalog.=) ANY ($1) AND told.sinks IS NOT NULL
  AND (a.state OPERATOR(pg_catalog.=) 'resolved' OR a.resolved_by IS NOT NULL)
