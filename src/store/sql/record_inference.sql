-- $1 query, $2 its vector, $3 and $4 what matched, $5 answer, $6 context, $7 incident, $8 model, $9 and $10 tokens, $11 latency in ms.
INSERT INTO oncall.inference_audit_log
    (user_query, query_vector, matched_ids, match_scores, generated_text, runtime_context,
     incident_id, model, tokens_in, tokens_out, latency_ms)
VALUES ($1, $2::real[]::@vector@.vector, $3, $4, $5, $6, $7, $8, $9, $10, $11)
