-- The page of one incident, as it stands in the outbox.
\x on
\pset format wrapped
\pset columns 118
SELECT page ->> 'title' AS title, page ->> 'classification' AS classification, page ->> 'confidence' AS confidence,
       page ->> 'hypothesis' AS hypothesis,
       (SELECT string_agg(reason ->> 'reason', E'\n') FROM jsonb_array_elements(page -> 'reasons') AS reason
        WHERE NOT (reason -> 'pass')::boolean) AS "why you",
       (SELECT string_agg(action ->> 'approve', E'\n') FROM jsonb_array_elements(page -> 'recommended') AS action) AS "to approve",
       format('%s, %s', page #>> '{runbook,title}', page #>> '{runbook,section}') AS runbook
FROM oncall.delivery WHERE incident_id = :'incident' ORDER BY id LIMIT 1;
