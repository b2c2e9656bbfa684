use std::collections::{BTreeMap, HashSet};

use super::*;
use crate::alert::Severity;
use crate::ids::{StepId, ToolName};
use crate::runbook::Step;
use crate::triage::{Failure, TriageReply};

fn step(id: &str, destructive: bool) -> Step {
    Step {
        id: StepId::new(id).unwrap(),
        tool: ToolName::new("vacuum_analyze").unwrap(),
        parameters: BTreeMap::new(),
        destructive,
        guard: None,
        verify: None,
        measure: None,
        rollback: None,
        follow_up: None,
    }
}

fn triage(confidence: f64, actions: &[&str]) -> Triage {
    Triage {
        by: "builtin".to_owned(),
        reply: TriageReply {
            incident_type: "QueryLatency".to_owned(),
            runbook_id: Some("RB-002".to_owned()),
            confidence,
            recommended_actions: actions.iter().map(|a| a.to_string()).collect(),
            root_cause_hypothesis: String::new(),
        },
        failure: None,
        repaired: false,
        embedding_failure: None,
    }
}

fn catalogue() -> Retrieval {
    Retrieval {
        sections: Vec::new(),
        steps: vec![
            step("RB-002/create-index", false),
            step("RB-002/analyze", false),
            step("RB-003/drop-wal", true),
            step("RB-003/pause-writes", true),
        ],
        runner_up: None,
    }
}

/// A decision in which all but `triage` is as good as can be.
fn decided(triage: &Triage) -> Decision {
    decide(&Case {
        triage,
        retrieval: &catalogue(),
        policy: &DEFAULT,
        breaker: Breaker::Closed,
        autonomy: Autonomy::On,
        actions_last_hour: 0,
        repeats_last_hour: &BTreeMap::new(),
    })
}

fn failed(decision: &Decision) -> Vec<Rule> {
    decision.conditions.iter().filter(|c| !c.pass).map(|c| c.name).collect()
}

#[test]
fn safe_and_known_steps_at_good_confidence_are_approved_in_the_models_order() {
    let decision = decided(&triage(0.82, &["RB-002/create-index", "RB-002/analyze"]));
    assert_eq!(decision.route, Route::Autonomous);
    let approved: Vec<&str> = decision.actions.iter().map(|a| a.step().as_str()).collect();
    assert_eq!(approved, ["RB-002/create-index", "RB-002/analyze"]);
    assert_eq!(decision.objections().count(), 0);
}

#[test]
fn one_destructive_step_escalates_and_is_named() {
    let decision = decided(&triage(0.99, &["RB-002/analyze", "RB-003/drop-wal"]));
    assert_eq!((decision.route, decision.actions.len()), (Route::Escalate, 0));
    assert_eq!(
        decision.objections().collect::<Vec<_>>(),
        ["Not marked destructive = false, so a person must approve: RB-003/drop-wal."]
    );
}

#[test]
fn the_threshold_itself_is_enough_and_a_hair_below_is_not() {
    assert_eq!(decided(&triage(0.75, &["RB-002/analyze"])).route, Route::Autonomous);
    let below = decided(&triage(0.75_f64.next_down(), &["RB-002/analyze"]));
    assert_eq!(failed(&below), [Rule::ConfidenceReachesThreshold]);
}

#[test]
fn a_confidence_that_is_no_number_from_0_to_1_escalates_with_that_reason() {
    for (confidence, reason) in [
        (f64::NAN, "The confidence NaN is not a number from 0 to 1."),
        (1.7, "The confidence 1.7 is not a number from 0 to 1."),
        (f64::INFINITY, "The confidence inf is not a number from 0 to 1."),
        (-0.1, "The confidence -0.1 is not a number from 0 to 1."),
    ] {
        let decision = decided(&triage(confidence, &["RB-002/analyze"]));
        assert_eq!(failed(&decision), [Rule::ConfidenceIsValid, Rule::ConfidenceReachesThreshold]);
        assert_eq!(decision.objections().next(), Some(reason));
    }
}

