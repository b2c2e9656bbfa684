//! The guard on the wire: a resolver for ureq that asks the list.

use std::net::SocketAddr;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use super::{AllowedHosts, Host, Refused};

/// A resolver that yields allowed addresses or none.
///
/// It stands where names become addresses because ureq connects to exactly what its resolver returns, for each
/// request anew: a check in front of the call would be one look-up away from the truth.
#[derive(Debug)]
pub struct Guard {
    allowed: AllowedHosts,
    inner: DefaultResolver,
}

impl Guard {
    /// Guard connections by a list.
    pub fn new(allowed: AllowedHosts) -> Self {
        Self { allowed, inner: DefaultResolver::default() }
    }

    /// An agent that connects nowhere else: no redirect is followed, no proxy of the environment is used, and a
    /// status is an answer, not an error.
    pub fn agent(self, config: ureq::config::ConfigBuilder<ureq::typestate::AgentScope>) -> ureq::Agent {
        let config =
            config.proxy(None).max_redirects(0).max_redirects_will_error(false).http_status_as_error(false).build();
        ureq::Agent::with_parts(config, DefaultConnector::default(), self)
    }

    /// The refusal inside an error of ureq, if that is what it is.
    pub fn refusal(error: &ureq::Error) -> Option<&Refused> {
        match error {
            ureq::Error::Other(cause) => cause.downcast_ref(),
            _ => None,
        }
    }
}

impl Resolver for Guard {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let refused = |refused: Refused| ureq::Error::Other(Box::new(refused));
        match self.allowed.check_uri(uri).map_err(refused)? {
            // The default resolver would start a thread to look up what needs no look-up.
            Host::Address(address) => {
                let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
                let mut addresses = self.empty();
                addresses.push(SocketAddr::new(address, uri.port_u16().unwrap_or(default)));
                Ok(addresses)
            }
            Host::Name(name) => {
                let addresses = self.inner.resolve(uri, config, timeout)?;
                let all = addresses.iter().map(SocketAddr::ip);
                self.allowed.check_addresses(&name, all).map_err(refused)?;
                Ok(addresses)
            }
        }
    }
}
