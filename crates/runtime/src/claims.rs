//! Claims: on a store that several machines share, one of them runs an owner's loop at a time. They save
//! double work only; what is stored never depends on one.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use inboxclaw_contract::{Owner, OwnerId, StoreError};
use tokio::sync::watch;

use crate::options::Claims;
use crate::runner::Env;
use crate::schedule::tick;

/// The claims of this process.
pub(crate) struct OwnerClaims {
    env: Arc<Env>,
    lasts: Option<Duration>,
    holder: String,
    held: Vec<(Owner, OwnerId, watch::Sender<bool>)>,
}

impl OwnerClaims {
    pub(crate) fn new(env: Arc<Env>) -> Self {
        let lasts = match env.options.claims {
            Claims::Alone => None,
            Claims::Shared { lasts } => Some(lasts.max(Duration::from_secs(2))),
        };
        let holder = format!("{:032x}", env.doors.random.next());
        Self { env, lasts, holder, held: Vec::new() }
    }

    /// Will claim an owner; the answer says at any time whether it is held.
    pub(crate) fn add(&mut self, owner: &Owner, id: OwnerId) -> watch::Receiver<bool> {
        let (sender, receiver) = watch::channel(self.lasts.is_none());
        self.held.push((owner.clone(), id, sender));
        receiver
    }

    /// Claims and renews until the program ends.
    ///
    /// # Errors
    /// When the store will not recover.
    pub(crate) async fn run(&self) -> Result<(), StoreError> {
        let Some(lasts) = self.lasts else {
            self.env.shutdown.cancelled().await;
            return Ok(());
        };
        loop {
            for (owner, id, sender) in &self.held {
                let held = match self.env.store.claim(*id, &self.holder, lasts).await {
                    Ok(held) => held,
                    Err(error) => {
                        // A claim that cannot be renewed may run out: nobody polls then, nobody polls twice.
                        self.env.store_failed(error)?;
                        false
                    }
                };
                if *sender.borrow() != held {
                    tracing::info!(%owner, held, "the claim changed hands");
                    sender.send_replace(held);
                }
            }
            if !tick(&self.env.shutdown, lasts / 2, pending()).await {
                return Ok(());
            }
        }
    }

    /// Gives everything back, so that another machine need not wait.
    pub(crate) async fn release(&self) {
        if self.lasts.is_none() {
            return;
        }
        for (owner, id, sender) in &self.held {
            if *sender.borrow()
                && let Err(error) = self.env.store.claim(*id, &self.holder, Duration::ZERO).await
            {
                tracing::debug!(%owner, %error, "cannot give a claim back");
            }
        }
    }
}
