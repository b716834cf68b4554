//! A running cluster.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::binaries::Binaries;
use crate::data_dir;
use crate::leftovers;
use crate::place::{PORT, Place};
use crate::process::{Ask, OnParentDeath, signal, spawn_tied, wait_at_most};
use crate::scratch::Scratch;
use crate::wire::{self, Session};
use crate::{Error, at_exit, url};

/// How long a server whose owner is gone may take to end. An immediate shutdown kills what is left after 5 s.
const LEFTOVERS_GONE_WITHIN: Duration = Duration::from_secs(15);
/// Start and recovery after a crash.
const READY_WITHIN: Duration = Duration::from_secs(120);
const READY_POLL: Duration = Duration::from_millis(5);
/// A fast shutdown writes what is in memory; then the immediate one takes over, and last SIGKILL.
const FAST_STOP: Duration = Duration::from_secs(10);
const IMMEDIATE_STOP: Duration = Duration::from_secs(6);
/// How much of the log goes into an error.
const TAIL_BYTES: u64 = 4096;

/// SQLSTATE "the database system is starting up", and "database already exists".
const CANNOT_CONNECT_NOW: &str = "57P03";
const DUPLICATE_DATABASE: &str = "42P04";

/// Whether committed data must survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Every commit is on the disk.
    Durable,
    /// Nothing is flushed, which makes tests fast, and a crash of the machine would cost the data.
    Throwaway,
}

/// What to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// The cluster's folder, made if need be: data, socket, log and lock stand in it.
    pub dir: PathBuf,
    /// Whether committed data must survive.
    pub durability: Durability,
}

/// A running cluster; dropping it stops the server.
#[derive(Debug)]
pub struct Cluster {
    pid: u32,
    binaries: Binaries,
    socket_dir: PathBuf,
    durability: Durability,
    /// `None` once stopped.
    child: Mutex<Option<Child>>,
    // Held for their Drop, in this order: the lock is free only when the server is gone.
    place: Place,
    _socket_substitute: Option<Scratch>,
    scratch: Option<Scratch>,
}

impl Cluster {
    /// Starts the cluster in `options.dir`, made first if there is none, and waits until it answers.
    ///
    /// # Errors
    ///
    /// See [`Error`]; [`Error::InUse`] when another process runs it.
    pub fn start(options: &Options) -> Result<Self, Error> {
        Self::start_in(&options.dir, options.durability, None)
    }

    fn start_in(dir: &Path, durability: Durability, scratch: Option<Scratch>) -> Result<Self, Error> {
        let place = Place::take(dir)?;
        leftovers::wait_until_gone(&place.data_dir(), LEFTOVERS_GONE_WITHIN)?;
        let binaries = data_dir::prepare(&place, durability)?;
        leftovers::forget_reused_pid(&place.data_dir());
        let (socket_dir, substitute) = place.socket_dir()?;

        let child = spawn_server(&place, &binaries, &socket_dir, durability)?;
        let cluster = Self {
            pid: child.id(),
            binaries,
            socket_dir,
            durability,
            child: Mutex::new(Some(child)),
            place,
            _socket_substitute: substitute,
            scratch,
        };
        if let Some(scratch) = &cluster.scratch {
            at_exit::add(cluster.pid, scratch.path());
        }
        cluster.wait_until_ready()?;
        Ok(cluster)
    }

