//! Whether a request would come to the program's own server: a feed that redirects there would make it read, or change,
//! what only its user may.
//!
//! Left out: a name that stands for another address a moment later, and forwarding by others (a proxy, a tunnel). Our
//! server refuses those requests by their header.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use reqwest::Url;

use super::reach::{lookup, numbers};

/// Whether `url` leads to `own`. Names are looked up only when the port is the same.
pub(super) async fn is_asked_by(url: &Url, own: Option<SocketAddr>) -> bool {
    let Some(own) = own.filter(|own| url.port_or_known_default() == Some(own.port())) else { return false };
    let addresses = match (numbers(url), url.host_str().map(|name| name.trim_end_matches('.'))) {
        (Some(ip), _) => vec![ip],
        // RFC 6761, section 6.3: it is loopback, whatever a resolver says.
        (None, Some("localhost")) => vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
        // Of a name that is not found, the request says it better.
        (None, Some(name)) => {
            lookup(name.to_owned()).await.unwrap_or_default().iter().map(SocketAddr::ip).collect()
        }
        (None, None) => Vec::new(),
    };
    addresses.into_iter().any(|ip| is_heard_at(ip, own.ip()))
}

/// Whether what is sent to `ip` arrives at a server that listens at `own`.
fn is_heard_at(ip: IpAddr, own: IpAddr) -> bool {
    let (ip, own) = (ip.to_canonical(), own.to_canonical());
    // An unspecified address is this machine's when something is sent to it, and all of this machine's when somebody
    // listens there. `localhost` is either loopback address.
    ip == own
        || ip.is_unspecified()
        || ip.is_loopback() && own.is_loopback()
        || own.is_unspecified() && is_of_this_machine(ip)
}

/// Only an address of this machine can be bound. Nothing is sent.
fn is_of_this_machine(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn our_own_server_is_known_in_every_form() {
        let is_own = async |url: &str, own: &str| {
            is_asked_by(&Url::parse(url).unwrap(), Some(own.parse().unwrap())).await
        };
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "0.0.0.0",
            "[::ffff:127.0.0.1]",
            "[::]",
            "localhost",
            "LOCALHOST.",
        ] {
            for own in ["127.0.0.1:8002", "0.0.0.0:8002", "[::]:8002"] {
                assert!(is_own(&format!("http://{host}:8002/x"), own).await, "{host} is {own}");
                assert!(
                    !is_own(&format!("http://{host}:8003/x"), own).await,
                    "another port of {host} is not {own}"
                );
            }
        }
        assert!(is_own("http://127.0.0.1/", "127.0.0.1:80").await);
        assert!(!is_own("http://192.0.2.7:8002/", "0.0.0.0:8002").await, "it is another machine's");
        assert!(!is_own("http://192.0.2.7:8002/", "127.0.0.1:8002").await);
        assert!(!is_asked_by(&Url::parse("http://127.0.0.1:8002/").unwrap(), None).await);
    }
}
