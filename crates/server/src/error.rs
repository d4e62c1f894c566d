//! Why the server cannot start or go on.

use std::io;

/// Why the server cannot start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Another program has the port.
    #[error("port {port} of {host} is taken: stop the program that listens there, or set server.port")]
    Taken {
        /// The address as configured.
        host: String,
        /// The port.
        port: u16,
    },
    /// Other machines could read everything.
    #[error(
        "server.host {host:?} can be reached from other machines and there is no token: set server.token, or \
         server.allow_anonymous: true if everyone who reaches the port may read and confirm events and edit states"
    )]
    Exposed {
        /// The address as configured.
        host: String,
    },
    /// The address does not exist here, or may not be used.
    #[error("cannot listen on server.host {host:?}, server.port {port}")]
    Address {
        /// The address as configured.
        host: String,
        /// The port.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// A setting has a value that cannot work.
    #[error("{setting} {problem}")]
    Setting {
        /// The setting's dotted path.
        setting: &'static str,
        /// What is wrong; shows the value unless it is a secret.
        problem: String,
    },
    /// The port was ours and cannot be used any more.
    #[error("cannot accept connections")]
    Accept(#[source] io::Error),
}
