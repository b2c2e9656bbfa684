use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::alert::{Severity, Status};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// Everything is looked at, at this second.
const NOW: i64 = 10_000;
const WINDOW: i64 = 3_600;

fn alert(name: &str, severity: Option<Severity>, status: Status) -> Alert {
    let mut alert = alert::normalise(&json!({ "alertname": name, "message": "it hurts" })).unwrap().remove(0);
    alert.severity = severity;
    alert.status = status;
    alert
}

/// An incident as the audit would have it.
#[derive(Debug, Clone, PartialEq)]
struct Incident {
    fingerprint: String,
    count: u32,
    severity: Option<Severity>,
    last_seen: Timestamp,
    state: &'static str,
}

/// The audit, as far as these rules go: incidents in the order in which they were opened.
#[derive(Debug, Clone, Default, PartialEq)]
struct Audit(Vec<Incident>);

impl Audit {
    fn open(&mut self, fingerprint: &str) -> Option<usize> {
        self.0.iter().position(|incident| incident.fingerprint == fingerprint && incident.state == "open")
    }

    fn fire(&mut self, repeats: &Repeats) -> usize {
        let fingerprint = repeats.alert.fingerprint.clone();
        if let Some(open) = self.open(&fingerprint) {
            let incident = &mut self.0[open];
            if repeats.since.duration_since(incident.last_seen) <= SignedDuration::from_secs(WINDOW) {
                incident.count += repeats.count;
                incident.severity = [incident.severity, repeats.severity].into_iter().flatten().min();
                incident.last_seen = at(NOW);
                return open;
            }
            incident.state = "expired";
        }
        let (count, severity) = (repeats.count, repeats.severity);
        self.0.push(Incident { fingerprint, count, severity, last_seen: at(NOW), state: "open" });
        self.0.len() - 1
    }

    fn close(&mut self, fingerprint: &str) -> Option<usize> {
        let open = self.open(fingerprint)?;
        self.0[open].state = "resolved";
        Some(open)
    }

    /// Take these arrivals in; the incident of each.
    fn take(&mut self, arrivals: &[Arrival]) -> Vec<Option<String>> {
        // The two closures write to the same audit, in turn.
        let audit = std::cell::RefCell::new(self);
        let fire = |firing: &BTreeMap<&str, Repeats>| {
            let mut audit = audit.borrow_mut();
            Ok::<Ids, ()>(firing.iter().map(|(f, r)| (f.to_string(), audit.fire(r).to_string())).collect())
        };
        let close = |over: &BTreeMap<&str, usize>| {
            let mut audit = audit.borrow_mut();
            Ok(over.keys().filter_map(|f| Some((f.to_string(), audit.close(f)?.to_string()))).collect())
        };
        carry_out(&plan(arrivals), arrivals.len(), fire, close).unwrap()
    }

    /// What is left to compare once the incidents of different fingerprints may be in another order: each by its
    /// place among those of its fingerprint.
    fn by_fingerprint(&self) -> BTreeMap<String, Vec<Incident>> {
        let mut all: BTreeMap<String, Vec<Incident>> = BTreeMap::new();
        for incident in &self.0 {
            all.entry(incident.fingerprint.clone()).or_default().push(incident.clone());
        }
        all
    }

    fn name(&self, id: &Option<String>) -> Option<(String, usize)> {
        let place: usize = id.as_ref()?.parse().unwrap();
        let fingerprint = self.0[place].fingerprint.clone();
        let before = self.0[..place].iter().filter(|incident| incident.fingerprint == fingerprint).count();
        Some((fingerprint, before))
    }
}

fn severities() -> impl Strategy<Value = Option<Severity>> {
    use Severity::*;
    prop::sample::select(vec![None, Some(P1), Some(P2), Some(P3), Some(P4), Some(P5)])
}

fn arrivals() -> impl Strategy<Value = Vec<(Alert, Timestamp)>> {
    use Status::*;
    let status = prop::sample::select(vec![Firing, Firing, Firing, Acknowledged, Resolved]);
    let name = prop::sample::select(vec!["A", "B", "C", "D"]);
    let one = (name, severities(), status, 0..NOW)
        .prop_map(|(name, severity, status, s)| (alert(name, severity, status), at(s)));
    prop::collection::vec(one, 0..40)
}

