//! The page itself, as a CloudEvent 1.0 in JSON, with a signature that covers time and body.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

use super::secret::Secret;
use super::{Envelope, Request};
use crate::page::Page;

pub fn render(page: &Page, envelope: &Envelope<'_>) -> Request {
    let mut request = Request::to_address(&json!({
        "specversion": "1.0",
        "type": format!("pg_oncall.page.{}", page.kind.as_str()),
        "source": format!("/pg_oncall/{}", envelope.database),
        "id": envelope.idempotency_key,
        "time": page.created_at,
        "subject": page.incident_id,
        "datacontenttype": "application/json",
        "data": page,
    }));
    if let Some(secret) = envelope.secret {
        let signature = signature(secret, envelope.now.as_second(), &request.body);
        request.headers.push(("X-PgOncall-Signature", signature));
    }
    request
}

/// `t=<unix seconds>,v1=<hex>`: HMAC-SHA256 over `<unix seconds>.<body>`, so that an old request cannot be sent again
/// with a new time.
fn signature(secret: &Secret, now: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes()).expect("HMAC takes a key of any length");
    mac.update(format!("{now}.{body}").as_bytes());
    let code: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={now},v1={code}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_what_openssl_computes() {
        // printf '1795163208.{"a":1}' | openssl dgst -sha256 -hmac 'correct-horse'
        let secret = Secret::new("correct-horse").unwrap();
        assert_eq!(
            signature(&secret, 1_795_163_208, r#"{"a":1}"#),
            "t=1795163208,v1=fde9218bc19d1bc6ae584082f64fc1f880b38782be9914dba49e0b4df0a2d926"
        );
    }
}