    /// A connection URL for one database, for sqlx, psql and other libpq programs.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        url::of(&self.socket_dir, database)
    }

    /// The URL of the database `postgres`, from where others are made.
    #[must_use]
    pub fn admin_url(&self) -> String {
        self.url("postgres")
    }

    /// Makes a database unless it is there; says whether it made it.
    ///
    /// # Errors
    ///
    /// [`Error::Sql`] when the server refuses, [`Error::Connection`] when it does not answer.
    pub fn create_database(&self, name: &str) -> Result<bool, Error> {
        let mut session = Session::open(&self.socket_dir, "postgres")?;
        match session.execute(&format!("CREATE DATABASE {}", wire::quote_identifier(name))) {
            Err(Error::Sql { code, .. }) if code == DUPLICATE_DATABASE => Ok(false),
            outcome => outcome.map(|()| true),
        }
    }

    /// Runs statements that answer no rows, such as a migration, in one database.
    ///
    /// # Errors
    ///
    /// [`Error::Sql`] when the server refuses one, [`Error::Connection`] when it does not answer.
    pub fn execute(&self, database: &str, sql: &str) -> Result<(), Error> {
        Session::open(&self.socket_dir, database)?.execute(sql)
    }

    /// The server's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The installation that runs it; its folder has psql and pgbench too, where they are installed.
    #[must_use]
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// Where the data really are, when not in the folder that was asked for: a sentence for the user.
    #[must_use]
    pub fn notice(&self) -> Option<&str> {
        self.place.notice.as_deref()
    }

    /// The server's log file.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.place.log()
    }

    /// The last lines of the server's log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        tail(&self.log())
    }

    /// How the server ended, if it did so by itself.
    #[must_use]
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.child().as_mut().and_then(|child| child.try_wait().ok().flatten())
    }

    /// Stops the server: fast, and harder where that takes too long. A second call does nothing.
    ///
    /// # Errors
    ///
    /// When a signal cannot be sent, or even SIGKILL did not end it.
    pub fn stop(&self) -> Result<(), Error> {
        let Some(mut child) = self.child().take() else {
            return Ok(());
        };
        at_exit::remove(self.pid);
        let fast = (Ask::Interrupt, FAST_STOP);
        let harder = [(Ask::Quit, IMMEDIATE_STOP), (Ask::Kill, IMMEDIATE_STOP)];
        let steps = (self.durability == Durability::Durable)
            .then_some(fast)
            .into_iter()
            .chain(harder);
        for (ask, limit) in steps {
            signal(&child, ask).map_err(Error::io("stopping PostgreSQL"))?;
            if wait_at_most(&mut child, limit)
                .map_err(Error::io("waiting for PostgreSQL"))?
                .is_some()
            {
                return Ok(());
            }
        }
        Err(Error::StillRunning {
            dir: self.place.data_dir(),
            pid: self.pid,
        })
    }

    /// Asks the server to end at once and does not wait: for a process that is about to exit.
    pub fn quit(&self) {
        if let Some(child) = &*self.child() {
            // A server that cannot be signalled gets its signal from the end of this process.
            let _ = signal(child, Ask::Quit);
        }
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until_ready(&self) -> Result<(), Error> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Some(status) = self.exit_status() {
                return Err(Error::Ended {
                    status: status.to_string(),
                    log: self.log(),
                    tail: self.log_tail(),
                });
            }
            let last = match Session::open(&self.socket_dir, "postgres") {
                Ok(_) => return Ok(()),
                Err(Error::Sql { code, message }) if code != CANNOT_CONNECT_NOW => {
                    return Err(Error::Sql { code, message });
                }
                Err(error) => error.to_string(),
            };
            if Instant::now() >= deadline {
                let seconds = READY_WITHIN.as_secs();
                return Err(Error::NotReady {
                    seconds,
                    last,
                    log: self.log(),
                    tail: self.log_tail(),
                });
            }
            thread::sleep(READY_POLL);
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Whoever wants to know calls `stop`.
        let _ = self.stop();
    }
}

/// Starts a cluster in a temporary folder; see [`crate::throwaway`].
pub(crate) fn start_throwaway() -> Result<Cluster, Error> {
    let scratch = Scratch::create()?;
    let dir = scratch.path().join("postgres");
    Cluster::start_in(&dir, Durability::Throwaway, Some(scratch))
}

fn spawn_server(place: &Place, binaries: &Binaries, socket_dir: &Path, durability: Durability) -> Result<Child, Error> {
    let log = new_log(&place.log())?;
    let log_again = log.try_clone().map_err(Error::io("opening the server's log"))?;
    let mut command = place.account.command(binaries.program("postgres"), &place.data_dir());
    command
        .arg("-D")
        .arg(place.data_dir())
        .stdout(log)
        .stderr(Stdio::from(log_again));
    for (name, value) in settings(socket_dir, durability) {
        command.arg("-c").arg(format!("{name}={value}"));
    }
    spawn_tied(command, OnParentDeath::Quit)
        .map_err(|error| data_dir::cannot_run(&place.account, binaries, "postgres", &error))
}

/// What differs from PostgreSQL's defaults.
fn settings(socket_dir: &Path, durability: Durability) -> Vec<(&'static str, String)> {
    let mut settings = vec![
        // Only the socket, which only the folder's user can reach.
        ("listen_addresses", String::new()),
        (
            "unix_socket_directories",
            wire::quote_identifier(&socket_dir.display().to_string()),
        ),
        ("unix_socket_permissions", "0700".to_owned()),
        ("port", PORT.to_string()),
        ("timezone", "UTC".to_owned()),
        ("logging_collector", "off".to_owned()),
        // Tests open a pool for each database; a development desk runs services, clients and a psql or two.
        ("max_connections", "300".to_owned()),
    ];
    if durability == Durability::Throwaway {
        for name in ["fsync", "synchronous_commit", "full_page_writes"] {
            settings.push((name, "off".to_owned()));
        }
        settings.push(("wal_level", "minimal".to_owned()));
        settings.push(("max_wal_senders", "0".to_owned()));
    }
    settings
}

/// Begins a new log and keeps the one before it.
fn new_log(path: &Path) -> Result<File, Error> {
    // There may be none before it.
    let _ = fs::rename(path, path.with_extension("log.old"));
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    file.map_err(Error::io(format!("opening {}", path.display())))
}

fn tail(path: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    };
    read().unwrap_or_else(|error| format!("({error})"))
}
