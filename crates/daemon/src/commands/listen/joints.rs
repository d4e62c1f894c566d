//! Where the runtime, the server and the store meet: the small traits by which they know each other.

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use inboxclaw_contract::Owner;
use inboxclaw_runtime::{Handle, OwnerStats, Status};
use inboxclaw_store::SqliteStore;

use crate::serve::Vitals;
use crate::states::Waker;

/// The loops, as the state API wakes them.
pub(super) struct Loops(pub(super) Handle);

#[async_trait]
impl Waker for Loops {
    async fn edit_permit(&self, owner: &Owner) -> Box<dyn Any + Send> {
        Box::new(self.0.edit_permit(owner).await)
    }

    fn wake(&self, owner: &Owner) {
        // Who has no loop needs none: whoever asks next finds the new state.
        self.0.wake(owner);
    }
}

/// Everything that runs, as the server tells of it.
pub(super) struct Whole {
    pub(super) handle: Handle,
    pub(super) store: Arc<SqliteStore>,
}

impl Vitals for Whole {
    fn health(&self) -> (u16, serde_json::Value) {
        let report = self.handle.health();
        let code = if report.status == Status::Unhealthy { 503 } else { 200 };
        match serde_json::to_value(&report) {
            Ok(body) => (code, body),
            Err(error) => (503, serde_json::json!({ "status": "unhealthy", "message": error.to_string() })),
        }
    }

    fn asked(&self, sink: &str, problem: Option<&str>) {
        let owner = Owner::sink(sink);
        match problem {
            None => self.handle.sink_worked(&owner),
            Some(problem) => {
                let action = format!(
                    "take back the last edit with `inboxclaw state undo sink:{sink}`, or set the cursor right"
                );
                self.handle.sink_failed(&owner, problem, &action);
            }
        }
    }

    fn owners(&self) -> Vec<OwnerStats> {
        self.handle.stats()
    }

    fn store_commits(&self) -> u64 {
        self.store.commits()
    }
}