#[test]
fn no_actions_escalate_for_that_reason_alone_and_pass_no_check_of_actions() {
    let decision = decided(&triage(0.99, &[]));
    assert_eq!(
        failed(&decision),
        [Rule::HasActions, Rule::ActionsAreKnown, Rule::ActionsAreDistinct, Rule::ActionsAreSafe]
    );
    assert_eq!(decision.objections().next(), Some("No action is recommended."));
}

#[test]
fn a_look_alike_of_a_step_is_unknown_and_shown_with_its_odd_letter() {
    let decision = decided(&triage(0.99, &["RB-002/\u{430}nalyze"]));
    assert_eq!(failed(&decision), [Rule::ActionsAreKnown, Rule::ActionsAreSafe]);
    assert_eq!(
        decision.objections().next(),
        Some(r"Not among the steps of the retrieved runbooks: RB-002/\u{430}nalyze.")
    );
}

#[test]
fn a_step_that_is_named_twice_escalates() {
    let decision = decided(&triage(0.99, &["RB-002/analyze", "RB-002/analyze"]));
    assert_eq!(failed(&decision), [Rule::ActionsAreDistinct]);
}

#[test]
fn the_builtin_view_of_a_failed_model_never_acts() {
    let mut good = triage(0.99, &["RB-002/analyze"]);
    good.failure = Some(Failure::NoAnswer { reason: "the model pod did not answer in time (connect)".to_owned() });
    assert_eq!(failed(&decided(&good)), [Rule::ModelAnswered, Rule::AnswerParsed]);
    good.failure = Some(Failure::NoReply { reason: "the answer is empty".to_owned() });
    let decision = decided(&good);
    assert_eq!(failed(&decision), [Rule::AnswerParsed]);
    assert_eq!(
        decision.objections().next(),
        Some("The model's answer cannot be used: the answer is empty. What follows is the builtin model's view.")
    );
}

#[test]
fn breaker_autonomy_and_budget_each_hold_back_what_is_good_otherwise() {
    let good = triage(0.9, &["RB-002/create-index", "RB-002/analyze"]);
    let retrieval = catalogue();
    let id = |text| StepId::new(text).unwrap();
    let repeats = BTreeMap::from([(id("RB-002/analyze"), 2), (id("RB-003/drop-wal"), 90)]);
    let worn = BTreeMap::from([(id("RB-002/analyze"), 3)]);
    let case = Case {
        triage: &good,
        retrieval: &retrieval,
        policy: &DEFAULT,
        breaker: Breaker::Closed,
        autonomy: Autonomy::On,
        actions_last_hour: 8,
        repeats_last_hour: &repeats,
    };
    assert_eq!(decide(&case).route, Route::Autonomous, "8 of 10 are used and 2 wanted");
    assert_eq!(failed(&decide(&Case { breaker: Breaker::Open, ..case })), [Rule::BreakerClosed]);
    assert_eq!(failed(&decide(&Case { breaker: Breaker::Unknown, ..case })), [Rule::BreakerClosed]);
    assert_eq!(failed(&decide(&Case { autonomy: Autonomy::Off, ..case })), [Rule::AutonomyNotOff]);
    assert_eq!(failed(&decide(&Case { actions_last_hour: 9, ..case })), [Rule::BudgetLeft]);
    assert_eq!(failed(&decide(&Case { actions_last_hour: u32::MAX, ..case })), [Rule::BudgetLeft]);
    let looping = decide(&Case { repeats_last_hour: &worn, ..case });
    assert_eq!(failed(&looping), [Rule::RepeatsLeft]);
    assert_eq!(
        looping.objections().next(),
        Some("Carried out 3 times or more on the same target in the last hour: RB-002/analyze.")
    );
    let dry = decide(&Case { autonomy: Autonomy::DryRun, ..case });
    assert_eq!((dry.route, dry.autonomy), (Route::Autonomous, Autonomy::DryRun), "the decision stands");
}

#[test]
fn a_policy_whose_threshold_is_no_number_lets_nothing_through() {
    for confidence_threshold in [f64::NAN, -1.0, 1.5, f64::NEG_INFINITY] {
        let policy = Policy { confidence_threshold, ..DEFAULT };
        let good = triage(1.0, &["RB-002/analyze"]);
        let retrieval = catalogue();
        let decision = decide(&Case {
            triage: &good,
            retrieval: &retrieval,
            policy: &policy,
            breaker: Breaker::Closed,
            autonomy: Autonomy::On,
            actions_last_hour: 0,
            repeats_last_hour: &BTreeMap::new(),
        });
        assert_eq!(failed(&decision), [Rule::ConfidenceReachesThreshold]);
    }
}

