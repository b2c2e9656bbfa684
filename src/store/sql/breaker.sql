-- The state of the breaker; unknown where the snapshot is as old as the transaction.
SELECT pg_catalog.to_jsonb(CASE WHEN pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'read committed'
                                THEN state ELSE 'unknown' END)
FROM oncall.circuit_breaker
