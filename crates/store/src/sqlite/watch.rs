//! Who waits for what: the log's last seq, versions of owners, and when a pending event is due. The writer announces after each commit.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use inboxclaw_contract::{OwnerId, Seq, Version};
use tokio::sync::watch;

/// Everything that can be waited for. Once closed, every wait ends.
pub(super) struct Watch(Mutex<Option<Senders>>);

struct Senders {
    log: watch::Sender<Seq>,
    /// No pending event is due before, if that is known, in microseconds.
    pending: watch::Sender<Option<i64>>,
    /// Only owners that somebody waits for.
    owners: HashMap<OwnerId, watch::Sender<Version>>,
}

impl Watch {
    pub(super) fn new() -> Self {
        let (log, pending) = (watch::Sender::new(Seq(0)), watch::Sender::new(None));
        Self(Mutex::new(Some(Senders { log, pending, owners: HashMap::new() })))
    }

    /// Starts to wait for the log. What is announced from now on is not missed.
    pub(super) fn log(&self) -> Option<watch::Receiver<Seq>> {
        self.senders().as_ref().map(|senders| senders.log.subscribe())
    }

    /// Starts to wait for a pending event. What is announced from now on is not missed.
    pub(super) fn due(&self) -> Option<watch::Receiver<Option<i64>>> {
        self.senders().as_ref().map(|senders| senders.pending.subscribe())
    }

    /// Wakes those who wait for a pending event: with when the next one was found to be due, and then with when the first
    /// is of those that were collected. One that became due later than it was stays where it was: who waits looks again.
    pub(super) fn pending(&self, next: Option<Option<i64>>, collected: Option<i64>) {
        if let Some(senders) = self.senders().as_ref() {
            senders.pending.send_if_modified(|due| {
                let before = *due;
                *due = next.unwrap_or(before).into_iter().chain(collected).min();
                *due != before
            });
        }
    }

    /// Starts to wait for an owner. What is announced from now on is not missed.
    pub(super) fn owner(&self, owner: OwnerId) -> Option<watch::Receiver<Version>> {
        let mut senders = self.senders();
        let owners = &mut senders.as_mut()?.owners;
        Some(owners.entry(owner).or_insert_with(|| watch::Sender::new(Version(0))).subscribe())
    }

    /// Wakes those who wait for the log.
    pub(super) fn grown(&self, head: Seq) {
        if let Some(senders) = self.senders().as_ref() {
            senders.log.send_replace(head);
        }
    }

    /// Wakes those who wait for an owner of these.
    pub(super) fn changed(&self, owners: &[(OwnerId, Version)]) {
        if let Some(senders) = self.senders().as_mut() {
            for (owner, version) in owners {
                if let Some(sender) = senders.owners.get(owner) {
                    sender.send_replace(*version);
                    // Whoever still waits holds a receiver; the others ask again.
                    if sender.receiver_count() == 0 {
                        senders.owners.remove(owner);
                    }
                }
            }
        }
    }

    /// Ends every wait.
    pub(super) fn close(&self) {
        drop(self.senders().take());
    }

    fn senders(&self) -> MutexGuard<'_, Option<Senders>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