#[test]
fn a_page_is_not_flooded_by_a_model_that_names_thousands_of_steps() {
    let names: Vec<String> = (0..10_000).map(|i| format!("step {i} {}", "x".repeat(1000))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for condition in decided(&triage(0.9, &names)).conditions {
        assert!(condition.reason.len() < 700, "{}", condition.reason);
    }
}

#[test]
fn the_most_specific_policy_holds_and_of_those_the_newest() {
    let policy = |version, severity, incident_type: Option<&str>| Policy {
        version,
        severity,
        incident_type: incident_type.map(str::to_owned),
        ..DEFAULT
    };
    let mut policies = vec![
        policy(1, None, None),
        policy(9, None, None),
        policy(2, Some(Severity::P1), None),
        policy(3, None, Some("DiskSpace")),
        policy(4, Some(Severity::P1), Some("DiskSpace")),
        policy(5, Some(Severity::P1), Some("DiskSpace")),
    ];
    for _ in 0..policies.len() {
        policies.rotate_left(1);
        let version = |severity, incident_type| select(&policies, severity, incident_type).version;
        assert_eq!(version(Some(Severity::P1), Some("DiskSpace")), 5);
        assert_eq!(version(Some(Severity::P2), Some("DiskSpace")), 3, "type before severity");
        assert_eq!(version(Some(Severity::P1), Some("Other")), 2);
        assert_eq!(version(Some(Severity::P2), None), 9);
    }
    assert_eq!(select(&[], Some(Severity::P1), None), &DEFAULT);
    assert_eq!(select(&[policy(1, Some(Severity::P1), None)], None, None), &DEFAULT);
}

#[test]
fn of_two_policies_alike_the_stricter_one_holds_in_whatever_order_they_come() {
    let lax = Policy { version: 1, confidence_threshold: 0.5, ..DEFAULT };
    let strict = Policy { version: 1, confidence_threshold: 0.9, ..DEFAULT };
    for policies in [[lax.clone(), strict.clone()], [strict.clone(), lax.clone()]] {
        assert_eq!(select(&policies, None, None).confidence_threshold, 0.9);
    }
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % sides
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }
}

/// Invariant 3, written a second time from the design's sentence and sharing no code with the router.
fn may_act(case: &Case) -> bool {
    let confidence = case.triage.reply.confidence;
    let actions = &case.triage.reply.recommended_actions;
    let mut known_and_safe = 0;
    for text in actions {
        let mut found = false;
        let mut destructive = false;
        for step in &case.retrieval.steps {
            if step.id.to_string() == *text {
                found = true;
                destructive |= step.destructive;
            }
        }
        if found && !destructive {
            known_and_safe += 1;
        }
    }
    let threshold = case.policy.confidence_threshold;
    case.triage.failure.is_none()
        && confidence.is_finite()
        && confidence.clamp(0.0, 1.0) == confidence
        && threshold.is_finite()
        && (0.0..=1.0).contains(&threshold)
        && confidence - threshold >= 0.0
        && actions.iter().next().is_some()
        && known_and_safe == actions.len()
        && actions.iter().collect::<HashSet<_>>().len() == actions.len()
        && matches!(case.breaker, Breaker::Closed)
        && !matches!(case.autonomy, Autonomy::Off)
        && i128::from(case.actions_last_hour) + actions.len() as i128 <= i128::from(case.policy.max_actions_per_hour)
        && actions.iter().all(|text| {
            let times =
                case.repeats_last_hour.iter().find(|(step, _)| step.as_str() == text).map_or(0, |(_, times)| *times);
            times < case.policy.max_repeats_per_hour
        })
}

