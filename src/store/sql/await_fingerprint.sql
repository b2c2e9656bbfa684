-- $1 fingerprint: waits until no other session is about to open an incident of it.
SELECT oncall_internal.await_fingerprint($1)
