//! Run facts, deliveries and another space are added to the turn, which only whoever opened it can reach.

use inboxclaw_contract::turn::{FactsPatch, Swap};
use inboxclaw_contract::{Draft, OwnerId, SpaceId};

async fn poll(draft: &mut Draft<'_>) {
    draft.turn_mut().facts.push((OwnerId(2), FactsPatch::default()));
    draft.turn.swap = Some(Swap { space: SpaceId(7), keep_secrets: true });
}

fn main() {}
