//! The port: taken before anything else starts, and only where the settings protect it.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};

use crate::error::ServeError;
use crate::settings::ServerSettings;

/// A port that is ours. Nothing is answered before [`serve`](crate::serve).
#[derive(Debug)]
pub struct Listener {
    pub(crate) inner: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Where it listens; the port is the real one also when the setting was 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Takes the port. Refuses an address that other machines can reach unless a token or the explicit permission
/// protects it.
///
/// # Errors
/// [`ServeError::Taken`], [`ServeError::Exposed`], [`ServeError::Address`], [`ServeError::Setting`].
pub fn bind(settings: &ServerSettings) -> Result<Listener, ServeError> {
    settings.check()?;
    let refused = |source| ServeError::Address { host: settings.host.clone(), port: settings.port, source };
    let host = settings.host.trim_start_matches('[').trim_end_matches(']');
    let addresses: Vec<SocketAddr> = (host, settings.port).to_socket_addrs().map_err(refused)?.collect();
    let open = settings.token.is_none() && !settings.allow_anonymous;
    if open && addresses.iter().any(|address| !is_loopback(address.ip())) {
        return Err(ServeError::Exposed { host: settings.host.clone() });
    }
    let listen = || {
        let inner = TcpListener::bind(&addresses[..])?;
        inner.set_nonblocking(true)?;
        Ok(Listener { address: inner.local_addr()?, inner })
    };
    listen().map_err(|source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::Taken { host: settings.host.clone(), port: settings.port },
        _ => refused(source),
    })
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}
