//! `metric_sample` and `pg_stat_statements`: what was measured of late.

use oncall_domain::host::Metric;

use super::{Result, Statement, statement};

/// The latest samples, and the statements that take the most time where `pg_stat_statements` is installed.
pub fn recent() -> Result<Vec<Metric>> {
    let mut metrics: Vec<Metric> = statement!("samples").ask(&[])?.unwrap_or_default();
    let schema: Option<String> = statement!("statements_schema").ask(&[])?;
    if let Some(schema) = schema {
        let text = include_str!("sql/statements.sql").replace("@statements@", &schema);
        let statements: Option<Vec<Metric>> = Statement::new(text).ask(&[])?;
        metrics.extend(statements.unwrap_or_default());
    }
    Ok(metrics)
}
