//! How sure the builtin triage may be: a function of score and margin that was fitted on labelled alerts.
//!
//! The score tells whether any runbook covers the alert, the margin whether the first one is right, so both count. The
//! fit is a logistic regression, printed by `cargo evaluate FOLDER` and copied here. Its samples are real alerts in two
//! wordings (with the alert's name, and summary and description only) against catalogues of 8, 64 and 894 runbooks, in
//! equal parts so that it holds for a small catalogue too; right means that the first runbook is one of the alert's.
//! Against them stand the same alerts with their own runbooks taken away, which leaves the most similar wrong ones, and
//! alerts of products that no runbook is about.

const INTERCEPT: f64 = -5.11;
const SCORE: f64 = 7.59;
const MARGIN: f64 = 10.02;

/// The confidence in a runbook that lists the alert's name.
///
/// On the labelled alerts all of 146 such matches were right. Nobody can be certain after 146 cases: this is the lower
/// end of the 95% Wilson interval, n / (n + 1.96²) where all are right.
pub const BY_NAME: f64 = 0.974;

/// The probability, 0..=1, that the best runbook is right, from its score (a cosine of the builtin embedder) and its
/// lead over the best of any other runbook. It grows with both.
///
/// Numbers outside 0..=1 count as the nearest end. What is not a number gives 0: nobody knows.
pub fn confidence(score: f64, margin: f64) -> f64 {
    if score.is_nan() || margin.is_nan() {
        return 0.0;
    }
    let logit = INTERCEPT + SCORE * score.clamp(0.0, 1.0) + MARGIN * margin.clamp(0.0, 1.0);
    1.0 / (1.0 + (-logit).exp())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The policy's threshold for acting alone, unless the policy says otherwise.
    const THRESHOLD: f64 = 0.75;

    #[test]
    fn a_high_score_alone_is_not_enough_where_another_runbook_is_as_near() {
        assert!(confidence(0.6, 0.25) > THRESHOLD);
        assert!(confidence(0.6, 0.0) < THRESHOLD);
    }

    #[test]
    fn a_lead_alone_is_not_enough_where_nothing_is_near() {
        assert!(confidence(0.2, 0.2) < THRESHOLD);
        assert!(confidence(0.0, 0.0) < 0.05);
    }

    #[test]
    fn what_is_not_a_number_gives_no_confidence() {
        assert_eq!(confidence(f64::NAN, 0.5), 0.0);
        assert_eq!(confidence(0.5, f64::NAN), 0.0);
    }

    proptest! {
        #[test]
        fn it_grows_with_score_and_with_margin(score in 0.0..1.0, margin in 0.0..1.0, more in 0.001..0.5) {
            prop_assert!(confidence(score + more, margin) >= confidence(score, margin));
            prop_assert!(confidence(score, margin + more) >= confidence(score, margin));
            prop_assert!(confidence(0.9 * score + more, margin) > confidence(0.9 * score, margin) || 0.9 * score + more > 1.0);
        }

        #[test]
        fn it_is_a_probability_whatever_comes_in(score in any::<f64>(), margin in any::<f64>()) {
            prop_assert!((0.0..=1.0).contains(&confidence(score, margin)));
        }
    }
}
