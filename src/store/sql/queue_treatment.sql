-- $1 incident.
INSERT INTO oncall.incident_work (incident_id, purpose) VALUES ($1, 'treat')
