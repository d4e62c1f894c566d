//! A draft that is borrowed cannot be committed.

use inboxclaw_contract::Draft;

async fn poll(draft: &mut Draft<'_>) {
    let _ = draft.commit().await;
}

fn main() {}
