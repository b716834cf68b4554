//! PostgreSQL for development and tests: finds the binaries on this machine and runs a private cluster.
//!
//! A [`Cluster`] listens on a Unix socket in a folder that only its user may enter, so it needs no password and meets
//! no other server. It stops with its [`Cluster`] value and dies with this process, even by `kill -9`. Root may start
//! one: PostgreSQL itself then runs as `postgres` or `nobody`.
//!
//! ```no_run
//! let cluster = local_postgres::throwaway()?;
//! let url = cluster.url("postgres"); // for sqlx, psql, pgbench
//! # Ok::<(), local_postgres::Error>(())
//! ```
//!
//! The map: `binaries` finds PostgreSQL, `account` chooses its user, `place` its folder, `data_dir` makes the data,
//! `leftovers` waits for a server that outlived its owner, `server` runs it, `wire` speaks just enough of the protocol
//! to know that it answers. [`process`] and [`lock`] serve other launchers of child processes too.

mod account;
mod at_exit;
mod binaries;
mod data_dir;
mod error;
mod leftovers;
pub mod lock;
mod place;
pub mod process;
mod scratch;
mod server;
mod url;
mod wire;

pub use binaries::{Binaries, OLDEST_MAJOR};
pub use error::Error;
pub use server::{Cluster, Durability, Options};

/// Starts an empty cluster in a temporary folder, for tests: nothing is flushed to disk, and nothing survives.
///
/// The folder goes with the [`Cluster`] or, when that is never dropped (a `static`), at the process's exit. What
/// killed processes left is swept by the next call.
///
/// # Errors
///
/// When there is no PostgreSQL, or it does not start.
pub fn throwaway() -> Result<Cluster, Error> {
    scratch::sweep();
    server::start_throwaway()
}
