//! The host of a URL: a name or an address, in the one form that it is compared in.

use std::net::IpAddr;

/// A host, normalised: small letters, no trailing dot, IPv4-mapped IPv6 as IPv4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name, which is still to be looked up.
    Name(String),
    /// An address, which needs no look-up.
    Address(IpAddr),
}

/// Why a text is not a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host:?} is no host: {reason}")]
pub struct InvalidHost {
    /// The text, as given.
    pub host: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Host {
    /// Read a host as it stands in a URL, brackets around IPv6 included, or in a list, without them.
    ///
    /// What could be read in two ways is refused. A name whose last label is a number (`2130706433`, `127.1`,
    /// `0x7f.1`) is an IPv4 address to the C library and a name to everybody else.
    pub fn parse(text: &str) -> Result<Self, InvalidHost> {
        let invalid = |reason| Err(InvalidHost { host: text.to_owned(), reason });
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Some(inner) = bare.or_else(|| text.contains(':').then_some(text)) {
            if inner.contains('%') {
                return invalid("addresses with a zone are not supported");
            }
            return match inner.parse::<std::net::Ipv6Addr>() {
                Ok(address) => Ok(Self::Address(IpAddr::V6(address).to_canonical())),
                Err(_) => invalid("not an IPv6 address (a port belongs to the URL)"),
            };
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if let Ok(address) = name.parse::<IpAddr>() {
            return Ok(Self::Address(address));
        }
        if name.is_empty() || name.len() > 253 {
            return invalid("a name has 1 to 253 characters");
        }
        if name.contains('*') {
            return invalid("wildcards are not supported; list each name");
        }
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if !name.split('.').all(label) {
            return invalid("a name is labels of letters, digits, '-' and '_', joined by '.'");
        }
        if name.rsplit('.').next().is_some_and(is_number) {
            return invalid("an IPv4 address has four decimal parts");
        }
        Ok(Self::Name(name))
    }
}

/// Whether the C library could take a label for a part of an IPv4 address: decimal, octal or hexadecimal.
fn is_number(label: &str) -> bool {
    let hexadecimal = |digits: &str| digits.bytes().all(|b| b.is_ascii_hexdigit());
    label.bytes().all(|b| b.is_ascii_digit()) || label.strip_prefix("0x").is_some_and(hexadecimal)
}