fn audits() -> impl Strategy<Value = Audit> {
    let one = (severities(), 0..NOW, prop::sample::select(vec!["open", "resolved", "absent"]));
    prop::collection::vec(one, 4).prop_map(|all| {
        let named = ["A", "B", "C", "D"].into_iter().zip(all).filter(|(_, (_, _, state))| *state != "absent");
        let incident = |(name, (severity, s, state))| {
            let fingerprint = alert(name, None, Status::Firing).fingerprint;
            Incident { fingerprint, count: 1, severity, last_seen: at(s), state }
        };
        Audit(named.map(incident).collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_batch_ends_as_the_same_alerts_do_one_by_one(before in audits(), alerts in arrivals()) {
        let arrivals: Vec<Arrival> = alerts.iter().map(|(alert, at)| Arrival { alert, at: *at }).collect();
        let (mut batch, mut single) = (before.clone(), before);
        let together = batch.take(&arrivals);
        let in_turn: Vec<_> = arrivals.iter().flat_map(|arrival| single.take(std::slice::from_ref(arrival))).collect();
        prop_assert_eq!(batch.by_fingerprint(), single.by_fingerprint());
        for (one, other) in together.iter().zip(&in_turn) {
            prop_assert_eq!(batch.name(one), single.name(other));
        }
    }

    #[test]
    fn what_is_explained_is_what_happens(before in audits(), alerts in arrivals()) {
        let explained: Vec<(Alert, Basis)> =
            alerts.iter().map(|(alert, _)| (alert.clone(), Basis::Key(alert.fingerprint.clone()))).collect();
        let mut known: BTreeMap<String, Known> = BTreeMap::new();
        for (place, incident) in before.0.iter().enumerate() {
            let of = known.entry(incident.fingerprint.clone()).or_default();
            let incident_id = place.to_string();
            match incident.state {
                "open" => of.open = Some(Open { incident_id, last_seen: incident.last_seen }),
                state => of.closed = Some(Closed { incident_id, state: state.to_owned(), closed_at: incident.last_seen }),
            }
        }
        let window = SignedDuration::from_secs(WINDOW);
        let mut audit = before;
        for (explanation, (alert, _)) in explain(&explained, known, window, at(NOW)).iter().zip(&alerts) {
            let incidents = audit.0.len();
            let id = audit.take(&[Arrival { alert, at: at(NOW) }]).remove(0);
            let happened = match (&id, alert.status, audit.0.len() > incidents) {
                (None, ..) => Outcome::Nothing,
                (_, Status::Resolved, _) => Outcome::Close,
                (_, _, true) => Outcome::Open,
                (_, _, false) => Outcome::Join,
            };
            prop_assert_eq!(explanation.outcome, happened, "{}", explanation.reason);
            if let Some(named) = &explanation.incident_id {
                prop_assert_eq!(Some(named), id.as_ref());
            }
        }
    }
}

#[test]
fn ten_thousand_repeats_are_one_act() {
    let alerts: Vec<Alert> = (0..10_000).map(|n| alert(&format!("A{}", n % 20), None, Status::Firing)).collect();
    let arrivals: Vec<Arrival> = alerts.iter().map(|alert| Arrival { alert, at: at(0) }).collect();
    let rounds = plan(&arrivals);
    assert_eq!(rounds.len(), 1);
    assert_eq!(rounds[0].firing.values().map(|repeats| repeats.count).collect::<Vec<_>>(), [500; 20]);
}

#[test]
fn a_resolution_parts_what_came_before_it_from_what_comes_after() {
    let (firing, over) = (alert("A", None, Status::Firing), alert("A", None, Status::Resolved));
    let order = [&firing, &firing, &over, &over, &firing];
    let arrivals: Vec<Arrival> = order.into_iter().map(|alert| Arrival { alert, at: at(0) }).collect();
    let mut audit = Audit::default();
    let ids = audit.take(&arrivals);
    assert_eq!(ids, [Some("0"), Some("0"), Some("0"), None, Some("1")].map(|id| id.map(str::to_owned)));
    assert_eq!(audit.0.iter().map(|i| (i.count, i.state)).collect::<Vec<_>>(), [(2, "resolved"), (1, "open")]);
}

#[test]
fn what_waited_in_the_inbox_counts_by_when_it_came_in() {
    // Heard of at 0, a repeat within the window, and nobody looked for hours: it is a repeat all the same.
    let repeat = alert("A", None, Status::Firing);
    let fingerprint = repeat.fingerprint.clone();
    let open = Incident { fingerprint, count: 1, severity: None, last_seen: at(0), state: "open" };
    for (came_in, incidents) in [(WINDOW, 1), (WINDOW + 1, 2)] {
        let mut audit = Audit(vec![open.clone()]);
        audit.take(&[Arrival { alert: &repeat, at: at(came_in) }]);
        assert_eq!(audit.0.len(), incidents);
    }
}

#[test]
fn what_cannot_be_read_says_why_and_what_to_do() {
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    for (payload, words) in [
        ("1e400", "out of range"),
        (deep.as_str(), "recursion limit"),
        ("null", "not null"),
        ("[]", "empty"),
        (r#"{"colour": "blue"}"#, "no known format"),
    ] {
        let error = read(payload).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert!(!error.hint().is_empty());
    }
    let large = format!("\"{}\"", "x".repeat(MOST_BYTES));
    assert_eq!(read(&large), Err(Unreadable::TooLarge(MOST_BYTES + 2)));
    assert_eq!(read_text(&large), Err(Unreadable::TooLarge(MOST_BYTES + 2)));
}

#[test]
fn an_explanation_shows_no_secret() {
    let alerts = read_explained(
        r#"{"text": "login as postgres://app:hunter2@db/shop failed", "labels": {"password": "hunter2"}}"#,
    );
    let explained = explain(&alerts.unwrap(), BTreeMap::new(), SignedDuration::ZERO, at(0));
    assert!(!json!(explained).to_string().contains("hunter2"), "{explained:?}");
}
