//! The report as markdown, so that its tables can stand in the README.

use std::fmt;

use super::samples::Wording;
use super::{Proportion, Report, THRESHOLD};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} runbooks in {} chunks, {} alerts, {} foreign alerts.",
            self.runbooks, self.chunks, self.alerts, self.foreign_alerts
        )?;
        writeln!(f, "Embedding an alert takes {:.0} microseconds.\n", self.embed_us)?;
        self.retrieval(f)?;
        self.confidence(f)?;
        self.threshold(f)
    }
}

impl Report {
    fn retrieval(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| retrieval | R@1 | R@5 | MRR |\n| --- | --- | --- | --- |")?;
        for (name, q) in [("with the alert's name", self.named), ("summary and description only", self.no_name)] {
            writeln!(f, "| {name} | {:.3} | {:.3} | {:.3} |", q.recall_at_1, q.recall_at_5, q.mean_reciprocal_rank)?;
        }
        writeln!(f, "\nA runbook for the very name of the alert is right in {}.", share(self.by_name))
    }

    fn confidence(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fit = self.fit;
        writeln!(f, "\nFitted: intercept {:.2}, score {:.2}, margin {:.2}.", fit.intercept, fit.score, fit.margin)?;
        writeln!(
            f,
            "The constants in the source differ from that by at most {:.3} of confidence.\n",
            self.source_differs_by
        )?;
        writeln!(f, "| confidence | cases | mean confidence | right |\n| --- | --- | --- | --- |")?;
        for bin in &self.reliability {
            writeln!(
                f,
                "| {:.2} to {:.2} | {} | {:.3} | {:.3} |",
                bin.from, bin.to, bin.samples, bin.confidence, bin.right
            )?;
        }
        Ok(())
    }

    fn threshold(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nAt confidence {THRESHOLD} and above, judged by fits that have not seen the alert:\n")?;
        writeln!(
            f,
            "| runbooks | text | covered alerts that pass | of these right | its runbook taken away | foreign |"
        )?;
        writeln!(f, "| --- | --- | --- | --- | --- | --- |")?;
        for row in &self.at_threshold {
            let text = match row.wording {
                Wording::Named => "with name",
                Wording::NoName => "no name",
            };
            let right = format!("{}, at least {:.3}", share(row.right), row.right.wilson_lower);
            let (covered, uncovered, foreign) = (share(row.covered), share(row.uncovered), share(row.foreign));
            writeln!(f, "| {} | {text} | {covered} | {right} | {uncovered} | {foreign} |", row.runbooks)?;
        }
        writeln!(f, "\n\"At least\" is the lower end of the 95% Wilson interval.")
    }
}

/// `3 of 4 (0.750)`.
fn share(of: Proportion) -> String {
    let fraction = if of.of == 0 { 0.0 } else { of.hits as f64 / of.of as f64 };
    format!("{} of {} ({fraction:.3})", of.hits, of.of)
}
