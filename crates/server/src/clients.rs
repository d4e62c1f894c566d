//! Who asks, as far as sharing what there is goes: which connections and streams are one client's.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{Extensions, HeaderMap};
use tokio::time::Instant;

/// How often the log says the same.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// A client: an address, of IPv6 the network of 64 bits that a machine has for itself. It grants nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Client(IpAddr);

/// Both ends of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    /// The address that the client connected to.
    pub(crate) local: IpAddr,
    pub(crate) client: Client,
}

/// Who asks, for history: `cli:NAME`, `token`, or `http` for somebody without a token.
#[derive(Debug, Clone)]
pub(crate) struct Author(pub(crate) String);

impl Client {
    pub(crate) fn new(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(ip) if !ip.is_loopback() => {
                Self(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into())
            }
            ip => Self(ip),
        }
    }

    /// The client for which this one asks. Only a proxy on this machine is believed, and of what it says only the last
    /// address, which it has seen itself.
    pub(crate) fn behind(self, headers: &HeaderMap) -> Self {
        let last = headers.get_all("x-forwarded-for").iter().next_back().filter(|_| self.is_here());
        let last = last.and_then(|value| value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
        last.map_or(self, Self::new)
    }

    /// The one that a request says it is of, else this machine.
    pub(crate) fn of(request: &Extensions) -> Self {
        request.get().copied().unwrap_or(Self(IpAddr::V4(Ipv4Addr::LOCALHOST)))
    }

    /// Whether it is on this machine.
    pub(crate) fn is_here(self) -> bool {
        self.0.is_loopback()
    }
}

/// How many of these each client has.
pub(crate) fn shares(clients: impl Iterator<Item = Client>) -> HashMap<Client, usize> {
    let mut shares = HashMap::new();
    for client in clients {
        *shares.entry(client).or_default() += 1;
    }
    shares
}

/// Something that happens often and is logged seldom.
#[derive(Default)]
pub(crate) struct Seldom(Mutex<(Option<Instant>, u64)>);

impl Seldom {
    /// Counts one; how many there were since the last time when it is time to say so.
    pub(crate) fn count(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (said, times) = &mut *state;
        *times += 1;
        if said.is_some_and(|at| at.elapsed() < SAID_EVERY) {
            return None;
        }
        *said = Some(Instant::now());
        Some(std::mem::take(times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: &str) -> Client {
        Client::new(address.parse().unwrap())
    }

    fn behind(peer: &str, forwarded: &[&str]) -> Client {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        client(peer).behind(&headers)
    }

    #[test]
    fn a_client_is_an_address_or_the_network_of_one() {
        assert_eq!(client("::ffff:10.1.2.3"), client("10.1.2.3"));
        assert_eq!(client("2001:db8:1:2:3::4"), client("2001:db8:1:2:ffff::"));
        assert_ne!(client("2001:db8:1:2::"), client("2001:db8:1:3::"));
        assert!(client("::1").is_here() && client("127.8.8.8").is_here() && !client("10.0.0.1").is_here());
    }

    #[test]
    fn a_proxy_on_this_machine_says_whom_it_passes_on() {
        assert_eq!(behind("127.0.0.1", &["10.0.0.9, 192.0.2.1"]), client("192.0.2.1"));
        assert_eq!(behind("::1", &["10.0.0.9", "192.0.2.2"]), client("192.0.2.2"));
        for nonsense in ["", "unknown", "192.0.2.1:80", "a, b"] {
            assert_eq!(behind("127.0.0.1", &[nonsense]), client("127.0.0.1"), "{nonsense}");
        }
        assert_eq!(behind("192.0.2.7", &["10.0.0.9"]), client("192.0.2.7"), "nobody else is believed");
    }

    #[tokio::test(start_paused = true)]
    async fn what_happens_often_is_said_seldom() {
        let often = Seldom::default();
        assert_eq!((often.count(), often.count(), often.count()), (Some(1), None, None));
        tokio::time::advance(SAID_EVERY).await;
        assert_eq!((often.count(), often.count()), (Some(3), None));
    }
}
