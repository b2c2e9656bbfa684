-- What happened at one incident, call by call.
SELECT to_char(at, 'HH24:MI:SS.MS') AS at, agent, what, left(outcome, 56) AS outcome
FROM oncall.incident_timeline(:'incident');
