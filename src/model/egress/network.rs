//! A network in CIDR notation, such as `10.0.0.0/8`.

use std::net::IpAddr;

/// All addresses that share a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    prefix: u32,
}

/// Why a text is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNetwork {
    /// Not an address, a slash and a number.
    #[error("a network is an address, '/' and the length of its prefix, as in 10.0.0.0/8")]
    Form,
    /// The prefix is longer than the address.
    #[error("a prefix of {prefix} is longer than the address's {bits} bits")]
    Prefix {
        /// The prefix, as given.
        prefix: u32,
        /// 32 or 128.
        bits: u32,
    },
    /// An address inside the network is not the network: most likely a slip of the pen.
    #[error("the address has bits to the right of the prefix; the network is {0}")]
    HostBits(Network),
}

impl Network {
    /// Read CIDR notation. A network of IPv4-mapped IPv6 addresses becomes the IPv4 network that it means.
    pub fn parse(text: &str) -> Result<Self, InvalidNetwork> {
        let (address, prefix) = text.split_once('/').ok_or(InvalidNetwork::Form)?;
        let mut first: IpAddr = address.trim().parse().map_err(|_| InvalidNetwork::Form)?;
        let mut prefix: u32 = prefix.trim().parse().map_err(|_| InvalidNetwork::Form)?;
        if prefix > bits(first) {
            return Err(InvalidNetwork::Prefix { prefix, bits: bits(first) });
        }
        if first.to_canonical() != first && prefix >= 96 {
            (first, prefix) = (first.to_canonical(), prefix - 96);
        }
        let network = Self { first: cut(first, prefix), prefix };
        if network.first == first { Ok(network) } else { Err(InvalidNetwork::HostBits(network)) }
    }

    /// The network of one address.
    pub fn host(address: IpAddr) -> Self {
        let first = address.to_canonical();
        Self { first, prefix: bits(first) }
    }

    /// Whether an address, already canonical, lies inside.
    pub fn contains(&self, address: IpAddr) -> bool {
        bits(address) == bits(self.first) && cut(address, self.prefix) == self.first
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

fn bits(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The address with every bit after the prefix cleared. A shift by the whole width is no shift, hence `checked`.
fn cut(address: IpAddr, prefix: u32) -> IpAddr {
    match address {
        IpAddr::V4(a) => IpAddr::V4((a.to_bits() & u32::MAX.checked_shl(32 - prefix).unwrap_or(0)).into()),
        IpAddr::V6(a) => IpAddr::V6((a.to_bits() & u128::MAX.checked_shl(128 - prefix).unwrap_or(0)).into()),
    }
}
