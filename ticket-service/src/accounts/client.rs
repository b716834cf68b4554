//! Whose computer calls: its address, and what it calls itself.
//!
//! A connection's peer is who it is. What `x-forwarded-for` says is believed only of a peer that is a trusted proxy, and only
//! as far as trusted proxies wrote it: from the right, up to the first entry that is none of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;
use tonic::Request;
use tonic::metadata::MetadataMap;

use super::service::Client;
use crate::settings;

/// Whose word on a caller's address is taken. Its text is addresses and CIDR blocks, with commas between them.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl FromStr for TrustedProxies {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = |part: &str| {
            let address = part
                .parse::<IpAddr>()
                .map(|address| IpNet::from(address.to_canonical()));
            address
                .or_else(|_| part.parse::<IpNet>())
                .map_err(|_| format!("`{part}` is no address and no CIDR block"))
        };
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl TrustedProxies {
    fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Finds out who calls.
pub(crate) struct Clients {
    trusted: TrustedProxies,
}

impl Clients {
    /// With the proxies that are trusted.
    pub(crate) fn new(settings: &settings::Throttle) -> Self {
        Self {
            trusted: settings.trusted_proxies.clone(),
        }
    }

    /// Whose computer sent this.
    pub(super) fn of<T>(&self, request: &Request<T>) -> Client {
        Client {
            address: self.address(request),
            user_agent: user_agent(request).to_owned(),
        }
    }

    /// The caller's address as it is counted: IPv6 by its /64, which is what one customer of a provider gets.
    fn address<T>(&self, request: &Request<T>) -> IpAddr {
        // Every connection of ours is TCP; what has no peer is counted together.
        let peer = request
            .remote_addr()
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
        counted(self.caller(peer, request.metadata()))
    }

    fn caller(&self, peer: IpAddr, metadata: &MetadataMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trusted.contain(peer) {
            return peer;
        }
        let mut lines = Vec::new();
        for line in metadata.get_all("x-forwarded-for") {
            let Ok(line) = line.to_str() else { return peer };
            lines.push(line);
        }
        let mut caller = peer;
        for entry in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
            let Some(address) = address_of(entry) else { return peer };
            caller = address;
            if !self.trusted.contain(address) {
                break;
            }
        }
        caller
    }
}

