//! Export: the state as JSON Lines.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use inboxclaw_contract::{Editable, Entry, OwnerId, Snapshot, Version};

use crate::editor::{Editor, STEP_BYTES, TRIES};
use crate::error::EditError;
use crate::lines;

/// About how large the pieces are.
const PIECE_BYTES: usize = 64 << 10;

/// Where the pieces of an export go; it may block. `false` ends the export.
pub type Write = Box<dyn FnMut(&[u8]) -> bool + Send>;

/// An export on its way.
struct Exporting {
    store: Arc<dyn Editable>,
    owner: OwnerId,
    write: Write,
    secrets: bool,
    /// The version that the head tells.
    version: Version,
    /// What was not written yet: all of it until it is sure that the head tells the instant of the scan.
    text: String,
    begun: bool,
    entries: u64,
}

impl Editor {
    /// Writes the state as JSON Lines, as of one instant: a head with the cursor, then a line for each entry with its
    /// value byte for byte, or as the string `text` when it holds line breaks. Values of secrets only with `secrets`.
    /// `name` and `connector` are told in the head. `write` takes pieces of some size. Returns the number of entries.
    ///
    /// # Errors
    /// [`EditError::Busy`] when the state kept changing as the export began, or the store's.
    pub async fn export(
        &self,
        owner: OwnerId,
        name: &str,
        connector: &str,
        secrets: bool,
        write: Write,
    ) -> Result<u64, EditError> {
        let store = self.store.clone();
        let (text, version) = (String::new(), Version(0));
        let exporting = Exporting { store, owner, write, secrets, version, text, begun: false, entries: 0 };
        let exporting = Arc::new(Mutex::new(exporting));
        for _ in 0..TRIES {
            let head = self.store.snapshot(owner).await?;
            lock(&exporting).start(&head, &lines::head(name, connector, &head));
            let into = exporting.clone();
            let each = Box::new(move |entry: Entry| lock(&into).take(&entry));
            let scanned = self.store.scan(owner, "", each).await?;
            let mut exporting = lock(&exporting);
            if scanned.version == head.version {
                return Ok(exporting.finish());
            }
            if exporting.begun {
                break;
            }
        }
        Err(EditError::Busy)
    }
}

impl Exporting {
    fn start(&mut self, snapshot: &Snapshot, head: &str) {
        self.version = snapshot.version;
        head.clone_into(&mut self.text);
        self.entries = 0;
    }

    fn take(&mut self, entry: &Entry) -> bool {
        self.entries += 1;
        lines::write_entry(&mut self.text, entry, self.secrets);
        if self.begun {
            return self.text.len() < PIECE_BYTES || self.flush();
        }
        if self.text.len() < STEP_BYTES {
            return true;
        }
        // The instant of the scan lies between that of the head and now. Where the store needs time to tell, the
        // comparison at the end remains.
        if let Some(Ok(now)) = self.store.snapshot(self.owner).now_or_never()
            && now.version != self.version
        {
            return false;
        }
        self.begun = true;
        self.flush()
    }

    fn flush(&mut self) -> bool {
        let text = mem::take(&mut self.text);
        text.as_bytes().chunks(PIECE_BYTES).all(|piece| (self.write)(piece))
    }

    fn finish(&mut self) -> u64 {
        self.flush();
        self.entries
    }
}

fn lock(exporting: &Mutex<Exporting>) -> MutexGuard<'_, Exporting> {
    exporting.lock().unwrap_or_else(PoisonError::into_inner)
}
