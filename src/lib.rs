//! An on-call engineer that lives inside Postgres.
