//! Folders below the system's temporary one, named after the process that made them and locked by it, so that what a
//! killed process left can be told from what is in use.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{Error, leftovers, lock, process};

const PREFIX: &str = "deskhand-pg-";
/// The lock that marks a scratch folder in use. A cluster's own lock stands beside it.
const LOCK: &str = "scratch.lock";

/// A folder that goes when dropped.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    _lock: lock::FileLock,
}

impl Scratch {
    /// Makes one where temporary files belong.
    pub(crate) fn create() -> Result<Self, Error> {
        Self::create_in(&env::temp_dir())
    }

    pub(crate) fn create_in(parent: &Path) -> Result<Self, Error> {
        let dir = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}-", std::process::id()))
            .permissions(Permissions::from_mode(0o711))
            .tempdir_in(parent)
            .map_err(Error::io(format!("making a folder in {}", parent.display())))?;
        let lock = lock::acquire(&dir.path().join(LOCK)).map_err(|error| Error::Io {
            what: format!("locking {}", dir.path().display()),
            source: std::io::Error::other(error),
        })?;
        Ok(Self {
            path: dir.keep(),
            _lock: lock,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays behind is swept by a later process.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes the folders of processes that are gone. Best effort: what cannot be removed is left to the next sweep.
pub(crate) fn sweep() {
    for parent in [env::temp_dir(), PathBuf::from("/tmp")] {
        let Ok(entries) = fs::read_dir(parent) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            if is_stale(&path) {
                let _ = leftovers::wait_until_gone(&path, Duration::from_secs(2));
                let _ = fs::remove_dir_all(&path);
            }
        }
    }
}

/// Whether it is a scratch folder of ours whose process is gone. Both the process id and the lock are asked: the id
/// may name another process by now, the lock is free for a moment while a folder is being made.
fn is_stale(path: &Path) -> bool {
    let Some(owner) = owner(path) else { return false };
    let ours = path
        .symlink_metadata()
        .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw());
    ours && !process::exists(owner) && lock::acquire(&path.join(LOCK)).is_ok()
}

/// The process id in the folder's name.
fn owner(path: &Path) -> Option<u32> {
    path.file_name()?
        .to_str()?
        .strip_prefix(PREFIX)?
        .split('-')
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_is_read_from_the_name() {
        assert_eq!(owner(Path::new("/tmp/deskhand-pg-123-abc")), Some(123));
        assert_eq!(owner(Path::new("/tmp/deskhand-pg-abc")), None);
        assert_eq!(owner(Path::new("/tmp/other-123-abc")), None);
    }

    #[test]
    fn a_living_process_keeps_its_folder() {
        let scratch = Scratch::create().unwrap();
        assert!(!is_stale(scratch.path()));
    }
}
