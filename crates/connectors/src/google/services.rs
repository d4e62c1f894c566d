//! The services that are read: their names, addresses and quotas.

/// One of the services.
#[derive(Debug)]
pub struct Api {
    /// A word for messages, for the limiter, and for the scope that it needs (see `oauth`).
    pub name: &'static str,
    /// Its name in the Cloud console, where it has to be enabled.
    pub service: &'static str,
    /// Scheme and host where `api_root` says nothing.
    pub root: &'static str,
    /// What follows `api_root` in every address.
    pub path: &'static str,
    /// Quota units that one user may spend in a minute.
    pub units_per_minute: u32,
}

/// Gmail. 6,000 units a minute and user for projects made since May 2026; older ones may have 15,000 and pay less for a
/// message: <https://developers.google.com/workspace/gmail/api/reference/quota>.
pub static GMAIL: Api = Api {
    name: "gmail",
    service: "gmail.googleapis.com",
    root: "https://gmail.googleapis.com",
    path: "/gmail/v1/users/me",
    units_per_minute: 6_000,
};
/// Drive. 325,000 units a minute and user for projects made since May 2026:
/// <https://developers.google.com/workspace/drive/api/guides/limits>.
pub static DRIVE: Api = Api {
    name: "drive",
    service: "drive.googleapis.com",
    root: "https://www.googleapis.com",
    path: "/drive/v3",
    units_per_minute: 325_000,
};
/// Calendar. 600 requests a minute and user: <https://developers.google.com/workspace/calendar/api/guides/quota>.
pub static CALENDAR: Api = Api {
    name: "calendar",
    service: "calendar-json.googleapis.com",
    root: "https://www.googleapis.com",
    path: "/calendar/v3",
    units_per_minute: 600,
};
