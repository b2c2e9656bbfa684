use proptest::prelude::*;

use super::*;

const WEIGHTS: Weights = Weights { builtin: 0.7, pod: 0.3 };

/// What rounding may cost a weighted sum of cosines.
const ROUNDING: f64 = 0.02;

fn key(number: usize) -> Section {
    Section { runbook_id: RunbookId::new(format!("RB-{number}")).unwrap(), section: "Meaning".to_owned() }
}

fn index(vectors: &[(Vec<f32>, Vec<f32>)]) -> FlatIndex {
    let entries = vectors.iter().enumerate();
    FlatIndex::new(entries.map(|(number, (builtin, pod))| Entry::new(key(number), builtin, pod)).collect())
}

fn found(index: &FlatIndex, builtin: &[f32], pod: Option<&[f32]>, count: usize) -> Vec<String> {
    index.compare(builtin, pod, WEIGHTS).nearest(count).iter().map(|section| section.runbook_id.to_string()).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let length = dot(a, a).sqrt() * dot(b, b).sqrt();
    if length > 0.0 { dot(a, b) / length } else { 0.0 }
}

#[test]
fn the_nearest_are_found_by_the_builtin_vector_alone_where_no_pod_was_asked() {
    let far_pod = vec![-1.0, 0.0];
    let sections = index(&[
        (vec![1.0, 0.0, 0.0], far_pod.clone()),
        (vec![0.0, 1.0, 0.0], far_pod.clone()),
        (vec![0.9, 0.1, 0.0], far_pod),
    ]);
    assert_eq!(found(&sections, &[1.0, 0.0, 0.0], None, 1), ["RB-0"]);
    assert_eq!(found(&sections, &[0.0, 2.0, 0.0], None, 1), ["RB-1"], "length says nothing");
}

#[test]
fn with_a_pod_both_cosines_count_by_their_weights() {
    let sections =
        index(&[(vec![1.0, 0.0], vec![-1.0, 0.0]), (vec![0.8, 0.6], vec![1.0, 0.0]), (vec![0.0, 1.0], vec![1.0, 0.0])]);
    assert_eq!(found(&sections, &[1.0, 0.0], Some(&[1.0, 0.0]), 1), ["RB-1"]);
}

#[test]
fn the_best_of_the_other_runbooks_is_told_by_the_builtin_vector_wherever_it_stands() {
    let sections = index(&[(vec![1.0, 0.0], vec![1.0]), (vec![0.6, 0.8], vec![-1.0]), (vec![0.0, 1.0], vec![1.0])]);
    let compared = sections.compare(&[1.0, 0.0], Some(&[1.0]), WEIGHTS);
    let second = compared.best_of_others(&key(0).runbook_id).unwrap();
    assert!((second - 0.6).abs() < 0.01, "{second}");
    assert_eq!(
        index(&[(vec![1.0], Vec::new())]).compare(&[1.0], None, WEIGHTS).best_of_others(&key(0).runbook_id),
        None
    );
}

#[test]
fn a_text_without_words_and_an_empty_catalogue_are_near_nothing() {
    let none = FlatIndex::default();
    assert!(found(&none, &[1.0], None, 5).is_empty());
    let sections = index(&[(vec![0.0, 0.0], Vec::new()), (vec![1.0, 0.0], Vec::new())]);
    assert_eq!(found(&sections, &[1.0, 0.0], None, 1), ["RB-1"]);
    assert_eq!(found(&sections, &[0.0, 0.0], Some(&[1.0]), 2).len(), 2, "all are as far");
}

fn vectors(dimensions: usize) -> impl Strategy<Value = Vec<f32>> {
    // Most numbers of a builtin vector are zero.
    let number = prop_oneof![Just(0.0_f32), -1.0_f32..1.0];
    prop::collection::vec(number, dimensions)
}

proptest! {
    #[test]
    fn whatever_is_nearer_than_the_last_place_by_more_than_rounding_costs_is_found(
        sections in prop::collection::vec((vectors(64), vectors(48)), 1..60),
        builtin in vectors(64),
        pod in vectors(48),
        count in 1_usize..20,
    ) {
        let score = |(b, p): &(Vec<f32>, Vec<f32>)| WEIGHTS.builtin * cosine(b, &builtin) + WEIGHTS.pod * cosine(p, &pod);
        let mut scores: Vec<f64> = sections.iter().map(score).collect();
        scores.sort_by(|a, b| b.total_cmp(a));
        let last = scores.get(count - 1).copied().unwrap_or(f64::NEG_INFINITY);
        let given = found(&index(&sections), &builtin, Some(&pod), count);
        prop_assert!(given.len() <= count);
        for (number, section) in sections.iter().enumerate().filter(|(_, section)| score(section) > last + ROUNDING) {
            let id = key(number).runbook_id.to_string();
            prop_assert!(given.contains(&id), "{} is missing at {}", id, score(section));
        }
    }
}
