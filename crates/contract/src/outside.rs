//! The doors to the outside: time, randomness, and what connectors share.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::owner::StartAt;

/// The header that all our requests carry. Our server refuses requests that have it, so that no redirect and no
/// mistake makes the program talk to itself.
pub const OUTBOUND: &str = "x-inboxclaw-request";

/// What a connector is built with besides its settings.
#[derive(Clone)]
pub struct Outside {
    /// The connector's configured name.
    pub name: String,
    /// The folder of the configuration file; relative paths start here.
    pub base_dir: PathBuf,
    /// Files that the program itself writes, as absolute paths: the database. A file in the same folder whose name is
    /// one of these names, continued with `-` or `.`, belongs to it: `data2.db-wal`, `data2.db.lock`. A source that
    /// reported them would cause the next change of them by each report.
    pub own_files: Vec<PathBuf>,
    /// Where the program itself listens; `None` when nobody knows. No source may be led there.
    pub own_server: Option<SocketAddr>,
    /// Names of variables of the environment that no child process is given: those that the configuration refers to, which
    /// may be secrets, and the program's own.
    pub hidden_variables: Vec<String>,
    /// Where a source without any state begins, if the configuration says so.
    pub start: Option<StartAt>,
    /// Time. In a turn, `draft.now()` is the time to use.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// What several connectors use together, such as a connection pool or one limiter per account.
    pub shared: Arc<Shared>,
}

/// The door for time.
pub trait Clock: Send + Sync {
    /// The wall clock.
    fn now(&self) -> Timestamp;

    /// Time since some instant, which goes on whatever becomes of the wall clock, also while the machine sleeps. By
    /// default the wall clock itself: then no step of it is noticed while the program runs.
    fn uptime(&self) -> Duration {
        Duration::try_from(self.now().duration_since(Timestamp::UNIX_EPOCH)).unwrap_or_default()
    }

    /// Who says at this instant that the wall clock is right, if anybody does.
    fn witness(&self) -> Option<Witness> {
        None
    }

    /// Takes in what time a server says that it is (RFC 9110, `Date`). Servers on this machine have the same clock and
    /// are not to be told of.
    fn heard(&self, _server: &str, _date: Timestamp) {}
}

/// Who says that a wall clock is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Witness {
    /// The operating system, which sets the clock by others.
    System,
    /// Two servers that know nothing of each other.
    Servers,
}

/// The door for randomness.
pub trait Random: Send + Sync {
    /// 128 unpredictable bits.
    fn next(&self) -> u128;
}

/// Things that connectors share, made by whoever asks first.
#[derive(Default)]
pub struct Shared {
    things: Mutex<HashMap<(TypeId, String), Arc<dyn Any + Send + Sync>>>,
}

impl Shared {
    /// The thing of type `T` under `key`, made with `make` if there is none yet.
    ///
    /// # Errors
    /// What `make` returns; nothing is kept then.
    pub fn get_or_make<T: Send + Sync + 'static, E>(
        &self,
        key: &str,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let mut things = self.things.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (TypeId::of::<T>(), key.to_owned());
        if let Some(found) = things.get(&place).cloned().and_then(|thing| thing.downcast::<T>().ok()) {
            return Ok(found);
        }
        let made = Arc::new(make()?);
        things.insert(place, made.clone());
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[test]
    fn shared_things_are_made_once_per_type_and_key() {
        let shared = Shared::default();
        let first = shared.get_or_make("a", || Ok::<_, Infallible>(1_u32)).unwrap();
        let again = shared.get_or_make("a", || Ok::<_, Infallible>(2_u32)).unwrap();
        let other = shared.get_or_make("b", || Ok::<_, Infallible>(3_u32)).unwrap();
        assert_eq!((*first, *again, *other), (1, 1, 3));
        assert!(shared.get_or_make::<u64, _>("a", || Err("no")).is_err());
    }
}
