//! Where a cluster's files stand.
//!
//! ```text
//! <dir>/            the caller's: others may pass through, not look into it
//!   lock            one launcher at a time
//!   location        only where PostgreSQL's user cannot reach <dir>: the folder that is used instead
//!   server.log      what the server says
//!   data/           PostgreSQL's user's
//!   socket/         PostgreSQL's user's; elsewhere when the path would be too long for a socket
//! ```

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::account::Account;
use crate::scratch::Scratch;
use crate::{Error, lock};

/// Part of the socket's file name; no TCP port is opened.
pub(crate) const PORT: u16 = 5432;

/// The longest path that a socket can have, without the final NUL.
const LONGEST_SOCKET_PATH: usize = if cfg!(target_os = "macos") { 103 } else { 107 };

/// Where clusters go that root asks for in a folder that PostgreSQL's user cannot reach, such as one below /root.
const INSTEAD: &str = "/var/lib/deskhand";

/// A cluster's folder, locked.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) dir: PathBuf,
    pub(crate) account: Account,
    /// Set when the folder is not the one that was asked for: a sentence for the user.
    pub(crate) notice: Option<String>,
    _lock: lock::FileLock,
}

impl Place {
    /// Makes and locks the folder, or the one that stands in for it.
    pub(crate) fn take(wanted: &Path) -> Result<Self, Error> {
        make_dir(wanted, 0o711, true)?;
        let wanted = fs::canonicalize(wanted).map_err(Error::io(format!("opening {}", wanted.display())))?;
        let lock = lock::acquire(&wanted.join("lock")).map_err(|error| match error {
            lock::Error::Held { holder } => Error::InUse {
                dir: wanted.clone(),
                holder,
            },
            lock::Error::Io(source) => Error::Io {
                what: format!("locking {}", wanted.join("lock").display()),
                source,
            },
        })?;
        let (dir, account) = reachable(&wanted)?;
        let notice = (dir != wanted).then(|| {
            format!(
                "{} cannot be entered by user {}, so the data are in {}",
                wanted.display(),
                account.name,
                dir.display()
            )
        });
        Ok(Self {
            dir,
            account,
            notice,
            _lock: lock,
        })
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("server.log")
    }

    /// Makes the folder of the socket. The second part keeps a substitute alive.
    pub(crate) fn socket_dir(&self) -> Result<(PathBuf, Option<Scratch>), Error> {
        let usual = self.dir.join("socket");
        let (parent, substitute) = if fits(&usual) {
            (self.dir.clone(), None)
        } else {
            let substitute = Scratch::create_in(Path::new("/tmp"))?;
            (substitute.path().to_owned(), Some(substitute))
        };
        let dir = parent.join("socket");
        make_own_dir(&dir, &self.account)?;
        Ok((dir, substitute))
    }
}

/// Makes a folder that PostgreSQL's user alone may enter, or takes the one that is there.
pub(crate) fn make_own_dir(dir: &Path, account: &Account) -> Result<(), Error> {
    make_dir(dir, 0o700, false)?;
    account.give(dir)
}

fn make_dir(dir: &Path, mode: u32, with_parents: bool) -> Result<(), Error> {
    let made = DirBuilder::new().mode(mode).recursive(with_parents).create(dir);
    match made {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        made => made.map_err(Error::io(format!("making {}", dir.display())))?,
    }
    fs::set_permissions(dir, Permissions::from_mode(mode))
        .map_err(Error::io(format!("setting the permissions of {}", dir.display())))
}

fn fits(socket_dir: &Path) -> bool {
    socket_dir.join(format!(".s.PGSQL.{PORT}")).as_os_str().len() <= LONGEST_SOCKET_PATH
}

/// The folder asked for, where PostgreSQL's user can work in it, else a substitute, which is remembered.
fn reachable(wanted: &Path) -> Result<(PathBuf, Account), Error> {
    let note = wanted.join("location");
    if let Ok(instead) = fs::read_to_string(&note) {
        let instead = PathBuf::from(instead.trim_end_matches('\n'));
        let account = Account::choose(&instead.join("data"))?;
        make_dir(&instead, 0o711, true)?;
        return Ok((instead, account));
    }
    let account = Account::choose(&wanted.join("data"))?;
    let Err(why) = try_to_work_in(wanted, &account) else {
        return Ok((wanted.to_owned(), account));
    };
    let out_of_reach = |why| Error::OutOfReach {
        user: account.name.clone(),
        wanted: wanted.to_owned(),
        instead: INSTEAD.into(),
        why,
    };
    if !account.is_other() {
        return Err(out_of_reach(why));
    }
    make_dir(Path::new(INSTEAD), 0o711, true)?;
    let instead = tempfile::Builder::new()
        .prefix("postgres-")
        .permissions(Permissions::from_mode(0o711))
        .tempdir_in(INSTEAD)
        .map_err(Error::io(format!("making a folder in {INSTEAD}")))?;
    try_to_work_in(instead.path(), &account).map_err(out_of_reach)?;
    fs::write(&note, format!("{}\n", instead.path().display()))
        .map_err(Error::io(format!("writing {}", note.display())))?;
    Ok((instead.keep(), account))
}

/// Whether the user can have a folder of its own in `dir`: asked of the system, which knows of more than mode bits.
fn try_to_work_in(dir: &Path, account: &Account) -> Result<(), String> {
    if !account.is_other() {
        return Ok(());
    }
    let trial = dir.join("trial");
    let outcome = make_own_dir(&trial, account)
        .map_err(|error| error.to_string())
        .and_then(|()| {
            let mut command = account.command("/bin/sh", Path::new("/"));
            command
                .args(["-c", "cd -- \"$0\" && : > file"])
                .arg(&trial)
                .stdout(Stdio::null());
            let output = command.output().map_err(|error| error.to_string())?;
            if output.status.success() {
                Ok(())
            } else {
                Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
            }
        });
    // What cannot be removed here will be in the way of nothing.
    let _ = fs::remove_dir_all(&trial);
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_path_has_a_limit() {
        let name = format!("/.s.PGSQL.{PORT}").len();
        let exact = format!("/{}", "x".repeat(LONGEST_SOCKET_PATH - name - 1));
        assert!(fits(Path::new(&exact)));
        assert!(!fits(Path::new(&format!("{exact}x"))));
    }
}
