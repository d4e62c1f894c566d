//! A draft gives neither its store nor another draft.

use inboxclaw_contract::turn::TurnId;
use inboxclaw_contract::{Draft, OwnerId};

async fn poll(draft: &mut Draft<'_>) {
    *draft = Draft::open(draft.state, OwnerId(2), TurnId(1)).await;
}

fn main() {}
