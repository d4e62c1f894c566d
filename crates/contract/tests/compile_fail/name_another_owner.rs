//! No method of a draft takes an owner.

use inboxclaw_contract::{Draft, Failure, OwnerId};

async fn poll(draft: &mut Draft<'_>) -> Result<(), Failure> {
    draft.get::<u64>(OwnerId(2), "key").await?;
    Ok(())
}

fn main() {}
