//! CloudWatch alarms: as SNS posts them, in an envelope whose `Message` is JSON in a string, and bare.
//!
//! An SNS message that is no alarm is read as the payload, or the text, that it is. What SNS adds stands under `sns` in
//! `extra`. A subscription is never confirmed from here: the address to call comes with the message, so whoever can
//! post could have this server call any address.

use serde_json::Value;

use super::draft::Draft;
use super::fields::Fields;
use super::formats::{self, AlertError, Format};
use super::{Status, text, words};

/// SNS.
pub(super) const ENVELOPE: Format = Format {
    name: "sns",
    told_by: "\"Type\" with \"TopicArn\"",
    is: |fields| fields.has("Type") && fields.has("TopicArn"),
    read: read_envelope,
};

/// The alarm itself.
pub(super) const ALARM: Format = Format {
    name: "cloudwatch",
    told_by: "\"AlarmName\" with \"NewStateValue\"",
    is: |fields| fields.has("AlarmName") && fields.has("NewStateValue"),
    read: |fields| Ok(vec![read_alarm(fields)?]),
};

fn read_envelope(mut envelope: Fields) -> Result<Vec<Draft>, AlertError> {
    let kind = envelope.text("Type").unwrap_or_default();
    let topic = envelope.text("TopicArn").unwrap_or_default();
    if kind != "Notification" {
        return Err(AlertError::NotAnAlert {
            format: "sns",
            what: format!("it is a {:?} for the topic {:?}", words::cut(&kind, 64), words::cut(&topic, 256)),
            advice: "A SubscriptionConfirmation is answered by a person: if you asked for the subscription, open the \
                     message's SubscribeURL, or run: aws sns confirm-subscription --topic-arn <TopicArn> --token \
                     <Token>. pg_oncall never calls an address that comes with a message."
                .to_owned(),
        });
    }
    let Some(message) = envelope.take_text("Message") else {
        return Err(AlertError::Malformed { format: "sns", problem: "\"Message\" is not a text".to_owned() });
    };
    let mut drafts = match serde_json::from_str(&message) {
        Ok(Value::Object(map)) => {
            let inner = Fields::new(map);
            if (ENVELOPE.is)(&inner) {
                let problem = "\"Message\" is an SNS message again".to_owned();
                return Err(AlertError::Malformed { format: "sns", problem });
            }
            formats::read(inner)?
        }
        _ => vec![text::read(&message)?],
    };
    let envelope = Value::Object(envelope.rest());
    for draft in &mut drafts {
        draft.extra.insert("sns".to_owned(), envelope.clone());
    }
    Ok(drafts)
}

fn read_alarm(mut alarm: Fields) -> Result<Draft, AlertError> {
    let mut draft = Draft::new("cloudwatch");
    draft.name = alarm.take_text("AlarmName");
    let Some(name) = draft.name.as_deref() else {
        return Err(AlertError::Malformed { format: "cloudwatch", problem: "\"AlarmName\" is empty".to_owned() });
    };
    // Without the ARN: what makes an alarm's name unique.
    draft.key = alarm.text("AlarmArn").or_else(|| {
        let of = |key| alarm.text(key).unwrap_or_default();
        Some(format!("cloudwatch:{}:{}:{name}", of("AWSAccountId"), of("Region")))
    });
    // INSUFFICIENT_DATA is sent only to those who asked for it: nobody knows whether all is well. The word stays.
    draft.status = match alarm.text("NewStateValue").as_deref() {
        Some("OK") => Status::Resolved,
        _ => Status::Firing,
    };
    match draft.status {
        Status::Resolved => draft.ends_at = alarm.take_time("StateChangeTime"),
        _ => draft.starts_at = alarm.take_time("StateChangeTime"),
    }
    draft.text = alarm.take_text("AlarmDescription");
    draft.annotation("description", alarm.take_text("NewStateReason"));
    if let Some(mut trigger) = alarm.take_object("Trigger") {
        draft.take_labels(&mut trigger, "Dimensions");
        draft.annotation("metric", trigger.take_text("MetricName"));
        draft.annotation("metric_namespace", trigger.take_text("Namespace"));
        alarm.put_back("Trigger", trigger);
    }
    Ok(draft.keep(alarm))
}