#[test]
fn of_a_million_strange_cases_none_acts_unless_every_condition_of_the_invariant_holds() {
    let safe = ["RB-001/a", "RB-002/create-index", "RB-002/analyze"];
    let odd = [
        "",
        " ",
        "RB-001/A",
        "RB-001/a ",
        " RB-001/a",
        "RB-001/\u{430}",
        "RB\u{2011}001/a",
        "RB-001/a\u{200b}",
        "RB-001\u{2215}a",
        "RB-001/a\u{0}",
        "RB-001/a;RB-002/analyze",
        "RB-001/*",
        "ＲＢ-001/a",
        "RB-003/unlink",
        "true",
        "DROP TABLE x",
        "*",
        "null",
    ];
    let destructive = ["RB-003/unlink", "RB-003/pause-writes"];
    let confidences = [
        0.75,
        0.9,
        1.0,
        0.85,
        0.99,
        0.0,
        -0.0,
        0.5,
        1.7,
        -1.0,
        f64::NAN,
        -f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MAX,
        f64::MIN_POSITIVE,
        1.0 + f64::EPSILON,
        0.75 - f64::EPSILON,
        85.0,
    ];
    let thresholds = [0.75, 0.75, 0.75, 0.0, 1.0, 0.9, -0.0, -1.0, 2.0, f64::NAN, f64::NEG_INFINITY];
    let mut dice = Dice(0x5EED_0FCA_1100);
    let mut outcomes = [0_u32; 2];
    let mut only_failure: HashSet<Rule> = HashSet::new();

    // Catalogues are made once: each has some of the steps, a few have one id twice with both flags.
    let catalogues: Vec<Retrieval> = (0..64)
        .map(|_| {
            let mut steps = Vec::new();
            for id in safe {
                if dice.roll(8) > 0 {
                    steps.push(step(id, false));
                }
            }
            for id in destructive {
                if dice.roll(2) > 0 {
                    steps.push(step(id, true));
                }
            }
            if dice.roll(8) == 0 {
                steps.push(step(dice.pick(&safe), true));
            }
            Retrieval { steps, ..Retrieval::default() }
        })
        .collect();
    let mut triage = triage(0.0, &[]);
    let mut policy = DEFAULT;
    let worn = |id: &str, times| BTreeMap::from([(StepId::new(id).unwrap(), times)]);
    let repeats = [
        BTreeMap::new(),
        BTreeMap::new(),
        worn("RB-002/analyze", 1),
        worn("RB-002/analyze", 3),
        worn("RB-001/a", u32::MAX),
        worn("RB-900/unseen", 100),
    ];

    for number in 0..1_000_000_u32 {
        // Mostly good in each respect, or else nothing would ever be let through and the test would show nothing.
        let strange = |dice: &mut Dice| dice.roll(10) == 0;
        triage.reply.confidence =
            if strange(&mut dice) { dice.pick(&confidences) } else { dice.pick(&confidences[..5]) };
        triage.reply.recommended_actions.clear();
        let count = if strange(&mut dice) { dice.pick(&[0, 0, 20]) } else { 1 + dice.roll(2) };
        for _ in 0..count {
            let action = match dice.roll(16) {
                0 => dice.pick(&odd),
                1 => dice.pick(&destructive),
                _ => dice.pick(&safe),
            };
            triage.reply.recommended_actions.push(action.to_owned());
        }
        triage.failure = match dice.roll(20) {
            0 => Some(Failure::NoAnswer { reason: "x".to_owned() }),
            1 => Some(Failure::NoReply { reason: "x".to_owned() }),
            _ => None,
        };
        triage.repaired = dice.roll(2) == 0;
        policy.confidence_threshold = if strange(&mut dice) { dice.pick(&thresholds) } else { 0.75 };
        policy.max_repeats_per_hour = dice.pick(&[3, 3, 3, 1, 2, u32::MAX]);
        policy.max_actions_per_hour = dice.pick(&[10, 10, 10, 1, 0, u32::MAX]);
        let case = Case {
            triage: &triage,
            retrieval: &catalogues[dice.roll(catalogues.len())],
            policy: &policy,
            breaker: if strange(&mut dice) { dice.pick(&[Breaker::Open, Breaker::Unknown]) } else { Breaker::Closed },
            autonomy: dice.pick(&[Autonomy::On, Autonomy::On, Autonomy::DryRun, Autonomy::DryRun, Autonomy::Off]),
            actions_last_hour: dice.pick(&[0, 0, 1, 9, 10, u32::MAX]),
            repeats_last_hour: &repeats[dice.roll(repeats.len())],
        };
        let decision = decide(&case);

        let acts = decision.route == Route::Autonomous;
        assert_eq!(acts, may_act(&case), "case {number}: {case:?}");
        assert!(decision.conditions.iter().map(|c| c.name).eq(Rule::ALL));
        assert_eq!(acts, decision.conditions.iter().all(|c| c.pass));
        assert_eq!(decision.actions.len(), if acts { triage.reply.recommended_actions.len() } else { 0 });
        outcomes[usize::from(acts)] += 1;
        if let [only] = failed(&decision)[..] {
            only_failure.insert(only);
        }
        if number % 100 == 0 {
            assert_eq!(decide(&case), decision, "the same case, the same reasons");
        }
    }
    // The cases reach both outcomes often, and each condition that can fail alone did decide alone.
    assert!(outcomes.iter().all(|n| *n > 50_000), "{outcomes:?}");
    for rule in [
        Rule::AnswerParsed,
        Rule::ConfidenceReachesThreshold,
        Rule::ActionsAreDistinct,
        Rule::ActionsAreSafe,
        Rule::BreakerClosed,
        Rule::AutonomyNotOff,
        Rule::BudgetLeft,
        Rule::RepeatsLeft,
    ] {
        assert!(only_failure.contains(&rule), "{rule:?} never decided alone");
    }
}

