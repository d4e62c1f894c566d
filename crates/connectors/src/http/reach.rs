//! Protection against server-side request forgery: the one policy that says which addresses a request may reach.
//!
//! What a person wrote into the configuration may be of the local network. What was learnt from outside (a redirect,
//! an address in a document) may not: a stranger would otherwise send us where only we get, to services of this
//! machine and of the network behind it. So it is the address of the connection that is judged, after the name was
//! resolved and by the same answer that is connected to, in all the forms in which an IPv6 address can stand for an
//! IPv4 address. Other notations of IPv4 (decimal, octal, hexadecimal, fewer parts) are one number by the time that
//! they get here: that is how addresses are parsed (<https://url.spec.whatwg.org/#concept-ipv4-parser>).
//!
//! Our own server may have any address: `http/own_server.rs`. It knows our requests by
//! [`OUTBOUND`](inboxclaw_contract::outside::OUTBOUND) and refuses them.
//!
//! Left out: prefixes for NAT64 that a network chose itself, which cannot be told from other addresses; and proxies,
//! which would have to judge for us (none is used).

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::{fmt, io};

use futures_util::future::BoxFuture;
use inboxclaw_contract::{Class, Failure};
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Endings of names that are never public: RFC 6762, section 3 and appendix G; RFC 6761, section 6.3; RFC 8375; and
/// `internal`, which ICANN reserved for private use in 2024.
const LOCAL_ENDINGS: [&str; 5] = [".localhost", ".local", ".lan", ".internal", ".home.arpa"];

/// How far a request may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The address is in the configuration. It may be a local one where it says so: an address in numbers,
    /// `localhost`, a name without a dot, one that ends in `.local`, `.lan`, `.internal` or `.home.arpa`. Another name
    /// has to stand for a public address, unless the setting `allow_private` is on.
    Configured {
        /// The setting `allow_private`.
        allow_private: bool,
    },
    /// The address was learnt from outside: only public addresses.
    Public,
}

impl Reach {
    /// The reach of an address in the configuration without `allow_private`.
    pub const CONFIGURED: Self = Self::Configured { allow_private: false };

    /// Whether a request to this address may connect to any address there is.
    pub fn is_open(self, url: &Url) -> bool {
        match self {
            Self::Public => false,
            Self::Configured { allow_private } => allow_private || is_local(url),
        }
    }

    /// Checks an address in numbers, which no resolver gets to see.
    pub(super) fn check(self, url: &Url) -> Result<(), NotPublic> {
        match numbers(url).filter(|_| !self.is_open(url)) {
            Some(ip) => kind(ip).map_or(Ok(()), |kind| Err(NotPublic { ip, kind })),
            None => Ok(()),
        }
    }

    /// The failure of a request that would have gone too far.
    pub(super) fn refused(self, address: &str, found: &NotPublic) -> Failure {
        match self {
            Self::Public => {
                let cause = format!(
                    "{address} is not asked: it leads to {found}, and only an address in the configuration may do that"
                );
                Failure::text(Class::Upstream, cause).action(
                    "if it is meant, set that address in the configuration, with `allow_private: true` for a public name",
                )
            }
            Self::Configured { .. } => {
                let cause = format!("{address} is not asked: its name stands for {found}");
                Failure::text(Class::Configuration, cause)
                    .action("set `allow_private: true` if it is meant to be in your own network")
            }
        }
    }
}

/// An address that strangers may not send us to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotPublic {
    ip: IpAddr,
    kind: &'static str,
}

impl fmt::Display for NotPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.ip, self.kind)
    }
}

impl Error for NotPublic {}

impl NotPublic {
    /// The one that is among the causes of an error, if it is.
    pub(super) fn among(error: &reqwest::Error) -> Option<Self> {
        let mut cause = error.source();
        while let Some(error) = cause {
            if let Some(found) = error.downcast_ref::<Self>() {
                return Some(*found);
            }
            cause = error.source();
        }
        None
    }
}

/// Whether an address in the configuration says that it is a local one. Every address in numbers does: whoever wrote it
/// knows where it leads.
fn is_local(url: &Url) -> bool {
    let name = url.host_str().unwrap_or_default().trim_end_matches('.');
    numbers(url).is_some() || !name.contains('.') || LOCAL_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// An address in numbers. No name is one: parsing took care of that.
pub(super) fn numbers(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_matches(['[', ']']).parse().ok()
}

/// Whether two addresses are of the same host, by its name.
pub fn is_same_host(one: &Url, other: &Url) -> bool {
    let host = |url: &Url| url.host_str().map(|host| host.trim_end_matches('.').to_ascii_lowercase());
    host(one).is_some() && host(one) == host(other)
}

/// What an address is that is not public; `None` for a public one.
fn kind(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => kind_4(ip),
        IpAddr::V6(ip) => kind_6(ip),
    }
}

