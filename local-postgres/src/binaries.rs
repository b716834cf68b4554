//! Finds PostgreSQL's server binaries.
//!
//! Order: `PG_BIN`; `PATH`; what `pg_config` says; the folders where distributions keep several versions beside each
//! other, newest first. An installation counts when it has `postgres` and `initdb` of [`OLDEST_MAJOR`] or newer.

use std::collections::HashSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Error;

/// The oldest version that will do.
pub const OLDEST_MAJOR: u32 = 14;

/// Folders that hold one folder per version: (parent, start of the version folder's name, rest of the path).
const VERSIONED: [(&str, &str, &str); 9] = [
    ("/usr/lib/postgresql", "", "bin"),                          // Debian, Ubuntu
    ("/usr", "pgsql-", "bin"),                                   // postgresql.org's packages for Fedora and RHEL
    ("/usr/lib", "postgresql", "bin"),                           // openSUSE
    ("/usr/libexec", "postgresql", ""),                          // Alpine
    ("/opt/homebrew/opt", "postgresql@", "bin"),                 // Homebrew on Apple silicon
    ("/usr/local/opt", "postgresql@", "bin"),                    // Homebrew on Intel
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql@", "bin"),    // Homebrew on Linux
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"), // Postgres.app
    ("/opt/local/lib", "postgresql", "bin"),                     // MacPorts
];

/// One installation of PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// The folder that holds `postgres` and `initdb`.
    pub dir: PathBuf,
    /// Its major version.
    pub major: u32,
}

impl Binaries {
    /// Finds an installation on this machine.
    ///
    /// # Errors
    ///
    /// [`Error::NotInstalled`] with the command that installs it, or [`Error::PgBin`].
    pub fn find() -> Result<Self, Error> {
        Self::find_major(None)
    }

    /// Like [`Binaries::find`], but prefers the version that made existing data.
    pub(crate) fn find_major(wanted: Option<u32>) -> Result<Self, Error> {
        if let Some(dir) = env::var_os("PG_BIN").filter(|dir| !dir.is_empty()) {
            let dir = PathBuf::from(dir);
            return Self::inspect(&dir).map_err(|why| Error::PgBin { dir, why });
        }
        let mut best: Option<Self> = None;
        let mut passed_over = Vec::new();
        for dir in candidates() {
            match Self::inspect(&dir) {
                Ok(found) if wanted.is_none_or(|major| major == found.major) => return Ok(found),
                Ok(found) => best = best.or(Some(found)),
                Err(why) => passed_over.push(format!("{}: {why}", dir.display())),
            }
        }
        best.ok_or_else(|| Error::NotInstalled {
            passed_over,
            install: install_hint(),
        })
    }

    /// The path of one program.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn inspect(dir: &Path) -> Result<Self, String> {
        for program in ["postgres", "initdb"] {
            if !dir.join(program).is_file() {
                return Err(format!("has no {program}"));
            }
        }
        let text = run(&dir.join("postgres"), "--version").ok_or("`postgres --version` fails")?;
        let major = parse_major(&text).ok_or_else(|| format!("`postgres --version` says {text:?}"))?;
        if major < OLDEST_MAJOR {
            return Err(format!("version {major} is too old"));
        }
        Ok(Self {
            dir: dir.to_owned(),
            major,
        })
    }
}

/// Folders that hold a program `postgres`, in the order of preference, each once.
fn candidates() -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = env::var_os("PATH")
        .map(|path| env::split_paths(&path).collect())
        .unwrap_or_default();
    dirs.extend(run(Path::new("pg_config"), "--bindir").map(PathBuf::from));
    for (parent, prefix, rest) in VERSIONED {
        dirs.extend(
            versions(Path::new(parent), prefix)
                .into_iter()
                .map(|dir| dir.join(rest)),
        );
    }
    let mut seen = HashSet::new();
    dirs.into_iter()
        // A link in PATH leads to the folder that has the other programs as well.
        .filter_map(|dir| {
            fs::canonicalize(dir.join("postgres"))
                .ok()?
                .parent()
                .map(Path::to_owned)
        })
        .filter(|dir| seen.insert(dir.clone()))
        .collect()
}

/// Folders named `<prefix><number>[.<number>]`, newest first.
fn versions(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else {
        return Vec::new();
    };
    let mut found: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let version = name.to_str()?.strip_prefix(prefix)?;
            Some((version.split('.').next()?.parse().ok()?, entry.path()))
        })
        .collect();
    found.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    found.into_iter().map(|(_, path)| path).collect()
}

fn run(program: &Path, argument: &str) -> Option<String> {
    let output = Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// The 15 of `postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)`, and of `… 15beta1`.
fn parse_major(text: &str) -> Option<u32> {
    let version = text.split_once("(PostgreSQL)")?.1.trim_start();
    let digits = version
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(version.len());
    version[..digits].parse().ok()
}

/// The command that installs PostgreSQL on this system.
fn install_hint() -> String {
    if cfg!(target_os = "macos") {
        return "install it with `brew install postgresql@17`".to_owned();
    }
    hint_for(&fs::read_to_string("/etc/os-release").unwrap_or_default()).to_owned()
}

fn hint_for(os_release: &str) -> &'static str {
    let families: Vec<&str> = os_release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .flat_map(|names| names.trim_matches('"').split(' '))
        .collect();
    let is = |family: &str| families.contains(&family);
    if is("debian") || is("ubuntu") {
        "install it with `apt-get install postgresql`"
    } else if is("fedora") || is("rhel") {
        "install it with `dnf install postgresql-server`"
    } else if is("suse") || is("opensuse") {
        "install it with `zypper install postgresql-server`"
    } else if is("alpine") {
        "install it with `apk add postgresql`"
    } else if is("arch") {
        "install it with `pacman -S postgresql`"
    } else {
        "install your system's package for the PostgreSQL server"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(
            parse_major("postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)"),
            Some(15)
        );
        assert_eq!(parse_major("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(parse_major("postgres (PostgreSQL) 17"), Some(17));
        assert_eq!(parse_major("something else"), None);
    }

    #[test]
    fn newest_version_comes_first() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["pgsql-9.6", "pgsql-16", "pgsql-17", "pgsql-latest", "other-18"] {
            fs::create_dir(parent.path().join(name)).unwrap();
        }
        let names: Vec<_> = versions(parent.path(), "pgsql-")
            .into_iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["pgsql-17", "pgsql-16", "pgsql-9.6"]);
    }

    #[test]
    fn hint_names_the_systems_own_package() {
        assert!(hint_for("NAME=x\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n").contains("apt-get install postgresql"));
        assert!(hint_for("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"").contains("dnf install postgresql-server"));
        assert!(hint_for("ID=alpine").contains("apk add"));
        assert!(hint_for("").contains("package"));
    }
}