#[test]
fn a_recorded_decision_acts_only_where_every_rule_passed_and_every_action_is_still_there() {
    let good = triage(0.9, &["RB-002/create-index", "RB-002/analyze"]);
    let made = decided(&good);
    let recorded = |conditions: Vec<Condition>, autonomy, triage: &Triage, retrieval: &Retrieval| {
        Decision::recorded(Route::Autonomous, conditions, made.policy_version, autonomy, triage, retrieval)
    };
    let all = || made.conditions.clone();
    assert_eq!(recorded(all(), Autonomy::On, &good, &catalogue()), made);

    let mut failing = all();
    failing[3].pass = false;
    let mut reordered = all();
    reordered.swap(0, 1);
    for conditions in [Vec::new(), all().split_off(1), failing, reordered] {
        let decision = recorded(conditions, Autonomy::On, &good, &catalogue());
        assert_eq!((decision.route, decision.actions.len()), (Route::Escalate, 0));
    }
    assert_eq!(recorded(all(), Autonomy::Off, &good, &catalogue()).route, Route::Escalate);
    assert_eq!(recorded(all(), Autonomy::On, &good, &Retrieval::default()).route, Route::Escalate);
    assert_eq!(recorded(all(), Autonomy::On, &triage(0.9, &[]), &catalogue()).route, Route::Escalate);
    let escalated = Decision::recorded(Route::Escalate, all(), 1, Autonomy::On, &good, &catalogue());
    assert_eq!(escalated.route, Route::Escalate);
}

#[test]
fn a_switch_that_is_thrown_after_the_decision_counts_and_one_that_is_released_does_not() {
    let good = triage(0.9, &["RB-002/analyze"]);
    let made = || decided(&good);
    assert_eq!(made().under(Autonomy::On, Breaker::Closed), made());
    let dry = made().under(Autonomy::DryRun, Breaker::Closed);
    assert_eq!((dry.route, dry.autonomy, dry.actions.len()), (Route::Autonomous, Autonomy::DryRun, 1));
    assert_eq!(dry.under(Autonomy::On, Breaker::Closed).autonomy, Autonomy::DryRun, "never laxer than it was");
    for (autonomy, breaker, rule) in [
        (Autonomy::Off, Breaker::Closed, Rule::AutonomyNotOff),
        (Autonomy::On, Breaker::Open, Rule::BreakerClosed),
        (Autonomy::On, Breaker::Unknown, Rule::BreakerClosed),
    ] {
        let stopped = made().under(autonomy, breaker);
        assert_eq!((stopped.route, stopped.actions.len()), (Route::Escalate, 0));
        assert_eq!(failed(&stopped), [rule]);
    }
    let escalated = decided(&triage(0.1, &["RB-002/analyze"])).under(Autonomy::On, Breaker::Closed);
    assert_eq!(escalated.route, Route::Escalate);
}