/// By <https://www.iana.org/assignments/iana-ipv4-special-registry>. The nets for documentation are nowhere, so they
/// need no word.
fn kind_4(ip: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = ip.octets();
    match (a, b, c) {
        (0, ..) => Some("an unspecified address"),
        (127, ..) => Some("a loopback address"),
        (169, 254, _) => Some("a link-local address"),
        (10, ..) | (172, 16..=31, _) | (192, 168, _) => Some("a private address"),
        (100, 64..=127, _) => Some("a shared address (carrier-grade NAT)"),
        (192, 0, 0) | (198, 18..=19, _) | (240.., ..) => Some("a reserved address"),
        (224..=239, ..) => Some("a multicast address"),
        _ => None,
    }
}

/// By <https://www.iana.org/assignments/iana-ipv6-special-registry>: public is what was given out (2000::/3) and what
/// stands for a public IPv4 address. Everything else is not, known or not.
fn kind_6(ip: Ipv6Addr) -> Option<&'static str> {
    let parts = ip.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match parts {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("an unspecified address"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("a loopback address"),
        // IPv4-mapped, -translated (RFC 2765), -compatible, and NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0xffff | 0, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => kind_4(v4(high, low)),
        [0x64, 0xff9b, 1, ..] => Some("a local address (NAT64)"),
        // 6to4 (RFC 3056) and Teredo (RFC 4380, section 4: the server, and the client with all bits turned over).
        [0x2002, high, low, ..] => kind_4(v4(high, low)),
        [0x2001, 0, high, low, _, _, client_high, client_low] => {
            kind_4(v4(high, low)).or_else(|| kind_4(v4(!client_high, !client_low)))
        }
        // ISATAP (RFC 5214, section 6.1) under any prefix.
        [0x2000..=0x3fff, .., 0 | 0x200, 0x5efe, high, low] => kind_4(v4(high, low)),
        [0x2000..=0x3fff, ..] => None,
        [0xfe80..=0xfebf, ..] => Some("a link-local address"),
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Some("a private address"),
        [0xff00..=0xffff, ..] => Some("a multicast address"),
        _ => Some("a reserved address"),
    }
}

/// Finds the addresses of a name.
type Lookup = fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>;

/// A resolver that gives public addresses only. The connection is made to what it gives, so a name that stands for
/// another address a moment later gains nothing.
pub(super) struct PublicOnly {
    pub(super) lookup: Lookup,
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let found = (self.lookup)(name.as_str().to_owned());
        Box::pin(async move {
            let (mut public, mut refused) = (Vec::new(), None);
            for address in found.await? {
                match kind(address.ip()) {
                    None => public.push(address),
                    Some(kind) => refused = Some(NotPublic { ip: address.ip(), kind }),
                }
            }
            match refused.filter(|_| public.is_empty()) {
                Some(refused) => Err(refused.into()),
                None => Ok(Box::new(public.into_iter()) as Addrs),
            }
        })
    }
}

