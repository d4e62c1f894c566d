//! Rewind: the state as it was, as a new turn.

use inboxclaw_contract::space::SpaceInfo;
use inboxclaw_contract::{OwnerId, Version};

use crate::history::{Past, Walk};
use crate::restore::{Target, Why, restore};
use crate::turns::TRIES;
use crate::{EditError, Editor, Progress, Rewound, To};

impl Editor {
    pub(crate) async fn rewind_to(
        &self,
        owner: OwnerId,
        to: To,
        progress: Progress<'_>,
    ) -> Result<Rewound, EditError> {
        for _ in 0..TRIES {
            let base = self.store.space(owner).await?;
            let (mut past, reached) = reach(self, owner, base, to).await?;
            let changes = past.take_changes();
            let target =
                Target { space: past.space, changes, cursor: past.cursor, undoes: None, why: Why::Rewind };
            if let Some(done) = restore(self, owner, base, target, progress).await? {
                return Ok(Rewound {
                    to: reached,
                    version: done.version,
                    turns: done.base.0.abs_diff(reached.0),
                    entries: done.entries,
                    cursor: done.cursor,
                    left: done.left,
                });
            }
        }
        Err(EditError::Busy)
    }
}

/// The state at `to`, and its version.
async fn reach(
    editor: &Editor,
    owner: OwnerId,
    base: SpaceInfo,
    to: To,
) -> Result<(Past, Version), EditError> {
    let mut walk = Walk::new(editor, owner, base.version);
    let mut past = Past::new(base);
    let wanted = match to {
        To::Version(version) => format!("version {}", version.0),
        To::Time(time) => time.to_string(),
    };
    if matches!(to, To::Version(version) if version > base.version || version.0 < 0) {
        let newest = base.version.0;
        return Err(EditError::Forgotten(format!("there is no {wanted}: the newest is version {newest}")));
    }
    loop {
        let reached = walk.at();
        // Before the first turn there is nothing older. Since when it was so, nobody knows: who names a time means a state
        // that there was, and does not want everything removed.
        if reached.0 == 0
            && let (To::Time(_), Some(begin)) = (to, walk.begin())
        {
            return Err(EditError::Forgotten(format!(
                "history begins at {begin}, after {wanted}; version 0 is the empty state before it"
            )));
        }
        if reached.0 == 0 || matches!(to, To::Version(version) if version == reached) {
            return Ok((past, reached));
        }
        let Some(turn) = walk.next().await? else { return Err(walk.forgotten(&wanted)) };
        if matches!(to, To::Time(time) if turn.at <= time) {
            return Ok((past, reached));
        }
        past.take_back(&turn)?;
    }
}
