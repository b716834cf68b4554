//! Connections, and how long anything may take on them.

use std::str::FromStr as _;
use std::time::Duration;

use anyhow::Context as _;
use secrecy::ExposeSecret as _;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::settings::Database;

/// How long a call waits for a connection before it is UNAVAILABLE; under the default deadline of every method.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// How to connect, with the time limits of every connection.
pub(crate) fn options(settings: &Database) -> anyhow::Result<PgConnectOptions> {
    let options = PgConnectOptions::from_str(settings.url.expose_secret()).context("DATABASE_URL cannot be read")?;
    Ok(options.application_name("ticket-service").options([
        ("statement_timeout", "5s"),
        ("lock_timeout", "3s"),
        ("idle_in_transaction_session_timeout", "10s"),
    ]))
}

/// A pool that connects when it is first used.
///
/// # Errors
/// Where `DATABASE_URL` cannot be read.
pub(crate) fn open(settings: &Database) -> anyhow::Result<PgPool> {
    let options = options(settings)?;
    Ok(PgPoolOptions::new()
        .max_connections(settings.connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(Duration::from_secs(300))
        .connect_lazy_with(options))
}
