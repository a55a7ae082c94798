//! Where weir may connect to: the rule against being sent to places that tenants should not reach.
//!
//! Names are resolved and judged in one step, so that a name cannot mean another place when it is connected to. Every
//! connection to a foreign address asks [`refusal`]. Start with [`Egress`].

use std::net::{IpAddr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Where requests may go. Link-local addresses (cloud metadata) are never reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Egress {
    /// Whether this machine itself may be asked: right on a laptop, wrong where tenants write URLs.
    pub loopback: bool,
}

/// Resolves names to the addresses that may be connected to, so a name cannot mean another place when it matters.
#[derive(Debug)]
pub(super) struct Checked(pub(super) Egress);

#[derive(Debug, thiserror::Error)]
#[error("{address} is {why}")]
pub(super) struct Blocked {
    pub(super) address: IpAddr,
    pub(super) why: &'static str,
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NoAddress(pub(super) String);

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let egress = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let found: Vec<SocketAddr> = found.map_err(|e| NoAddress(e.to_string()))?.collect();
            let blocked =
                found.iter().find_map(|at| Some(Blocked { address: at.ip(), why: refusal(at.ip(), egress)? }));
            let allowed: Vec<_> = found.into_iter().filter(|at| refusal(at.ip(), egress).is_none()).collect();
            match (allowed.is_empty(), blocked) {
                (false, _) => Ok(Box::new(allowed.into_iter()) as Addrs),
                (true, Some(blocked)) => Err(blocked.into()),
                (true, None) => Err(NoAddress("the name has no address".into()).into()),
            }
        })
    }
}

/// Why an address may not be connected to, if so. Any connection weir makes to a foreign place asks this.
pub fn refusal(address: IpAddr, egress: Egress) -> Option<&'static str> {
    let address = address.to_canonical();
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        // The one metadata address outside the link-local range.
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254],
    };
    let this_machine = address.is_loopback() || address.is_unspecified();
    match () {
        () if link_local => Some("a link-local address, where clouds keep credentials"),
        () if address.is_multicast() || address == IpAddr::from([255, 255, 255, 255]) => Some("no address of one host"),
        () if this_machine && !egress.loopback => Some("this machine itself, which is not allowed here"),
        () => None,
    }
}
