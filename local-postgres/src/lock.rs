//! A lock file: one process at a time, and the next one learns who holds it. The system drops the lock with the process.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Holds the lock until dropped.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it.
    #[error("held by process {}", .holder.map_or("(unknown)".to_owned(), |pid| pid.to_string()))]
    Held {
        /// That process, if it has said so yet.
        holder: Option<u32>,
    },
    /// The file cannot be opened, locked or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Takes the lock, without waiting, and writes this process's id into the file.
///
/// # Errors
///
/// [`Error::Held`] when another process (or this one) has it.
pub fn acquire(path: &Path) -> Result<FileLock, Error> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(Error::Held { holder: holder(path) }),
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())?;
    Ok(FileLock { _file: file })
}

fn holder(path: &Path) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}
