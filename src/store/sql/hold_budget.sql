-- Waits until no other session is about to spend from the hourly budget; held until the transaction ends. A row of ours,
-- not an advisory lock: that one anybody could take, and hold up every decision.
SELECT pg_catalog.to_jsonb(version) FROM oncall.router_policy ORDER BY version LIMIT 1 FOR NO KEY UPDATE
