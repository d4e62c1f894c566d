//! What people do with states: edit, undo, rewind, import, export, copy. Over any store that keeps the contract.
//!
//! Small changes are one turn. Larger ones build a space in steps, so that turns of others go on, and put it in place
//! with one small turn. A turn that lost a race is worked out anew from the new state, some times. Every future may be
//! dropped at any await: then nothing of its change is stored, or all of it.
//!
//! - `put`: one key, the cursor. `bulk_delete`: many keys.
//! - `undo`, `rewind`: what is to be put back, from the walks in `history`; `restore` puts it back.
//! - `import`, `copy`: where entries come from; `upsert`: how they come to an owner. `export` writes them.
//! - `lines`, `reader`: the format. `bulk`: spaces built in steps. `editor`: who edits, and the bounds.

mod bulk;
mod bulk_delete;
mod copy;
mod editor;
mod error;
mod export;
mod history;
mod import;
mod lines;
mod put;
mod reader;
mod restore;
mod rewind;
mod undo;
mod upsert;

pub use bulk_delete::{Deleted, EntryFilter};
pub use editor::{Editor, Progress, Steps};
pub use error::EditError;
pub use export::Write;
pub use put::{Condition, Put};
pub use reader::Lines;
pub use rewind::{Rewound, To};
pub use undo::{Undone, Which};
pub use upsert::{ImportSummary, Mode};
