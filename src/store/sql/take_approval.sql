-- $1 approval.
SELECT oncall_internal.take_approval($1)
