//! The folder of everything that a system keeps, locked against a second launcher.

use std::fs::{self, DirBuilder, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use local_postgres::lock::{self, FileLock};

/// The folder; the lock is held as long as this lives.
pub(crate) struct Home {
    path: PathBuf,
    /// As it was given, for people.
    shown: PathBuf,
    _lock: FileLock,
}

impl Home {
    /// Makes the folder if need be, and locks it.
    pub(crate) fn take(given: &Path) -> anyhow::Result<Self> {
        if !given.exists() {
            // Others may pass through, not look into it: started by root, PostgreSQL runs as another user below it.
            make_folder(given, 0o711)?;
        }
        let path = fs::canonicalize(given).with_context(|| given.display().to_string())?;
        let lock = match lock::acquire(&path.join("launcher.lock")) {
            Ok(lock) => lock,
            Err(lock::Error::Held { holder: Some(pid) }) => {
                bail!(
                    "a system runs in {} already (process {pid}); stop it with `kill {pid}`",
                    given.display()
                )
            }
            Err(error) => bail!("{}: {error}", path.join("launcher.lock").display()),
        };
        Ok(Self {
            path,
            shown: given.to_owned(),
            _lock: lock,
        })
    }

    /// The folder, as an absolute path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder, as people named it.
    pub(crate) fn shown(&self) -> &Path {
        &self.shown
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The folder of the children's logs.
    pub(crate) fn logs(&self) -> anyhow::Result<PathBuf> {
        let logs = self.path.join("logs");
        make_folder(&logs, 0o700)?;
        Ok(logs)
    }

    /// Writes a file that its owner alone may read, whole or not at all.
    pub(crate) fn write_private(&self, name: &str, content: &[u8]) -> anyhow::Result<()> {
        let path = self.path.join(name);
        let write = || -> std::io::Result<()> {
            // Made with mode 0600.
            let mut file = tempfile::NamedTempFile::new_in(&self.path)?;
            file.write_all(content)?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            Ok(())
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }
}

fn make_folder(path: &Path, mode: u32) -> anyhow::Result<()> {
    let make = || -> std::io::Result<()> {
        DirBuilder::new().recursive(true).mode(mode).create(path)?;
        fs::set_permissions(path, Permissions::from_mode(mode))
    };
    make().with_context(|| format!("cannot make {}", path.display()))
}
