//! The file by which commands find the running program: where it listens, and the token of this run.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::path::{FileId, beside};

/// What stands in `<db>.run`. Only its owner can read the file.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RunFile {
    /// The process that holds the store.
    pub pid: u32,
    /// Where its server listens, such as `127.0.0.1:8001`.
    pub address: String,
    /// A secret of this run, by which its own commands are known.
    pub token: String,
}

/// The token is a secret and stays out of every log.
impl fmt::Debug for RunFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunFile")
            .field("pid", &self.pid)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// A run file in its place; removed when dropped.
#[derive(Debug)]
pub struct Published {
    path: PathBuf,
    id: FileId,
}

impl RunFile {
    /// Where the run file of the database at `db` lies.
    pub fn path(db: &Path) -> PathBuf {
        beside(db, ".run")
    }

    /// Writes the run file of the database at `db`. A reader sees all of it or the one before. Only the holder of
    /// the [`Lock`](crate::lock::Lock) may do this.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn publish(&self, db: &Path) -> io::Result<Published> {
        let path = Self::path(db);
        let partial = beside(db, ".run.partial");
        // A left-over may have looser permissions, which opening would keep.
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&partial)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        let id = FileId::of(&file.metadata()?);
        drop(file);
        fs::rename(&partial, &path)?;
        Ok(Published { path, id })
    }

    /// Reads the run file of the database at `db`; `None` when there is none. One that a killed process left behind
    /// is returned as well: whether its writer lives, the lock tells.
    ///
    /// # Errors
    /// When the file cannot be read, or is no run file.
    pub fn read(db: &Path) -> io::Result<Option<Self>> {
        match fs::read(Self::path(db)) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        // In a folder that took the place of ours, the file is another program's.
        if self.id.is_at(&self.path) {
            // Nobody can act on a failure here; a stale file is recognized by the free lock.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_run_file_is_private_complete_and_goes_with_its_run() {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("a.db");
        assert_eq!(RunFile::read(&db).unwrap(), None);
        let run = RunFile { pid: 7, address: "127.0.0.1:1".into(), token: "secret".into() };
        fs::write(beside(&db, ".run.partial"), "left over").unwrap();
        let published = run.publish(&db).unwrap();
        assert_eq!(RunFile::read(&db).unwrap(), Some(run.clone()));
        assert_eq!(fs::metadata(RunFile::path(&db)).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!format!("{run:?}").contains("secret"));
        drop(published);
        assert_eq!(RunFile::read(&db).unwrap(), None);
        fs::write(RunFile::path(&db), "{").unwrap();
        assert!(RunFile::read(&db).is_err());
    }
}
