//! What a role lacks when the server refuses it something: the GRANT to type, where the server's words tell it.
//!
//! The words are those of the C locale, in which executors run, from Postgres 15 to 18.

/// What to do about an error of an action or a query; `None` where nothing can be known from its words.
pub fn missing_right(role: &str, sqlstate: &str, message: &str, detail: Option<&str>) -> Option<String> {
    let said = |words: &str| message.contains(words) || detail.is_some_and(|detail| detail.contains(words));
    match sqlstate {
        "42501" => {}
        "42704" if said("user mapping not found") => {
            return Some(format!("CREATE USER MAPPING FOR {role} SERVER … OPTIONS (user '…', password '…')"));
        }
        "2F003" if said("password") => {
            return Some(format!(
                "ALTER USER MAPPING FOR {role} SERVER … OPTIONS (ADD password '…'): without a superuser's rights, dblink \
                 connects by password only"
            ));
        }
        "42P01" if message.starts_with("relation \"") && !message.contains('.') => {
            return Some(format!(
                "Write its schema: what {role} runs finds only names of pg_catalog without one. Or it is not there."
            ));
        }
        _ => return None,
    }
    if said("superuser process") || said("superuser query") || said("processes of roles with the SUPERUSER attribute") {
        return Some("No GRANT allows it: a superuser's session is ended by superusers only.".to_owned());
    }
    if said("pg_signal_backend") {
        return Some(format!("GRANT pg_signal_backend TO {role}"));
    }
    if said("replication slots") {
        return Some(format!("ALTER ROLE {role} REPLICATION"));
    }
    if message.contains("permission denied to alter role") || message == "permission denied" {
        return Some(format!(
            "ALTER ROLE of another role needs CREATEROLE, and from Postgres 16 on also: GRANT … TO {role} WITH ADMIN OPTION. \
             With it {role} could change other roles too; without it, a person has to do this step."
        ));
    }
    let (kind, name) = denied(message)?;
    let grant = match kind {
        "table" | "view" | "materialized view" | "foreign table" | "relation" => format!("SELECT ON TABLE {name}"),
        "sequence" => format!("SELECT ON SEQUENCE {name}"),
        "schema" => format!("USAGE ON SCHEMA {name}"),
        "function" | "procedure" | "routine" => format!("EXECUTE ON FUNCTION {name}(…)"),
        "foreign server" => format!("USAGE ON FOREIGN SERVER {name}"),
        "foreign-data wrapper" => format!("USAGE ON FOREIGN DATA WRAPPER {name}"),
        "type" => format!("USAGE ON TYPE {name}"),
        "large object" => format!("SELECT ON LARGE OBJECT {name}"),
        _ => return None,
    };
    Some(format!("GRANT {grant} TO {role}"))
}

/// The kind and the name of what was denied, from `permission denied for table orders`.
fn denied(message: &str) -> Option<(&str, &str)> {
    let rest = message.strip_prefix("permission denied for ")?;
    let (kind, name) = rest.rsplit_once(' ')?;
    (!kind.is_empty() && !name.is_empty()).then_some((kind, name))
}

#[cfg(test)]
mod tests {
    use super::missing_right;

    fn hint(sqlstate: &str, message: &str, detail: Option<&str>) -> String {
        missing_right("oncall_executor", sqlstate, message, detail).unwrap_or_default()
    }

    #[test]
    fn a_denied_object_names_its_grant() {
        for (message, grant) in [
            ("permission denied for table orders", "GRANT SELECT ON TABLE orders TO oncall_executor"),
            ("permission denied for schema shop", "GRANT USAGE ON SCHEMA shop TO oncall_executor"),
            (
                "permission denied for function pg_reload_conf",
                "GRANT EXECUTE ON FUNCTION pg_reload_conf(…) TO oncall_executor",
            ),
            (
                "permission denied for foreign server pgbouncer",
                "GRANT USAGE ON FOREIGN SERVER pgbouncer TO oncall_executor",
            ),
        ] {
            assert_eq!(hint("42501", message, None), grant);
        }
    }

    #[test]
    fn ending_a_session_needs_pg_signal_backend_unless_it_is_a_superusers() {
        let old = "must be a member of the role whose process is being terminated or member of pg_signal_backend";
        let new = "Only roles with privileges of the role whose process is being terminated or with privileges of the \
                   \"pg_signal_backend\" role may terminate this process.";
        assert_eq!(hint("42501", old, None), "GRANT pg_signal_backend TO oncall_executor");
        let words = "permission denied to terminate process";
        assert_eq!(hint("42501", words, Some(new)), "GRANT pg_signal_backend TO oncall_executor");
        let never =
            "Only roles with the SUPERUSER attribute may terminate processes of roles with the SUPERUSER attribute.";
        assert!(hint("42501", words, Some(never)).starts_with("No GRANT"));
        assert!(hint("42501", "must be a superuser to terminate superuser process", None).starts_with("No GRANT"));
    }

    #[test]
    fn what_is_no_matter_of_rights_gets_no_hint() {
        for (sqlstate, message) in [
            ("23505", "could not create unique index \"i\""),
            ("57014", "canceling statement due to statement timeout"),
            ("42501", "something of an extension's own"),
            ("42501", "permission denied for "),
        ] {
            assert_eq!(missing_right("oncall_executor", sqlstate, message, None), None, "{message}");
        }
    }
}
