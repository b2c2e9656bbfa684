//! Logistic regression on score and margin, and how reliable its probabilities are on alerts that it has not seen.

use serde::Serialize;

use super::samples::Sample;

/// How many parts the alerts are divided into; each part is judged by a fit on the others.
pub const FOLDS: usize = 10;

/// Keeps the fit finite where the samples can be told apart without error. Too small to be seen otherwise.
const RIDGE: f64 = 1e-3;

/// `1 / (1 + exp(-(intercept + score * s + margin * m)))`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Logistic {
    /// The log odds at score 0 and margin 0.
    pub intercept: f64,
    /// What a score of 1 adds to them.
    pub score: f64,
    /// What a margin of 1 adds to them.
    pub margin: f64,
}

impl Logistic {
    /// The maximum of the likelihood, by Newton's method (iteratively reweighted least squares) from zero.
    pub fn fit(samples: &[&Sample]) -> Self {
        let mut b = [0.0; 3];
        for _ in 0..50 {
            let model = Self { intercept: b[0], score: b[1], margin: b[2] };
            let mut gradient = b.map(|b| -RIDGE * b);
            let mut hessian = [[RIDGE, 0.0, 0.0], [0.0, RIDGE, 0.0], [0.0, 0.0, RIDGE]];
            for sample in samples {
                let x = [1.0, sample.score, sample.margin];
                let p = model.probability(sample.score, sample.margin);
                for i in 0..3 {
                    gradient[i] += (f64::from(u8::from(sample.right)) - p) * x[i];
                    for j in 0..3 {
                        hessian[i][j] += p * (1.0 - p) * x[i] * x[j];
                    }
                }
            }
            let step = solve(hessian, gradient);
            b = [b[0] + step[0], b[1] + step[1], b[2] + step[2]];
            if step.iter().all(|step| step.abs() < 1e-9) {
                break;
            }
        }
        Self { intercept: b[0], score: b[1], margin: b[2] }
    }

    /// The probability that the first runbook is right.
    pub fn probability(&self, score: f64, margin: f64) -> f64 {
        1.0 / (1.0 + (-(self.intercept + self.score * score + self.margin * margin)).exp())
    }
}

/// The probability of each sample by a fit on the other folds. All samples of one alert are in one fold.
pub fn out_of_fold(samples: &[Sample]) -> Vec<f64> {
    let fits: Vec<Logistic> = (0..FOLDS)
        .map(|fold| Logistic::fit(&samples.iter().filter(|sample| sample.alert % FOLDS != fold).collect::<Vec<_>>()))
        .collect();
    samples.iter().map(|sample| fits[sample.alert % FOLDS].probability(sample.score, sample.margin)).collect()
}

/// Solve `a x = b` by Cramer's rule. `a` is positive definite, as the ridge is above zero.
fn solve(a: [[f64; 3]; 3], b: [f64; 3]) -> [f64; 3] {
    let determinant = |m: [[f64; 3]; 3]| {
        m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
            + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
    };
    let whole = determinant(a);
    [0, 1, 2].map(|column| {
        let mut replaced = a;
        for row in 0..3 {
            replaced[row][column] = b[row];
        }
        determinant(replaced) / whole
    })
}

/// One bin of the reliability table.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bin {
    /// From this confidence.
    pub from: f64,
    /// To below this one.
    pub to: f64,
    /// How many samples have it.
    pub samples: usize,
    /// Their mean confidence.
    pub confidence: f64,
    /// How many of them are right, as a fraction.
    pub right: f64,
}

/// Confidence, and whether it was right, in bins that are narrower where the policy's threshold lies.
pub fn reliability(outcomes: &[(f64, bool)]) -> Vec<Bin> {
    const EDGES: [f64; 10] = [0.0, 0.05, 0.1, 0.25, 0.5, 0.65, 0.75, 0.85, 0.95, 1.0 + f64::EPSILON];
    let bins = EDGES.windows(2).filter_map(|edge| {
        let inside: Vec<_> = outcomes.iter().filter(|(p, _)| (edge[0]..edge[1]).contains(p)).collect();
        let n = inside.len();
        (n > 0).then(|| Bin {
            from: edge[0],
            to: edge[1].min(1.0),
            samples: n,
            confidence: inside.iter().map(|(p, _)| p).sum::<f64>() / n as f64,
            right: inside.iter().filter(|(_, right)| *right).count() as f64 / n as f64,
        })
    });
    bins.collect()
}

/// The lower end of the 95% Wilson interval of a proportion; 0 where nothing was counted.
pub fn wilson_lower(hits: usize, of: usize) -> f64 {
    if of == 0 {
        return 0.0;
    }
    let (n, z2) = (of as f64, 1.959_964_f64.powi(2));
    let p = hits as f64 / n;
    (p + z2 / (2.0 * n) - (z2 * (p * (1.0 - p) / n + z2 / (4.0 * n * n))).sqrt()) / (1.0 + z2 / n)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples on a grid, as many of ten right as a known curve says.
    fn drawn_from(truth: Logistic) -> Vec<Sample> {
        let mut samples = Vec::new();
        for i in 0..400 {
            let (score, margin) = (f64::from(i % 20) / 20.0, f64::from(i / 20) / 40.0);
            let right = (truth.probability(score, margin) * 100.0).round() as usize;
            samples.extend((0..100).map(|n| Sample { alert: n, score, margin, right: n < right, ..Sample::default() }));
        }
        samples
    }

    #[test]
    fn the_fit_finds_the_curve_that_the_samples_come_from() {
        let truth = Logistic { intercept: -4.0, score: 6.0, margin: 9.0 };
        let samples = drawn_from(truth);
        let fit = Logistic::fit(&samples.iter().collect::<Vec<_>>());
        assert!((fit.intercept - truth.intercept).abs() < 0.1, "{fit:?}");
        assert!((fit.score - truth.score).abs() < 0.15, "{fit:?}");
        assert!((fit.margin - truth.margin).abs() < 0.3, "{fit:?}");
    }

    #[test]
    fn an_alert_is_never_judged_by_a_fit_that_has_seen_it() {
        // Alert 0 contradicts all others. A fit that had seen only the others trusts it fully.
        let mut samples: Vec<Sample> = (1..200)
            .map(|alert| Sample {
                alert,
                score: f64::from(u8::from(alert % 2 == 0)),
                right: alert % 2 == 0,
                ..Sample::default()
            })
            .collect();
        samples.extend((0..500).map(|_| Sample { alert: 0, score: 1.0, right: false, ..Sample::default() }));
        let judged = out_of_fold(&samples);
        assert!(judged[199] > 0.9, "{}", judged[199]);
    }

    #[test]
    fn wilsons_bound_is_the_published_one() {
        assert!((wilson_lower(146, 146) - 0.974).abs() < 0.001);
        assert!((wilson_lower(5, 10) - 0.2366).abs() < 0.001);
        assert_eq!(wilson_lower(0, 0), 0.0);
    }

    #[test]
    fn each_sample_is_in_one_bin() {
        let outcomes: Vec<(f64, bool)> = (0..=100).map(|i| (f64::from(i) / 100.0, i % 2 == 0)).collect();
        assert_eq!(reliability(&outcomes).iter().map(|bin| bin.samples).sum::<usize>(), 101);
    }
}
