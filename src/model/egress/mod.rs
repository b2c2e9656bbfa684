//! Where the database may connect: `oncall.allowed_hosts`, and the guard that holds every connection to it.
//!
//! A connection needs two things. The host in the URL is listed: a name by itself, an address by lying inside a listed
//! network. And every address that the name resolves to lies inside a listed network; one stray address refuses them
//! all, so that a name server cannot slip one in. [`AllowedHosts`] is the list, [`Guard`] the resolver that asks it on
//! the very addresses that are then connected to: between check and connect nothing is looked up again.

mod guard;
mod host;
mod network;

pub use guard::Guard;
pub use host::{Host, InvalidHost};
pub use network::{InvalidNetwork, Network};

use std::fmt;
use std::net::IpAddr;

/// The value of `oncall.allowed_hosts` where nobody has set it: this machine.
pub const THIS_MACHINE: &str = "localhost, 127.0.0.0/8, ::1";

/// The hosts that may be contacted: names, addresses and networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHosts {
    names: Vec<String>,
    networks: Vec<Network>,
    /// The list as written, for error messages.
    text: String,
}

/// Why a list of allowed hosts cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{item:?} in the list of allowed hosts: {reason}")]
pub struct InvalidList {
    /// The item, as written.
    pub item: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Why a connection was refused. Nothing was sent; for an unlisted host, not even a name was looked up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The URL's host is not on the list.
    #[error("{host} is not among the allowed hosts ({list})")]
    Host {
        /// The host of the URL.
        host: String,
        /// The list, as written.
        list: String,
    },
    /// The name is on the list, an address of it is not.
    #[error("{host} resolves to {address}, which is not among the allowed hosts ({list})")]
    Address {
        /// The host of the URL.
        host: String,
        /// The first address that is not allowed.
        address: IpAddr,
        /// The list, as written.
        list: String,
    },
    /// The URL's host is neither a name nor an address in a form that has one meaning.
    #[error(transparent)]
    Invalid(#[from] InvalidHost),
    /// Only `http` and `https` are spoken.
    #[error("the scheme {scheme:?} is not http or https")]
    Scheme {
        /// The scheme of the URL, empty where there is none.
        scheme: String,
    },
    /// The URL holds a user or a password, which everybody may read who may read settings.
    #[error("a URL may not carry a user or a password")]
    UserInfo,
}

impl Refused {
    /// What was not allowed, short: the host, or the address with the name that it belongs to.
    pub fn address(&self) -> String {
        match self {
            Self::Host { host, .. } => host.clone(),
            Self::Address { host, address, .. } => format!("{address} (an address of {host})"),
            Self::Invalid(invalid) => invalid.host.clone(),
            Self::Scheme { scheme } => format!("the scheme {scheme:?}"),
            Self::UserInfo => "a URL with a user or a password".to_owned(),
        }
    }
}

impl AllowedHosts {
    /// Read a comma-separated list of host names, addresses and networks, such as [`THIS_MACHINE`].
    ///
    /// An empty list allows nothing. Wildcards are refused: a name is one host.
    pub fn parse(text: &str) -> Result<Self, InvalidList> {
        let mut list = Self { names: Vec::new(), networks: Vec::new(), text: text.trim().to_owned() };
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let invalid = |reason: String| InvalidList { item: item.to_owned(), reason };
            if item.contains('/') {
                list.networks.push(Network::parse(item).map_err(|e| invalid(e.to_string()))?);
                continue;
            }
            match Host::parse(item).map_err(|e| invalid(e.reason.to_owned()))? {
                Host::Name(name) => list.names.push(name),
                Host::Address(address) => list.networks.push(Network::host(address)),
            }
        }
        Ok(list)
    }

    /// Whether an address lies inside a listed network. IPv4-mapped IPv6 counts as the IPv4 that it means.
    ///
    /// `0.0.0.0` and `::` never do: they name no host, and Linux takes them for this machine.
    pub fn allows_address(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        !address.is_unspecified() && self.networks.iter().any(|network| network.contains(address))
    }

    /// Check a URL's host, before any look-up.
    pub fn check_host(&self, host: &str) -> Result<Host, Refused> {
        let checked = Host::parse(host)?;
        let listed = match &checked {
            Host::Name(name) => self.names.contains(name),
            Host::Address(address) => self.allows_address(*address),
        };
        if listed { Ok(checked) } else { Err(Refused::Host { host: host.to_owned(), list: self.text.clone() }) }
    }

    /// Check every address that a listed host resolved to.
    pub fn check_addresses(&self, host: &str, addresses: impl IntoIterator<Item = IpAddr>) -> Result<(), Refused> {
        match addresses.into_iter().find(|address| !self.allows_address(*address)) {
            None => Ok(()),
            Some(address) => Err(Refused::Address { host: host.to_owned(), address, list: self.text.clone() }),
        }
    }

    /// Check what a URL shows by itself: scheme, no user, a listed host. Its addresses are checked on connecting.
    pub fn check_uri(&self, uri: &ureq::http::Uri) -> Result<Host, Refused> {
        check_form(uri)?;
        self.check_host(uri.host().unwrap_or_default())
    }
}

/// Check what no list can allow: another scheme than `http` and `https`, a user or password, a host of two readings.
pub fn check_form(uri: &ureq::http::Uri) -> Result<(), Refused> {
    let scheme = uri.scheme_str().unwrap_or_default();
    if scheme != "http" && scheme != "https" {
        return Err(Refused::Scheme { scheme: scheme.to_owned() });
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(Refused::UserInfo);
    }
    Host::parse(uri.host().unwrap_or_default())?;
    Ok(())
}

impl Default for AllowedHosts {
    fn default() -> Self {
        Self::parse(THIS_MACHINE).expect("the default list is well formed")
    }
}

impl fmt::Display for AllowedHosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests;