/// Asks the system.
pub(super) fn lookup(name: String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
    Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn what_a_stranger_may_not_lead_to_is_refused_in_every_form() {
        for (host, what) in [
            ("127.0.0.1", "loopback"),
            ("127.1", "loopback"),
            ("2130706433", "loopback"),
            ("0x7f.1", "loopback"),
            ("0177.0.0.1", "loopback"),
            ("127.0.0.1.", "loopback"),
            ("%31%32%37.0.0.1", "loopback"),
            ("\u{ff11}\u{ff12}\u{ff17}.0.0.1", "loopback"),
            ("0.0.0.0", "unspecified"),
            ("0", "unspecified"),
            ("10.1.2.3", "private"),
            ("172.16.0.1", "private"),
            ("172.31.255.255", "private"),
            ("192.168.1.1", "private"),
            ("100.64.0.1", "shared"),
            ("169.254.169.254", "link-local"),
            ("192.0.0.170", "reserved"),
            ("198.18.0.1", "reserved"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.250", "multicast"),
            ("255.255.255.255", "reserved"),
            ("[::]", "unspecified"),
            ("[::1]", "loopback"),
            ("[::ffff:127.0.0.1]", "loopback"),
            ("[::ffff:c0a8:101]", "private"),
            ("[::ffff:0:10.0.0.1]", "private"),
            ("[::127.0.0.1]", "loopback"),
            ("[64:ff9b::7f00:1]", "loopback"),
            ("[64:ff9b::169.254.169.254]", "link-local"),
            ("[64:ff9b:1::8.8.8.8]", "local"),
            ("[64:ff9b:1:2:3:4:5:6]", "local"),
            ("[2002:7f00:1::]", "loopback"),
            ("[2002:c0a8:101::1]", "private"),
            ("[2001:0:7f00:1::f7f7:f7f7]", "loopback"),
            ("[2001:0:808:808::3f57:fefe]", "private"),
            ("[2001:4860::5efe:10.0.0.1]", "private"),
            ("[fe80::1]", "link-local"),
            ("[fd00::1]", "private"),
            ("[fec0::1]", "private"),
            ("[ff02::1]", "multicast"),
            ("[100::1]", "reserved"),
            ("[5f00::1]", "reserved"),
        ] {
            let refused = Reach::Public.check(&url(&format!("http://{host}:8000/x"))).unwrap_err();
            assert!(refused.kind.contains(what), "{host}: {refused}");
        }
    }

    #[test]
    fn public_addresses_are_asked() {
        for host in [
            "8.8.8.8",
            "172.15.255.255",
            "172.32.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "[2001:4860:4860::8888]",
            "[::ffff:8.8.8.8]",
            "[64:ff9b::8.8.8.8]",
            "[2002:808:808::1]",
            "[2001:0:808:808::f7f7:f7f7]",
        ] {
            assert_eq!(Reach::Public.check(&url(&format!("http://{host}/"))), Ok(()), "{host}");
        }
    }

    #[test]
    fn a_configured_address_says_whether_it_is_local() {
        for (host, local) in [
            ("localhost", true),
            ("LOCALHOST.", true),
            ("a.localhost", true),
            ("nas", true),
            ("nas.", true),
            ("nas.local", true),
            ("nas.lan.", true),
            ("db.internal", true),
            ("box.home.arpa", true),
            ("192.168.1.2", true),
            ("0x7f.1", true),
            ("[fd00::1]", true),
            ("8.8.8.8", true),
            ("example.org", false),
            ("example.org.", false),
            ("notlocal", true),
            ("a.notlocal", false),
            ("local.example.org", false),
            ("home.arpa.example", false),
        ] {
            assert_eq!(Reach::CONFIGURED.is_open(&url(&format!("http://{host}/"))), local, "{host}");
            assert!(!Reach::Public.is_open(&url(&format!("http://{host}/"))));
        }
        assert!(Reach::Configured { allow_private: true }.is_open(&url("http://example.org/")));
    }

    #[test]
    fn a_host_is_the_same_by_its_name() {
        for (one, other, same) in [
            ("http://h/a", "https://H.:8443/b", true),
            ("http://127.0.0.1/", "http://2130706433:1/", true),
            ("http://127.0.0.1/", "http://localhost/", false),
            ("http://h/", "http://a.h/", false),
        ] {
            assert_eq!(is_same_host(&url(one), &url(other)), same, "{one} {other}");
        }
    }

    async fn resolved(lookup: Lookup) -> Result<Vec<SocketAddr>, String> {
        let found = PublicOnly { lookup }.resolve("h.example".parse().unwrap()).await;
        found.map(Iterator::collect).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_name_gives_its_public_addresses_only() {
        let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
        let mixed = resolved(|_| {
            Box::pin(async { Ok(vec!["127.0.0.1:0".parse().unwrap(), "8.8.8.8:0".parse().unwrap()]) })
        });
        assert_eq!(mixed.await, Ok(addresses(&["8.8.8.8:0"])));
        let private = resolved(|_| Box::pin(async { Ok(vec!["[::ffff:10.0.0.1]:0".parse().unwrap()]) }));
        assert_eq!(private.await, Err("::ffff:10.0.0.1, a private address".to_owned()));
        let failed = resolved(|_| Box::pin(async { Err(io::Error::other("no such name")) }));
        assert_eq!(failed.await, Err("no such name".to_owned()));
    }
}
