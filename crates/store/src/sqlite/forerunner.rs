//! The import of the database of the Python program: its events under their numbers, the memory of its sources, and what
//! each of its sinks still owed. All of it is one transaction, so that a process that is killed has brought nothing.
//!
//! `file`: the file, which is never changed; `cells` and `rows`: what stands in it; `plan`: what is wanted and what was found; `survey`: what would come over; `owed`:
//! what a sink owes; `adopt`: the transaction. Left out: which keys of a source mean the same here, which the caller knows.

mod adopt;
mod cells;
mod file;
mod owed;
mod plan;
mod rows;
mod survey;

use std::path::Path;
use std::sync::Arc;

use inboxclaw_contract::StoreError;
use jiff::Timestamp;

use self::file::ForeignFile;
pub use self::plan::{
    DeliveryTable, ImportPlan, ImportProgress, ImportSurvey, Imported, ImportedSink, ImportedSource, Refusal,
    SinkSurvey, SourceSurvey,
};
use super::error::{Fault, OpenError};
use super::store::SqliteStore;
use super::tx::Tx;

/// The database of the Python program, opened for reading. It is never changed.
pub struct Forerunner {
    file: ForeignFile,
}

impl Forerunner {
    /// Opens the database of the Python program. What a crash left beside it is worked up in a copy below `scratch`.
    ///
    /// # Errors
    /// See [`OpenError`]; also when it is no such database.
    pub fn open(path: &Path, scratch: &Path) -> Result<Self, OpenError> {
        Ok(Self { file: ForeignFile::open(path, scratch)? })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Looks at everything and says what would come over.
    ///
    /// # Errors
    /// When the file cannot be read, or is changed meanwhile.
    pub fn survey(&self, plan: &ImportPlan, now: Timestamp) -> Result<ImportSurvey, OpenError> {
        let survey = survey::survey(&self.file, plan, now);
        survey.and_then(|survey| self.file.check().map(|()| survey))
    }
}

impl SqliteStore {
    /// Whether the database is as good as new, so that another one can be imported into it: `None` if so, else what it
    /// holds.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn holds(&self) -> Result<Option<String>, StoreError> {
        self.shared.long(|connection, _| adopt::holds(connection)).await
    }

    /// Brings over what `survey` found, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when the database has been in use. After any other one nothing is stored, either.
    pub async fn import_forerunner(
        &self,
        forerunner: Forerunner,
        plan: ImportPlan,
        survey: ImportSurvey,
        mut each: ImportProgress,
    ) -> Result<Imported, StoreError> {
        let survey = Arc::new(survey);
        let work = move |tx: &mut Tx<'_>| -> Result<Imported, Fault> {
            adopt::adopt(tx, &forerunner.file, &plan, &survey, &mut each)
        };
        self.write(0, work).await
    }
}
