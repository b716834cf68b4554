//! What every store uses: the pool, transactions, idempotency keys, the schema.

pub(crate) mod idempotency;
pub(crate) mod pool;
pub(crate) mod tx;

use anyhow::Context as _;
use sqlx::migrate::Migrator;
use sqlx::{Connection as _, PgConnection, PgPool};

use crate::error::{Error, Result};
use crate::settings::Database;

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// Brings the schema up to date. Several at once wait for each other.
///
/// # Errors
/// Where the database cannot be reached, or a migration fails or was changed after it ran.
pub async fn migrate(settings: &Database) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect_with(
        &pool::options(settings)?.options([("statement_timeout", "0"), ("lock_timeout", "0")]),
    )
    .await
    .context("cannot connect to the database (DATABASE_URL)")?;
    MIGRATIONS
        .run(&mut connection)
        .await
        .context("cannot migrate the database")?;
    tracing::info!("the database's schema is up to date");
    Ok(())
}

/// Fails where the schema is older than this program.
pub(crate) async fn check_schema(pool: &PgPool) -> anyhow::Result<()> {
    let newest = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0);
    // Where migrations never ran there is no table to ask.
    let applied = sqlx::query_scalar::<_, Option<i64>>("SELECT max(version) FROM _sqlx_migrations WHERE success")
        .fetch_one(pool)
        .await
        .or_else(|error| {
            if is_undefined_table(&error) {
                Ok(None)
            } else {
                Err(error)
            }
        })
        .context("cannot ask the database (DATABASE_URL) for its schema's version")?;
    anyhow::ensure!(
        applied.is_some_and(|applied| applied >= newest),
        "the database's schema is at {applied:?}, this program needs {newest}: run `ticket-service migrate`"
    );
    Ok(())
}

/// A stored word as its type.
pub(crate) fn word<T: std::str::FromStr<Err = strum::ParseError>>(stored: &str) -> Result<T> {
    stored
        .parse()
        .map_err(|error| Error::internal("a stored word is unknown", error))
}

fn is_undefined_table(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.code().as_deref() == Some("42P01"))
}
