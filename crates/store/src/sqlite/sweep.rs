//! Removes what nobody needs any more, in steps that turns hardly feel: `history` beyond its bounds, what has expired
//! in `spaces` and the spaces that nobody names, entries whose `ages` rules or turns no longer want. Changes no version
//! and writes no history.

mod ages;
mod history;
mod room;
mod spaces;

use inboxclaw_contract::store::Swept;
use room::Room;

pub(super) use self::spaces::swept_until;
use super::counts::unsigned;
use super::error::Fault;
use super::tx::Tx;

/// How many entries one step removes at most, how many bytes of them, and how many it looks at for their age.
const STEP: i64 = 500;
const STEP_BYTES: i64 = 4 << 20;
const LOOKED_AT: i64 = 2_000;

/// One step.
///
/// The order is that of who frees whom: history first, because a row that goes may have been the last to name a space;
/// then spaces, whose entries go whatever their age; then entries by age, for which rows are looked at one by one. The
/// last two share one `Room`, since turns wait for the whole step; history has a bound of its own, because its rows are of
/// another size. Each part keeps in `Round` where it stopped, outside the transaction: should that fail, the next pass
/// finds what was not removed, and nothing is lost but a look.
pub(super) fn step(tx: &mut Tx<'_>) -> Result<Swept, Fault> {
    let (history, more_history) = history::step(tx)?;
    let mut room = Room { entries: STEP, bytes: STEP_BYTES, rows: LOOKED_AT };
    let more_spaces = spaces::step(tx, &mut room)?;
    let more_aged = ages::step(tx, &mut room)?;
    Ok(Swept {
        entries: unsigned(STEP - room.entries),
        history,
        more: more_history || more_spaces || more_aged,
    })
}
