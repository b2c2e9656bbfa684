//! Whose signature on a server's certificate counts.

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// Why a text in PEM names no authority.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the certificate authority's PEM cannot be read: {0}")]
pub struct InvalidAuthorities(String);

/// Trust these authorities and no others; without any the public ones, which are built in, and not the machine's.
pub(crate) fn config(ca_pem: Option<&[u8]>) -> Result<TlsConfig, InvalidAuthorities> {
    let Some(pem) = ca_pem else { return Ok(TlsConfig::builder().build()) };
    let mut found: Vec<Certificate<'static>> = Vec::new();
    for item in parse_pem(pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| InvalidAuthorities(error.to_string()))? {
            found.push(certificate);
        }
    }
    if found.is_empty() {
        return Err(InvalidAuthorities("it holds no certificate".to_owned()));
    }
    Ok(TlsConfig::builder().root_certs(RootCerts::from(found)).build())
}
