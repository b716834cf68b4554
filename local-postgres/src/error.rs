//! What can go wrong, in words that say what to do about it.

use std::io;
use std::path::PathBuf;

/// Why a cluster cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No usable PostgreSQL is installed.
    #[error(
        "no PostgreSQL {oldest} or newer found{}; {install}, or set PG_BIN to the folder of its binaries",
        too_old(.passed_over), oldest = crate::OLDEST_MAJOR
    )]
    NotInstalled {
        /// Installations that were found and cannot be used, with the reason.
        passed_over: Vec<String>,
        /// How to install it here.
        install: String,
    },
    /// `PG_BIN` is set and of no use.
    #[error("PG_BIN={}: {why}", .dir.display())]
    PgBin {
        /// What the variable says.
        dir: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The data were written by another major version than the one installed.
    #[error(
        "{} was made by PostgreSQL {data_major}, but {} is version {binaries_major}; install PostgreSQL {data_major}, \
         or move the folder away to begin anew", .dir.display(), .bin_dir.display()
    )]
    WrongMajor {
        /// The data folder.
        dir: PathBuf,
        /// The version that made it.
        data_major: u32,
        /// The binaries that were found.
        bin_dir: PathBuf,
        /// Their version.
        binaries_major: u32,
    },
    /// The data folder holds something else.
    #[error("{} is not a PostgreSQL data folder; move it away to begin anew", .dir.display())]
    NotADataFolder {
        /// The folder.
        dir: PathBuf,
    },
    /// Another process runs a cluster in this folder.
    #[error("{} is in use by process {}", .dir.display(), .holder.map_or("(unknown)".to_owned(), |pid| pid.to_string()))]
    InUse {
        /// The cluster's folder.
        dir: PathBuf,
        /// The process that runs it, if it said so.
        holder: Option<u32>,
    },
    /// A server whose owner is gone does not stop.
    #[error("a PostgreSQL server (process {pid}) still runs in {}; stop it and try again", .dir.display())]
    StillRunning {
        /// The data folder.
        dir: PathBuf,
        /// One of its processes.
        pid: u32,
    },
    /// PostgreSQL refuses to run as root, and there is no user to run it as.
    #[error("PostgreSQL does not run as root, and this machine has neither a user `postgres` nor `nobody`")]
    NoUnprivilegedUser,
    /// No folder that PostgreSQL's user could reach.
    #[error("user {user} can reach neither {} nor {}: {why}", .wanted.display(), .instead.display())]
    OutOfReach {
        /// The user that PostgreSQL would run as.
        user: String,
        /// The folder that was asked for.
        wanted: PathBuf,
        /// The folder that was tried instead.
        instead: PathBuf,
        /// What the system said.
        why: String,
    },
    /// PostgreSQL's user cannot run the binaries.
    #[error("user {user} cannot run {}: {why}", .program.display())]
    CannotRun {
        /// The user that PostgreSQL would run as.
        user: String,
        /// The program.
        program: PathBuf,
        /// What the system said.
        why: String,
    },
    /// A new data folder could not be made.
    #[error("initdb failed ({status}): {output}")]
    Initdb {
        /// How it ended.
        status: String,
        /// What it said.
        output: String,
    },
    /// The server ended while it was starting.
    #[error("PostgreSQL ended while starting ({status}); the end of {}:\n{tail}", .log.display())]
    Ended {
        /// How it ended.
        status: String,
        /// Its log file.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// The server did not answer in time.
    #[error("PostgreSQL did not answer within {seconds} s ({last}); the end of {}:\n{tail}", .log.display())]
    NotReady {
        /// How long it had.
        seconds: u64,
        /// What the last attempt to connect said.
        last: String,
        /// Its log file.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// The server refused a statement.
    #[error("PostgreSQL: {message} (SQLSTATE {code})")]
    Sql {
        /// The five-character code.
        code: String,
        /// What the server said.
        message: String,
    },
    /// The connection broke, or spoke something else.
    #[error("connection to PostgreSQL: {0}")]
    Connection(String),
    /// The system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// An [`Error::Io`], for `map_err`.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

fn too_old(passed_over: &[String]) -> String {
    if passed_over.is_empty() {
        String::new()
    } else {
        format!(" (passed over: {})", passed_over.join("; "))
    }
}
