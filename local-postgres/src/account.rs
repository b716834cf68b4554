//! The user that PostgreSQL runs as: this one, except that root has to become somebody else.

use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Error;

/// Users that root becomes, the first that exists.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// A user to run programs as.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) name: String,
    /// User and group to change to; `None`: stay who we are.
    ids: Option<(u32, u32)>,
}

impl Account {
    /// Chooses for a cluster: the owner of its data where there are any, so that a user `postgres` that appears later
    /// changes nothing.
    pub(crate) fn choose(data_dir: &Path) -> Result<Self, Error> {
        if !rustix::process::geteuid().is_root() {
            let name = std::env::var("USER").unwrap_or_else(|_| "of this process".to_owned());
            return Ok(Self { name, ids: None });
        }
        if let Ok(data) = data_dir.metadata()
            && data.uid() != 0
        {
            return Ok(Self {
                name: ask("-un", &data.uid().to_string()).unwrap_or_else(|| data.uid().to_string()),
                ids: Some((data.uid(), data.gid())),
            });
        }
        UNPRIVILEGED
            .into_iter()
            .find_map(Self::of_name)
            .ok_or(Error::NoUnprivilegedUser)
    }

    fn of_name(name: &str) -> Option<Self> {
        Some(Self {
            name: name.to_owned(),
            ids: Some((ask_id("-u", name)?, ask_id("-g", name)?)),
        })
    }

    /// Whether programs run as another user than this process.
    pub(crate) fn is_other(&self) -> bool {
        self.ids.is_some()
    }

    /// A command run by this user, in `dir`, out of reach of the terminal's Ctrl-C, without input and without the caller's
    /// PostgreSQL variables.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>, dir: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(dir).process_group(0).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        // Messages in English; and a server on macOS must not look at the user's locale.
        command.env("LC_ALL", "C");
        if let Some((uid, gid)) = self.ids {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Gives a file or folder to this user.
    pub(crate) fn give(&self, path: &Path) -> Result<(), Error> {
        let Some((uid, gid)) = self.ids else { return Ok(()) };
        chown(path, Some(uid), Some(gid)).map_err(Error::io(format!("giving {} to {}", path.display(), self.name)))
    }
}

fn ask_id(flag: &str, name: &str) -> Option<u32> {
    ask(flag, name)?.parse().ok().filter(|&id| id != 0)
}

/// Asks `id`, which knows every source of users that the system has.
fn ask(flag: &str, user: &str) -> Option<String> {
    let output = Command::new("id")
        .args([flag, user])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let answer = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| answer.trim().to_owned())
}
