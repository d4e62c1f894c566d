//! Stand-ins for the services that Inboxclaw's sources read, written from the public documentation of their APIs: for
//! tests, and to try the sources without an account. Knows nothing of Inboxclaw's own code.
//!
//! `google` is a server with one account of Gmail, Drive and Calendar; `discovery` checks requests and answers against
//! Google's own descriptions of its APIs. Left out: writing through the API, since no source of ours writes.

pub mod discovery;
pub mod google;
mod lock;
