-- What was running when its pump ended. Only the one pump of this database claims, so all of it is ours.
UPDATE oncall.incident_work SET state = 'queued' WHERE state OPERATOR(pg_catalog.=) 'running'
