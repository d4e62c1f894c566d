//! Promotes pending events when they are due: at the instant, not by looking again and again.
//!
//! The store tells when an event is due earlier than the next one that is known. A debounced event that became due later
//! costs one look for nothing, at the time at which it would have been due.

use std::sync::Arc;
use std::time::Duration;

use inboxclaw_contract::StoreError;
use tokio::task::yield_now;

use crate::runner::Env;
use crate::schedule::tick;

/// Most events promoted in one step.
const STEP: usize = 500;
/// Most time between two looks while something is pending: the store's clock may be set, and the machine may sleep.
const LOOK: Duration = Duration::from_secs(60);
/// Most time between two looks while nothing is.
const IDLE: Duration = Duration::from_secs(60 * 60);
/// How long to rest when the store has no room.
const REST: Duration = Duration::from_secs(5);

/// The loop of promotion.
pub(crate) struct PromotionLoop {
    pub(crate) env: Arc<Env>,
}

impl PromotionLoop {
    /// Runs until the program ends.
    ///
    /// # Errors
    /// When the store will not recover.
    pub(crate) async fn run(self) -> Result<(), StoreError> {
        loop {
            let goes_on = match self.round().await {
                Ok(goes_on) => goes_on,
                Err(error) => {
                    self.env.store_failed(error)?;
                    tick(&self.env.shutdown, REST, std::future::pending()).await
                }
            };
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// Promotes what is due, and waits for what is due next; `false` when the program ends.
    async fn round(&self) -> Result<bool, StoreError> {
        let Env { store, shutdown, .. } = &*self.env;
        let promoted = store.promote(STEP).await?;
        self.env.health().store_works(promoted.events > 0);
        if promoted.more {
            yield_now().await;
            return Ok(!shutdown.is_cancelled());
        }
        let wait = match promoted.next {
            None => IDLE,
            Some(next) => {
                let left = next.duration_since(store.clock().await?.now);
                Duration::try_from(left).unwrap_or_default().min(LOOK)
            }
        };
        let mut waited = Ok(());
        let earlier = async { waited = store.pending_before(promoted.next).await.map(drop) };
        let goes_on = tick(shutdown, wait, earlier).await;
        waited.map(|()| goes_on)
    }
}
