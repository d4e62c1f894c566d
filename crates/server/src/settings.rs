//! The section `server` of the configuration.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use inboxclaw_settings::coerce;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::ServeError;
use crate::tokens::{self, TokenSettings, is_token};

/// How the program is reached over HTTP.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// The address to listen on. Everything but this machine's own loopback address needs `token`, or
    /// `allow_anonymous`.
    pub host: String,
    /// The port to listen on; 0 takes any free one.
    #[serde(deserialize_with = "coerce::lax")]
    pub port: u16,
    /// The token that every request must carry in `Authorization: Bearer`. Without it, whoever reaches the port may
    /// read and confirm events, and see and edit every state.
    pub token: Option<String>,
    /// Further tokens with rights of their own: of each its `name`, `token` or `token_file`, what it `can` do (`events`,
    /// `ack`, `state`, `state.write`, `deliveries`, `admin`), and of which `events`, `sources`, `sinks`, `tools`. Not
    /// available in this version yet.
    pub tokens: Vec<TokenSettings>,
    /// Permits an address that other machines can reach although there is no `token`.
    #[serde(deserialize_with = "coerce::lax")]
    pub allow_anonymous: bool,
    /// Further names under which clients reach the program, such as a proxy's: `inbox.example.org`, or with a port.
    #[serde(deserialize_with = "coerce::one_or_many")]
    #[schemars(schema_with = "coerce::one_or_many_schema")]
    pub allowed_hosts: Vec<String>,
    /// Web pages that may read from the program with a script, each as a browser names it: `https://app.example.org`.
    #[serde(deserialize_with = "coerce::one_or_many")]
    #[schemars(schema_with = "coerce::one_or_many_schema")]
    pub cors_origins: Vec<String>,
}

impl ServerSettings {
    /// Where the server listens, as far as the settings tell: a name other than `localhost` may be any address of this
    /// machine; of port 0 nothing is known.
    pub fn address(&self) -> Option<SocketAddr> {
        let named = if self.host == "localhost" { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
        let ip = self.host.trim_matches(['[', ']']).parse().unwrap_or(IpAddr::V4(named));
        (self.port != 0).then(|| SocketAddr::new(ip, self.port))
    }

    /// Checks the values.
    ///
    /// # Errors
    /// [`ServeError::Setting`] with the first value that cannot work.
    pub fn check(&self) -> Result<(), ServeError> {
        let wrong = |setting, problem| Err(ServeError::Setting { setting, problem });
        if self.host.is_empty() {
            return wrong("server.host", "is empty".to_owned());
        }
        if let Some(token) = &self.token
            && !is_token(token)
        {
            return wrong("server.token", "is empty or holds something else than visible ASCII".to_owned());
        }
        tokens::check(&self.tokens)?;
        if let Some(host) =
            self.allowed_hosts.iter().find(|host| host.is_empty() || host.contains(['/', '*', ' ']))
        {
            return wrong("server.allowed_hosts", format!("holds {host:?}, which is no host name"));
        }
        if let Some(origin) = self.cors_origins.iter().find(|origin| !is_origin(origin)) {
            return wrong(
                "server.cors_origins",
                format!("holds {origin:?}, which is not of the form scheme://host[:port]"),
            );
        }
        Ok(())
    }
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 8000,
            token: None,
            tokens: Vec::new(),
            allow_anonymous: false,
            allowed_hosts: Vec::new(),
            cors_origins: Vec::new(),
        }
    }
}

/// Without the token.
impl fmt::Debug for ServerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSettings")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("token", &self.token.as_ref().map(|_| "set"))
            .finish_non_exhaustive()
    }
}

fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return false };
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    plain(scheme) && plain(host) && !host.contains(['/', '*', '?', '#', '@'])
}