/// What the client calls itself; empty where it says nothing that can be read.
pub(super) fn user_agent<T>(request: &Request<T>) -> &str {
    request
        .metadata()
        .get("user-agent")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// An entry of `x-forwarded-for`; some proxies add the port.
fn address_of(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let bracketed = || {
        entry
            .strip_prefix('[')?
            .strip_suffix(']')?
            .parse::<Ipv6Addr>()
            .ok()
            .map(IpAddr::V6)
    };
    let with_port = || entry.parse::<SocketAddr>().ok().map(|address| address.ip());
    let address = entry.parse().ok().or_else(bracketed).or_else(with_port)?;
    Some(address.to_canonical())
}

fn counted(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tonic::metadata::MetadataValue;

    use super::*;

    fn clients(trusted: &str) -> Clients {
        Clients {
            trusted: trusted.parse().unwrap(),
        }
    }

    fn forwarded(lines: &[&str]) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        for line in lines {
            metadata.append("x-forwarded-for", line.parse().unwrap());
        }
        metadata
    }

    #[track_caller]
    fn assert_caller(trusted: &str, peer: &str, lines: &[&str], caller: &str) {
        let found = clients(trusted).caller(peer.parse().unwrap(), &forwarded(lines));
        assert_eq!(found.to_string(), caller);
    }

    #[test]
    fn only_a_trusted_peer_is_believed() {
        assert_caller("", "10.0.0.1", &["203.0.113.7"], "10.0.0.1");
        assert_caller("10.0.0.0/8", "192.0.2.1", &["203.0.113.7"], "192.0.2.1");
        assert_caller("10.0.0.0/8", "10.0.0.1", &["203.0.113.7"], "203.0.113.7");
        assert_caller("10.0.0.0/8", "10.0.0.1", &[], "10.0.0.1");
    }

    #[test]
    fn the_rightmost_stranger_is_the_caller() {
        let trusted = "10.0.0.0/8, 192.0.2.4,2001:db8:f::/48";
        assert_caller(
            trusted,
            "10.0.0.1",
            &["198.51.100.9, 203.0.113.7, 192.0.2.4"],
            "203.0.113.7",
        );
        assert_caller(
            trusted,
            "10.0.0.1",
            &["198.51.100.9", "203.0.113.7, 10.1.1.1", "192.0.2.4"],
            "203.0.113.7",
        );
        assert_caller(trusted, "2001:db8:f::1", &["nonsense, 203.0.113.7"], "203.0.113.7");
        // All of them ours: the one that is furthest away.
        assert_caller(trusted, "10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3");
    }

    #[test]
    fn what_cannot_be_read_leaves_the_peer() {
        for line in [
            "",
            "unknown",
            "203.0.113.7, _hidden",
            "203.0.113.7,",
            "1.2.3",
            "fe80::1%eth0",
            "[::1",
            "203.0.113.07:1",
        ] {
            assert_caller("10.0.0.0/8", "10.0.0.1", &[line], "10.0.0.1");
        }
        let mut metadata = forwarded(&["203.0.113.7"]);
        metadata.append("x-forwarded-for", MetadataValue::try_from(&b"\xff"[..]).unwrap());
        assert_eq!(
            clients("10.0.0.1").caller([10, 0, 0, 1].into(), &metadata).to_string(),
            "10.0.0.1"
        );
    }

    #[test]
    fn addresses_have_one_form() {
        assert_caller("10.0.0.0/8", "::ffff:10.0.0.1", &["::ffff:203.0.113.7"], "203.0.113.7");
        assert_caller("::ffff:10.0.0.1", "10.0.0.1", &["203.0.113.7:4711"], "203.0.113.7");
        assert_caller("10.0.0.0/8", "10.0.0.1", &["[2001:db8::7]:4711"], "2001:db8::7");
        assert_caller("10.0.0.0/8", "10.0.0.1", &["[2001:db8::7]"], "2001:db8::7");
        let counted = |text: &str| counted(text.parse().unwrap()).to_string();
        assert_eq!(counted("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(counted("203.0.113.7"), "203.0.113.7");
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for wrong in ["10.0.0.0/33", "proxy.example.com", "10.0.0.1;10.0.0.2", "*"] {
            assert!(wrong.parse::<TrustedProxies>().is_err(), "{wrong}");
        }
        assert_eq!(" , ".parse::<TrustedProxies>().unwrap().0.len(), 0);
    }

    /// Bytes that a header may hold.
    fn lines() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let like_an_entry = "[0-9a-f.:\\[\\], %]{0,40}".prop_map(String::into_bytes);
        let any = prop::collection::vec(prop_oneof![Just(b'\t'), 32_u8..127, 128_u8..=255], 0..40);
        prop::collection::vec(prop_oneof![like_an_entry, any], 0..4)
    }

    proptest! {
        #[test]
        fn no_header_is_too_odd(peer: IpAddr, lines in lines()) {
            let mut metadata = MetadataMap::new();
            for line in lines {
                metadata.append("x-forwarded-for", MetadataValue::try_from(line.as_slice()).unwrap());
            }
            // Whom nobody trusts changes nothing.
            prop_assert_eq!(clients("").caller(peer, &metadata), peer.to_canonical());
            let trusting = clients("0.0.0.0/0,::/0").caller(peer, &metadata);
            prop_assert_eq!(trusting, trusting.to_canonical());
        }

        #[test]
        fn a_caller_cannot_choose_who_it_is(claimed in "[0-9a-f.:, ]{0,40}", real: [u8; 4]) {
            prop_assume!(real[0] != 10);
            let line = format!("{claimed}, {}", Ipv4Addr::from(real));
            let found = clients("10.0.0.0/8").caller([10, 0, 0, 1].into(), &forwarded(&[&line]));
            prop_assert_eq!(found, IpAddr::from(real));
        }
    }
}
