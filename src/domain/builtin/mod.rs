//! The model that is always there.

use crate::alert::Alert;
use crate::retrieval::Retrieval;
use crate::triage::TriageReply;

/// The best runbook's incident type and steps, with its similarity as confidence.
pub fn triage(_alert: &Alert, retrieval: &Retrieval) -> TriageReply {
    let Some((best, _)) = retrieval.lead() else {
        return TriageReply {
            incident_type: "Unknown".to_owned(),
            runbook_id: None,
            confidence: 0.0,
            recommended_actions: Vec::new(),
            root_cause_hypothesis: "No runbook covers this alert.".to_owned(),
        };
    };
    let steps = retrieval.step_ids().filter(|id| id.runbook() == best.runbook_id);
    TriageReply {
        incident_type: best.incident_type.clone().unwrap_or_else(|| "Unknown".to_owned()),
        runbook_id: Some(best.runbook_id.to_string()),
        confidence: if best.similarity.is_nan() { 0.0 } else { best.similarity.clamp(0.0, 1.0) },
        recommended_actions: steps.map(ToString::to_string).collect(),
        root_cause_hypothesis: format!("The alert resembles {}.", best.title),
    }
}
