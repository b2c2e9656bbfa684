//! `incident_audit`, many fingerprints at a time: the same rules as [`super::incidents`] has for one.

use std::collections::BTreeMap;

use oncall_domain::alert::Severity;
use oncall_domain::intake::{Ids, Kept, Repeats};
use serde_json::{Value, json};

use super::incidents::ATTEMPTS;
use super::{Result, jsonb, statement, work, writing};
use crate::error::OncallError;

/// Let repeats join the open incidents of their fingerprints, or open some; the incident of each.
///
/// What is opened is queued for the workers: an incident that nobody treats is a lost alert.
pub fn fire(firing: &BTreeMap<&str, Repeats<'_>>, window_s: i32) -> Result<Ids> {
    let window = || f64::from(window_s).into();
    let mut ids = Ids::new();
    for _ in 0..ATTEMPTS {
        lock(missing(firing, &ids).map(|(fingerprint, _)| fingerprint))?;
        let repeats: Vec<Value> = missing(firing, &ids).map(|(fingerprint, r)| summary(fingerprint, r)).collect();
        ids.extend(
            writing(|| statement!("join_incidents").tell::<Ids>(&[jsonb(&repeats)?, window()]))?.unwrap_or_default(),
        );
        if ids.len() == firing.len() {
            return Ok(ids);
        }
        let repeats: Vec<Value> = missing(firing, &ids).map(|(fingerprint, r)| summary(fingerprint, r)).collect();
        writing(|| statement!("expire_incidents").write(&[jsonb(&repeats)?, window()]))?;
        let alerts: Vec<Value> = missing(firing, &ids).map(|(fingerprint, r)| whole(fingerprint, r)).collect();
        let opened: Ids = statement!("open_incidents").tell(&[jsonb(&alerts)?])?.unwrap_or_default();
        opened.values().try_for_each(|id| work::queue_treatment(id))?;
        ids.extend(opened);
        if ids.len() == firing.len() {
            return Ok(ids);
        }
        // Another session opened one while we waited for it to commit: it is there to be joined now.
    }
    let fingerprint = missing(firing, &ids).map(|(fingerprint, _)| fingerprint.to_owned()).next().unwrap_or_default();
    Err(OncallError::Contended { fingerprint })
}

/// Close the open incidents of these fingerprints; those that were open.
pub fn close<T>(over: &BTreeMap<&str, T>) -> Result<Ids> {
    let closed = |left: Vec<String>| writing(|| statement!("resolve_incidents").tell::<Ids>(&[left.into()]));
    lock(over.keys().copied())?;
    let mut ids = closed(over.keys().map(|f| (*f).to_owned()).collect())?.unwrap_or_default();
    let left: Vec<String> = over.keys().filter(|f| !ids.contains_key(**f)).map(|f| (*f).to_owned()).collect();
    if !left.is_empty() {
        // One may be about to be opened by a session that waits for its model: what it is told must not be lost.
        left.iter().try_for_each(|f| statement!("await_fingerprint").write(&[f.as_str().into()]).map(drop))?;
        ids.extend(closed(left)?.unwrap_or_default());
    }
    Ok(ids)
}

fn lock<'a>(fingerprints: impl Iterator<Item = &'a str>) -> Result<()> {
    let fingerprints: Vec<String> = fingerprints.map(str::to_owned).collect();
    statement!("lock_incidents").tell::<i64>(&[fingerprints.into()])?;
    Ok(())
}

fn missing<'a, 'b>(
    firing: &'b BTreeMap<&'a str, Repeats<'a>>,
    ids: &'b Ids,
) -> impl Iterator<Item = (&'a str, &'b Repeats<'a>)> {
    firing.iter().map(|(fingerprint, repeats)| (*fingerprint, repeats)).filter(|(f, _)| !ids.contains_key(*f))
}

fn summary(fingerprint: &str, repeats: &Repeats<'_>) -> Value {
    json!({
        "fingerprint": fingerprint, "count": repeats.count, "since": repeats.since,
        "severity": repeats.severity.map(Severity::as_str),
    })
}

fn whole(fingerprint: &str, repeats: &Repeats<'_>) -> Value {
    let kept = Kept::of(repeats.alert);
    json!({
        "fingerprint": fingerprint, "alert_text": kept.text, "alert": kept.alert, "count": repeats.count,
        "severity": repeats.severity.map(Severity::as_str),
    })
}
