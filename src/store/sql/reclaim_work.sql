-- $1 what was in hand, NULL where nobody knows: what was running when its pump ended is queued again, and the attempt of
-- what only waited does not count. Only the one pump of this database claims, so all of it is ours.
UPDATE oncall.incident_work
SET state = 'queued',
    attempts = CASE WHEN $1::bigint[] IS NULL OR work_id OPERATOR(pg_catalog.=) ANY ($1::bigint[]) THEN attempts
                    ELSE greatest(attempts OPERATOR(pg_catalog.-) 1, 0) END
WHERE state OPERATOR(pg_catalog.=) 'running'
