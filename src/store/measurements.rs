//! `metric_sample` and `pg_stat_statements`: what was measured of late.

use oncall_domain::host::Metric;
use serde::Deserialize;

use super::{Result, Statement, statement};

/// The latest samples, and the statements that take the most time where `pg_stat_statements` is installed.
pub fn recent() -> Result<Vec<Metric>> {
    #[derive(Deserialize)]
    struct Found {
        samples: Vec<Metric>,
        statements_schema: Option<String>,
    }
    let questions = statement!("samples", "statements_schema");
    let found = questions.ask(&[])?;
    let Some(Found { samples: mut metrics, statements_schema }) = found else { return Ok(Vec::new()) };
    if let Some(schema) = statements_schema {
        let slowest = Statement::filled(include_str!("sql/statements.sql"), "@statements@", &schema);
        let statements: Option<Vec<Metric>> = slowest.ask(&[])?;
        metrics.extend(statements.unwrap_or_default());
    }
    Ok(metrics)
}
