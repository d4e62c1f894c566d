//! The running program, asked over HTTP with the token of its run. Paths go out exactly as they are written here: a
//! general client would tidy up keys such as `..`.

use std::path::Path;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::{HeaderName, HeaderValue, Request, Response};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::super::{Failed, client};
use super::here;
use crate::guard::USER;

/// How long a connection on this machine may take.
const CONNECT: Duration = Duration::from_secs(2);

/// Where the running program is.
#[derive(Debug)]
pub(in crate::commands) struct Wire {
    address: String,
    token: String,
}

impl Wire {
    /// The program that runs on the database, if a living process says that it does.
    pub(super) fn find(database: &Path) -> Option<Self> {
        let (address, token) = client::running(database)?;
        Some(Self { address, token })
    }

    /// Whether anybody listens there.
    pub(super) async fn answers(&self) -> bool {
        self.connect().await.is_ok()
    }

    async fn connect(&self) -> std::io::Result<TcpStream> {
        timeout(CONNECT, TcpStream::connect(&self.address)).await?
    }

    /// Asks, and returns with the head of the answer.
    pub(super) async fn send(&self, mut request: Request<Body>) -> Result<Response<Body>, Failed> {
        let lost = |error: &dyn std::fmt::Display| {
            Failed::plain(format!("the running program at {} does not answer: {error}", self.address))
        };
        let headers = request.headers_mut();
        for (name, value) in [(HOST, self.address.clone()), (AUTHORIZATION, format!("Bearer {}", self.token))]
        {
            headers.insert(name, HeaderValue::from_str(&value).map_err(|error| lost(&error))?);
        }
        if let Ok(user) = HeaderValue::from_bytes(here::user().as_bytes()) {
            headers.insert(HeaderName::from_static(USER), user);
        }
        let stream = self.connect().await.map_err(|error| lost(&error))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| lost(&error))?;
        // It ends with the answer; what goes wrong shows there.
        drop(tokio::spawn(connection));
        let response = sender.send_request(request).await.map_err(|error| lost(&error))?;
        Ok(response.map(Body::new))
    }
}
