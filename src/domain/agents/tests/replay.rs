use proptest::prelude::*;

use super::*;
use crate::fnv::Fnv;

/// A number that depends on nothing but these: the world gives the same answer to the same call whenever it is asked.
fn roll(seed: u64, what: &str, before: usize, sides: u64) -> u64 {
    let hash = Fnv::EMPTY.bytes(&seed.to_le_bytes()).bytes(what.as_bytes()).bytes(&before.to_le_bytes());
    (hash.value() >> 17) % sides
}

/// A model that may say anything.
fn any_chat(seed: u64) -> Box<Chat> {
    Box::new(move |request| {
        let answers = match request.purpose {
            "remediation" => {
                [r#"{"parameters": {"value": 80}, "reason": ""}"#, "{}", r#"{"parameters": {"value": 1}}"#]
            }
            "diagnostics" => {
                [r#"{"queries": ["lock_waits"], "finding": "x"}"#, r#"{"queries": []}"#, r#"{"queries": ["DROP"]}"#]
            }
            _ => [r#"{"headline": "h", "message": "password=hunter2"}"#, "{}", "no"],
        };
        match roll(seed, request.prompt.user(), 0, 5) {
            3 => Err(ModelError::NoPod),
            4 => Err(ModelError::Timeout { phase: "connect".to_owned() }),
            n => Ok(answers[n as usize].to_owned()),
        }
    })
}

/// Tools of which anything may come.
fn any_tools(seed: u64) -> Box<Tools> {
    Box::new(move |call, before| match (call.purpose(), roll(seed, call.sql(), before, 8)) {
        (_, 0) => failed("57014", "canceling statement due to user request", None),
        (_, 1) => ToolOutcome::Unknown { reason: "the server was restarted".to_owned() },
        (Purpose::Guard | Purpose::Verify, 2) => says(false),
        (Purpose::Action, 2) => failed("42501", "permission denied", Some("GRANT")),
        _ => all_well(call, before),
    })
}

fn any_world(seed: u64) -> Script {
    Script::stirred(any_chat(seed), any_tools(seed), seed)
}

fn any_incident(seed: u64) -> Incident {
    let runbooks: &[&str] = [&["RB-001", "RB-004"][..], &["RB-002"], &["RB-003"], &["RB-001"]][(seed % 4) as usize];
    let autonomy = [Autonomy::On, Autonomy::On, Autonomy::DryRun, Autonomy::Off][(seed / 4 % 4) as usize];
    incident(runbooks, autonomy)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn after_a_crash_at_any_point_the_same_calls_follow_and_the_same_end(seed: u64, part in 0.0..1.0) {
        let incident = any_incident(seed);
        let whole = any_world(seed);
        let resolution = whole.treat(&incident);
        let order = whole.world.order.borrow().clone();
        let kept = (order.len() as f64 * part) as usize;

        // The worker dies after `kept` answers; another one starts with their journal, and answers come in another order.
        let again = Script { world: Rc::new(World {
            chat: any_chat(seed),
            tools: any_tools(seed),
            journal: RefCell::new(order[..kept].iter().map(|key| (*key, whole.world.journal.borrow()[key].clone())).collect()),
            order: RefCell::new(order[..kept].to_vec()),
            live: RefCell::default(),
            seed: seed.rotate_left(7),
        }), agent: "treatment", step: Cell::new(0) };
        prop_assert_eq!(again.treat(&incident), resolution);
        prop_assert_eq!(&*again.world.journal.borrow(), &*whole.world.journal.borrow());
        // What was answered before the crash reached the world no second time.
        prop_assert_eq!(again.world.live.borrow().len(), order.len() - kept);
    }

    #[test]
    fn whatever_happens_no_action_runs_twice_unguarded_unapproved_or_under_dry_run_and_one_page_goes_out(seed: u64) {
        let incident = any_incident(seed);
        let script = any_world(seed);
        let resolution = script.treat(&incident);
        let calls = script.tools();
        let journal = script.world.journal.borrow();
        let mut guarded = Vec::new();
        let mut acted = Vec::new();
        for key in script.world.order.borrow().iter() {
            let (request, answer) = &journal[key];
            let request = &request["tool"];
            let step = || request["step"].as_str().unwrap().to_owned();
            match request["purpose"].as_str() {
                Some("guard") if answer["rows"] == json!([{"ok": true}]) => guarded.push(step()),
                Some("action") => {
                    prop_assert!(guarded.contains(&step()), "guarded first");
                    prop_assert!(incident.decision.actions.iter().any(|a| a.step().as_str() == step()), "approved");
                    prop_assert!(!acted.contains(&step()), "once");
                    acted.push(step());
                }
                Some("rollback") => prop_assert!(acted.contains(&step()), "only what was done is undone"),
                _ => {}
            }
        }
        if incident.decision.autonomy != Autonomy::On {
            prop_assert!(calls.iter().all(|(purpose, _)| !purpose.writes()));
        }
        prop_assert_eq!(script.pages().len(), 1);
        prop_assert!(!json!(resolution).to_string().contains("hunter2"));
        let paged = script.pages().remove(0);
        prop_assert_eq!(paged.kind == crate::page::PageKind::Escalation, resolution.escalated.is_some());
    }
}
