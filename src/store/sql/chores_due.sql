SELECT oncall_internal.chores_due()
